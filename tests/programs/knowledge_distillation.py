"""Knowledge distillation: a small network learns from the softened answers of a larger one."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers, ops


class Distiller(keras.Model):
    def __init__(self, student, teacher):
        super().__init__()
        self.teacher = teacher
        self.student = student

    def compile(
        self, optimizer, metrics, student_loss_fn, distillation_loss_fn, alpha=0.1, temperature=3
    ):
        super().compile(optimizer=optimizer, metrics=metrics)
        self.student_loss_fn = student_loss_fn
        self.distillation_loss_fn = distillation_loss_fn
        self.alpha = alpha
        self.temperature = temperature

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, allow_empty=False):
        teacher_pred = self.teacher(x, training=False)
        student_loss = self.student_loss_fn(y, y_pred)
        distillation_loss = self.distillation_loss_fn(
            ops.softmax(teacher_pred / self.temperature, axis=1),
            ops.softmax(y_pred / self.temperature, axis=1),
        ) * (self.temperature**2)
        return self.alpha * student_loss + (1 - self.alpha) * distillation_loss

    def call(self, x):
        return self.student(x)


def network(width, name):
    return keras.Sequential(
        [keras.Input(shape=(64,)), layers.Dense(width, activation="relu"), layers.Dense(10)],
        name=name,
    )


def main():
    keras.utils.set_random_seed(20)
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    x_train, y_train, x_test, y_test = x[:600], y[:600], x[600:900], y[600:900]

    teacher = network(48, "teacher")
    teacher.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    teacher.fit(x_train, y_train, epochs=5, batch_size=64, verbose=0)
    _, teacher_accuracy = teacher.evaluate(x_test, y_test, verbose=0)
    taught = [w.copy() for w in teacher.get_weights()]

    teacher.trainable = False
    student = network(12, "student")
    clone = keras.models.clone_model(student)
    distiller = Distiller(student=student, teacher=teacher)
    distiller.compile(
        optimizer=keras.optimizers.Adam(0.01),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
        student_loss_fn=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        distillation_loss_fn=keras.losses.KLDivergence(),
        alpha=0.1,
        temperature=5,
    )
    history = distiller.fit(x_train, y_train, epochs=5, batch_size=64, verbose=0).history
    assert set(history) == {"loss", "sparse_categorical_accuracy"}
    assert history["loss"][-1] < history["loss"][0]
    for before, after in zip(taught, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)

    results = distiller.evaluate(x_test, y_test, verbose=0, return_dict=True)
    predicted = student.predict(x_test, verbose=0).argmax(axis=1)
    np.testing.assert_allclose(
        results["sparse_categorical_accuracy"], (predicted == y_test).mean(), rtol=1e-5
    )
    assert results["sparse_categorical_accuracy"] > 0.6
    fresh = [np.abs(a - b).max() for a, b in zip(clone.get_weights(), student.get_weights())]
    assert min(fresh) > 0
    return {"teacher": teacher_accuracy, "loss": history["loss"], **results}
