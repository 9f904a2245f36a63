"""Model subclasses: their own `call`, losses, weights; and what is not there yet."""

import numpy as np

import gpunn
from gpunn import layers, ops

X = np.random.default_rng(0).standard_normal((20, 4)).astype("float32")
Y = X[:, :1] - X[:, 1:2]


class Residual(gpunn.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [layers.Dense(4, "tanh") for _ in range(2)]
        self.drop = layers.Dropout(0.5)
        self.head = layers.Dense(1)
        self.scale = self.add_weight((), "ones", name="scale")

    def call(self, x, training=False):
        for block in self.blocks:
            x = x + block(x)
        return self.head(self.drop(x, training=training)) * self.scale


def test_it_trains_and_predicts():
    gpunn.utils.set_random_seed(1)
    model = Residual()
    model.compile("adam", "mse", metrics=["mae"])
    assert not model.built
    history = model.fit(X, Y, epochs=30, batch_size=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model.built and len(model.trainable_weights) == 7
    first, second = (model.predict(X, verbose=0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, model(X).numpy(), rtol=1e-6)


def test_paths():
    model = Residual(name="net")
    model(X)
    names = [w.path.split("/", 1)[1] for w in model.weights if "dense" not in w.path]
    assert names == ["scale"] and all(w.path.startswith("net/") for w in model.weights)


def test_weights_of_one_model_fit_another():
    a, b = Residual(), Residual()
    a(X)
    b(X)
    assert not np.array_equal(a(X).numpy(), b(X).numpy())
    b.set_weights(a.get_weights())
    np.testing.assert_array_equal(a(X).numpy(), b(X).numpy())
    assert a.count_params() == 2 * 20 + 5 + 1


def test_add_loss_is_minimized():
    class Penalized(gpunn.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight((4,), "ones", name="w")

        def call(self, x):
            self.add_loss(ops.sum(self.w**2))
            return x * self.w

    model = Penalized()
    model.compile(gpunn.optimizers.SGD(0.1))  # no other loss
    history = model.fit(X, epochs=3, batch_size=20, verbose=0).history
    np.testing.assert_allclose(model.w.numpy(), 0.8**3, rtol=1e-5)
    np.testing.assert_allclose(history["loss"], [4, 4 * 0.64, 4 * 0.64**2], rtol=1e-5)


def test_a_shared_layer_counts_once_and_gets_both_gradients():
    class Twice(gpunn.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(4, use_bias=False, kernel_regularizer="l2")
            self.same = self.dense

        def call(self, x):
            return self.same(self.dense(x))

    model = Twice()
    model(X)
    assert len(model.weights) == len(model.layers) == 1
    kernel = model.dense.kernel
    with gpunn.GradientTape() as tape:
        loss = ops.sum(model(X))
    found = tape.gradient(loss, kernel).numpy()
    ones = np.ones((20, 4))
    K = kernel.numpy()
    np.testing.assert_allclose(found, X.T @ (ones @ K.T) + (X @ K).T @ ones, rtol=1e-3, atol=1e-3)


def test_a_custom_training_loop():
    gpunn.utils.set_random_seed(2)
    model = gpunn.Sequential([layers.Input((4,)), layers.Dense(1)])
    reference = gpunn.Sequential([layers.Input((4,)), layers.Dense(1)])
    reference.set_weights(model.get_weights())
    optimizer, loss = gpunn.optimizers.Adam(0.01), gpunn.losses.MeanSquaredError()
    for _ in range(5):
        with gpunn.GradientTape() as tape:
            value = loss(Y, model(X, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    reference.compile(gpunn.optimizers.Adam(0.01), "mse")
    reference.fit(X, Y, batch_size=20, epochs=5, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), reference.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_compile_again_starts_anew():
    model = gpunn.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    weights = model.get_weights()
    model.compile("sgd", "mae")
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
    assert list(model.fit(X, Y, verbose=0).history) == ["loss"]
    assert int(model.optimizer.iterations) == 1


def test_metrics_names_and_metrics():
    model = gpunn.Sequential([layers.Input((4,)), layers.Dense(1)])
    assert model.metrics == [] and not model.compiled
    model.compile("sgd", "mse", metrics=["mae"])
    model.train_on_batch(X, Y)
    assert model.metrics_names == ["loss", "mae"]
    assert [m.name for m in model.metrics] == ["loss", "compile_metrics"]
    model.reset_metrics()
    assert float(model.metrics[1].result()["mae"]) == 0
