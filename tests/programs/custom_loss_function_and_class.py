"""Losses of one's own: a function, a `Loss` subclass with a configuration, a loss of the model."""

import numpy as np
from sklearn.datasets import load_diabetes

import gpunn as keras
from gpunn import layers, ops


def log_cosh_loss(y_true, y_pred):
    difference = y_pred - y_true
    return ops.mean(difference + ops.softplus(-2.0 * difference) - ops.log(2.0), axis=-1)


@keras.saving.register_keras_serializable()
class PseudoHuber(keras.losses.Loss):
    def __init__(self, delta=1.0, name="pseudo_huber", **kwargs):
        super().__init__(name=name, **kwargs)
        self.delta = delta

    def call(self, y_true, y_pred):
        ratio = (y_pred - ops.cast(y_true, y_pred.dtype)) / self.delta
        return ops.mean(self.delta**2 * (ops.sqrt(1 + ratio**2) - 1), axis=-1)

    def get_config(self):
        return super().get_config() | {"delta": self.delta}


def quantile(q):
    def loss(y_true, y_pred):
        e = y_true - y_pred
        return ops.mean(ops.maximum(q * e, (q - 1) * e))

    return loss


def train(x, y, loss):
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((10,)), layers.Dense(1)])
    model.compile("adam", loss=loss)
    model.optimizer.learning_rate = 0.05
    history = model.fit(x, y, epochs=12, batch_size=64, verbose=0).history["loss"]
    assert history[-1] < history[0]
    return history[-1], model.predict(x, verbose=0)


def main():
    x, y = load_diabetes(return_X_y=True)
    x = (x / x.std(0)).astype("float32")
    y = ((y - y.mean()) / y.std()).astype("float32")[:, None]

    found = {}
    for name, loss in {
        "log_cosh": log_cosh_loss,
        "pseudo_huber": PseudoHuber(delta=0.5),
        "lambda": lambda y_true, y_pred: ops.mean(ops.abs(y_true - y_pred)),
        "high": quantile(0.9),
        "low": quantile(0.1),
    }.items():
        found[name], prediction = train(x, y, loss)
        found[f"{name}_above"] = float((prediction > y).mean())
    assert found["high_above"] > 0.75 > 0.25 > found["low_above"]

    a, b = np.array([[0.0, 2.0], [1.0, 1.0]]), np.array([[0.5, 1.0], [1.0, -3.0]])
    by_hand = np.log(np.cosh(b - a)).mean(-1)
    np.testing.assert_allclose(log_cosh_loss(a, b), by_hand, atol=1e-6)
    none = PseudoHuber(delta=2.0, reduction=None)(a, b)
    assert none.shape == (2,)
    total = PseudoHuber(delta=2.0, reduction="sum")(a, b)
    weighted = PseudoHuber(delta=2.0)(a, b, sample_weight=np.array([1.0, 0.0]))
    np.testing.assert_allclose(total, np.sum(none), rtol=1e-6)
    np.testing.assert_allclose(weighted, none[0] / 2, rtol=1e-6)

    config = keras.losses.serialize(PseudoHuber(delta=2.0, reduction="sum"))
    again = keras.losses.deserialize(config)
    assert again.delta == 2.0 and again.reduction == "sum" and again.name == "pseudo_huber"
    return found
