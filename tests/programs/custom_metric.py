"""Metrics of one's own: a `Metric` subclass, plain functions, and one shared by fit and a loop."""

import numpy as np
from sklearn.datasets import load_iris

import gpunn as keras
from gpunn import layers, ops


class CategoricalTruePositives(keras.metrics.Metric):
    def __init__(self, class_id=0, name="true_positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.class_id = class_id
        self.true_positives = self.add_weight(name="ctp", initializer="zeros")
        self.seen = self.add_variable(shape=(), initializer="zeros", name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        label = ops.argmax(y_pred, axis=1)
        y_true = ops.cast(ops.reshape(y_true, (-1,)), "int32")
        is_class = ops.equal(y_true, self.class_id)
        hits = ops.cast(ops.logical_and(ops.equal(label, y_true), is_class), self.dtype)
        if sample_weight is not None:
            hits = ops.multiply(hits, ops.cast(ops.reshape(sample_weight, (-1,)), self.dtype))
        self.true_positives.assign_add(ops.sum(hits))
        self.seen.assign(self.seen + ops.sum(ops.cast(is_class, "float32")))

    def result(self):
        return self.true_positives

    def reset_state(self):
        self.true_positives.assign(0.0)
        self.seen.assign(0.0)

    def get_config(self):
        return {**super().get_config(), "class_id": self.class_id}


def top_probability(y_true, y_pred):
    return ops.max(y_pred, axis=-1)


class MeanMargin(keras.metrics.Mean):
    """The mean lead of the likeliest class over the second."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        best, _ = ops.top_k(y_pred, 2)
        return super().update_state(best[:, 0] - best[:, 1], sample_weight=sample_weight)


def main():
    keras.utils.set_random_seed(2)
    x, y = load_iris(return_X_y=True)
    x = ((x - x.mean(0)) / x.std(0)).astype("float32")

    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.2),
        loss="sparse_categorical_crossentropy",
        metrics=[
            "accuracy",
            CategoricalTruePositives(class_id=0),
            top_probability,
            MeanMargin(name="margin"),
            keras.metrics.MeanMetricWrapper(top_probability, name="wrapped"),
        ],
    )
    history = model.fit(x, y, batch_size=75, epochs=10, verbose=0).history
    assert set(history) == {
        "accuracy", "loss", "true_positives", "top_probability", "margin", "wrapped",
    }  # fmt: skip
    assert history["accuracy"][-1] > 0.85 and history["true_positives"][-1] == 50

    results = model.evaluate(x, y, return_dict=True, verbose=0)
    p = model.predict(x, verbose=0)
    top = np.sort(p, axis=1)[:, ::-1]
    np.testing.assert_allclose(results["top_probability"], top[:, 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(results["wrapped"], results["top_probability"], rtol=1e-5)
    np.testing.assert_allclose(results["margin"], (top[:, 0] - top[:, 1]).mean(), rtol=1e-4)

    metric = CategoricalTruePositives(class_id=2)
    for start in range(0, 150, 50):
        metric.update_state(y[start : start + 50], p[start : start + 50])
    assert float(metric.result()) == ((y == 2) & (p.argmax(1) == 2)).sum()
    assert float(metric.seen) == 50
    assert metric.get_config()["class_id"] == 2
    metric.reset_state()
    assert float(metric.result()) == 0
    return {"loss": history["loss"], **results}
