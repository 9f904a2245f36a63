"""A train_step of one's own that honours compile: loss, metrics, sample weights, clipping."""

import numpy as np
from sklearn.datasets import load_breast_cancer

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


class CustomModel(keras.Model):
    def train_step(self, data):
        if len(data) == 3:
            x, y, sample_weight = data
        else:
            sample_weight = None
            x, y = data

        with keras.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=sample_weight)

        trainable_vars = self.trainable_variables
        gradients = tape.gradient(loss, trainable_vars)
        norm = ops.sqrt(sum(ops.sum(ops.square(g)) for g in gradients))
        scale = 1.0 / ops.maximum(norm, 1.0)
        self.optimizer.apply([g * scale for g in gradients], trainable_vars)

        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred, sample_weight=sample_weight)
        return {m.name: m.result() for m in self.metrics}


def main():
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")[:256]
    y = y[:256, None].astype("float32")
    weights = np.where(y[:, 0] == 1, 1.0, 2.0)

    def make(cls):
        keras.utils.set_random_seed(16)
        inputs = keras.Input(shape=(30,))
        h = layers.Dense(12, activation="relu", kernel_regularizer="l2")(inputs)
        outputs = layers.Dense(1, activation="sigmoid")(h)
        model = cls(inputs, outputs)
        model.compile(
            optimizer=keras.optimizers.SGD(0.1),
            loss="binary_crossentropy",
            metrics=[keras.metrics.BinaryAccuracy(name="accuracy"), "mae"],
        )
        return model

    model = make(CustomModel)
    history = model.fit(x, y, sample_weight=weights, epochs=3, batch_size=32, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["accuracy"][-1] > 0.85
    more = model.fit(x, y, batch_size=32, verbose=0, validation_data=(x, y)).history
    assert {"val_loss", "val_accuracy", "val_mae"} < set(more)

    plain = make(keras.Model)  # the built-in step, with the same clipping by the optimizer
    plain.optimizer.global_clipnorm = 1.0
    plain.fit(x, y, sample_weight=weights, epochs=3, batch_size=32, verbose=0)
    plain.fit(x, y, batch_size=32, verbose=0)
    for a, b in zip(model.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    return {**history, "val_loss": more["val_loss"], "kernel": model.layers[1].kernel.numpy()}


if __name__ == "__main__":
    print(main())
