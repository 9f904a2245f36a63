"""compute_loss and compute_metrics overridden: cross-entropy and a penalty on the confidence."""

import numpy as np
from sklearn.datasets import load_digits

import gpunn as keras
from gpunn import layers, ops

ON_SIMULATED_GPU = True


class Confident(keras.Model):
    def __init__(self, *args, strength=0.1, **kwargs):
        super().__init__(*args, **kwargs)
        self.strength = strength
        self.entropy_tracker = keras.metrics.Mean(name="entropy")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        entropy = -ops.sum(y_pred * ops.log(y_pred + 1e-7), axis=-1)
        self.entropy_tracker.update_state(entropy)
        return loss - self.strength * ops.mean(entropy)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        results = super().compute_metrics(x, y, y_pred, sample_weight)
        results["entropy"] = self.entropy_tracker.result()
        return results


def train(strength):
    keras.utils.set_random_seed(18)
    x, y = load_digits(return_X_y=True)
    x = (x[:256] / 16).astype("float32")
    inputs = keras.Input((64,))
    h = layers.Dense(16, activation="relu")(inputs)
    model = Confident(inputs, layers.Dense(10, activation="softmax")(h), strength=strength)
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["acc"])
    history = model.fit(x, y[:256], epochs=3, batch_size=64, verbose=0).history
    return model, history, model.evaluate(x, y[:256], return_dict=True, verbose=0)


def main():
    model, history, result = train(strength=0.0)
    assert set(history) == {"loss", "acc", "entropy"} == set(result)
    assert any(m is model.entropy_tracker for m in model.metrics)
    _, softer_history, softer = train(strength=1.0)
    assert softer["entropy"] > result["entropy"]
    assert softer["loss"] < softer_history["loss"][0]
    np.testing.assert_array_less(0, history["entropy"])
    return {**result, "softer": softer["loss"], "entropies": softer_history["entropy"]}


if __name__ == "__main__":
    print(main())
