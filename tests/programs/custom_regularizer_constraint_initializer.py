"""An initializer, a regularizer and a constraint of one's own, as classes and as functions."""

import numpy as np

import gpunn as keras
from gpunn import initializers, layers, ops, regularizers

ON_SIMULATED_GPU = True


class ScaledIdentity(initializers.Initializer):
    def __init__(self, scale=1.0):
        self.scale = scale

    def __call__(self, shape, dtype=None, **kwargs):
        rows, columns = shape
        return self.scale * ops.eye(rows, columns, dtype=dtype)

    def get_config(self):
        return {"scale": self.scale}


def small_normal(shape, dtype=None):
    return keras.random.normal(shape, stddev=0.01, dtype=dtype, seed=7)


@keras.saving.register_keras_serializable(package="Programs")
class Orthogonal(regularizers.Regularizer):
    """rate · Σ (WᵀW - I)²"""

    def __init__(self, rate=0.1):
        self.rate = rate

    def __call__(self, x):
        gram = ops.matmul(ops.transpose(x), x)
        return self.rate * ops.sum(ops.square(gram - ops.eye(x.shape[-1])))

    def get_config(self):
        return {"rate": float(self.rate)}


def l1_function(x):
    return 1e-3 * ops.sum(ops.absolute(x))


class Centred(keras.constraints.Constraint):
    """Every column's mean is 0."""

    def __call__(self, w):
        return w - ops.mean(w, axis=0, keepdims=True)


def main():
    keras.utils.set_random_seed(5)
    x = np.random.default_rng(5).normal(size=(32, 4)).astype("float32")
    y = np.tanh(x[:, :1] - x[:, 1:2])

    model = keras.Sequential(
        [
            keras.Input(shape=(4,)),
            layers.Dense(
                4,
                activation="tanh",
                kernel_initializer=ScaledIdentity(0.5),
                kernel_regularizer=Orthogonal(0.05),
                bias_initializer=initializers.Constant(0.1),
                name="first",
            ),
            layers.Dense(
                3,
                kernel_initializer=small_normal,
                kernel_regularizer=l1_function,
                kernel_constraint=Centred(),
                bias_constraint="non_neg",
                activity_regularizer=regularizers.L2(1e-3),
                name="second",
            ),
            layers.Dense(1, kernel_constraint=keras.constraints.MaxNorm(0.5)),
        ]
    )
    first, second, last = model.layers
    np.testing.assert_allclose(first.kernel.numpy(), 0.5 * np.eye(4))
    np.testing.assert_allclose(first.bias.numpy(), 0.1)
    assert np.abs(second.kernel.numpy()).max() < 0.1
    by_hand = 0.05 * 4 * (0.25 - 1) ** 2 + 1e-3 * np.abs(second.kernel.numpy()).sum()
    np.testing.assert_allclose(sum(float(loss) for loss in model.losses), by_hand, rtol=1e-5)

    model.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9), loss="mse")
    history = model.fit(x, y, batch_size=16, epochs=10, verbose=0).history["loss"]
    assert history[-1] < history[0]
    np.testing.assert_allclose(second.kernel.numpy().mean(axis=0), 0, atol=1e-6)
    assert second.bias.numpy().min() >= 0
    assert np.linalg.norm(last.kernel.numpy()) <= 0.5 + 1e-5

    again = regularizers.get(regularizers.serialize(Orthogonal(0.2)))
    assert isinstance(again, Orthogonal) and again.rate == 0.2
    config = model.get_layer("first").get_config()
    assert config["kernel_initializer"]["config"] == {"scale": 0.5}
    with keras.saving.custom_object_scope({"ScaledIdentity": ScaledIdentity}):
        layer = layers.Dense.from_config(config)
    assert isinstance(layer.kernel_initializer, ScaledIdentity)
    return {"loss": history, "weights": np.concatenate([w.ravel() for w in model.get_weights()])}
