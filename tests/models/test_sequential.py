"""Sequential: building, names, adding and removing, inputs of any structure (28)."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.errors import ShapeError

keras = pytest.importorskip("keras")

X = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")


def dense(units=2, **options):
    return layers.Dense(units, **options)


# --- building ---


@pytest.mark.parametrize(
    "make",
    [
        lambda: gpunn.Sequential([layers.Input((4,)), dense()]),
        lambda: gpunn.Sequential([layers.Input(batch_shape=(None, 4)), dense()]),
        lambda: gpunn.Sequential([dense(input_shape=(4,))]),
        lambda: gpunn.Sequential([dense(input_dim=4)]),
    ],
)
def test_a_known_input_builds_at_once(make):
    model = make()
    assert model.built and model.input_shape == (None, 4) and model.output_shape == (None, 2)
    assert len(model.weights) == 2


def test_a_deferred_model_builds_at_the_first_call_or_fit():
    model = gpunn.Sequential([dense(3), dense(1)])
    assert not model.built and model.weights == []
    with pytest.raises(AttributeError, match="is not built"):
        model.input_shape  # noqa: B018
    with pytest.raises(AttributeError, match="is not built"):
        model.output_shape  # noqa: B018
    with pytest.raises(ValueError, match="does not know its input shape"):
        model.build()
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert model.built and len(model.weights) == 4
    with pytest.raises(ShapeError, match="axis -1 to have length 4, found 3"):
        model(X[:, :3])


def test_add_one_by_one():
    model = gpunn.Sequential()
    model.add(layers.Input((4,)))
    model.add(dense(3))
    assert model.built and model.output_shape == (None, 3)
    model.add(dense(2))
    assert model.output_shape == (None, 2) and len(model.weights) == 4
    assert model(X).shape == (6, 2)
    model.add(lambda x: x * 2)
    assert isinstance(model.layers[-1], layers.Lambda)


def test_pop():
    model = gpunn.Sequential([layers.Input((4,)), dense(3), dense(2)])
    last = model.layers[-1]
    assert model.pop() is last
    assert model.output_shape == (None, 3) and model(X).shape == (6, 3)
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], verbose=0)
    empty = gpunn.Sequential()
    with pytest.raises(ValueError, match="has no layer to remove"):
        empty.pop()


def test_a_layer_added_after_training():
    model = gpunn.Sequential([layers.Input((4,)), dense(3)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], verbose=0)
    model.add(dense(3))
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, X[:, :3], verbose=0)
    for a, b in zip(model.get_weights(), before):
        assert not np.array_equal(a, b)


# --- errors (28) ---


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: gpunn.Sequential([dense(name="a"), dense(name="a")]), "named 'a'"),
        (lambda: gpunn.Sequential([layers.Input((4,)), layers.Input((4,))]), "first element"),
        (lambda: gpunn.Sequential([dense(), layers.Input((4,))]), "first element"),
        (lambda: gpunn.Sequential([layers.Dense]), r"Write Dense\(10\), not Dense"),
        (lambda: gpunn.Sequential([3]), r"takes layers, received 3"),
        (lambda: gpunn.Sequential()(X), "has no layers"),
        (lambda: gpunn.Sequential([layers.Input((4,))])(X), "has no layers"),
        (lambda: gpunn.Sequential([layers.Input((4,)), layers.Permute((2, 1))]), "ndim=3"),
    ],
)
def test_errors(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_layers_is_a_copy_and_cannot_be_set():
    model = gpunn.Sequential([dense()])
    model.layers.append(3)
    assert len(model.layers) == 1
    with pytest.raises(AttributeError, match=r"add\(\) and pop\(\)"):
        model.layers = []


def test_get_layer():
    model = gpunn.Sequential([dense(name="a"), dense(name="b")])
    assert model.get_layer("b") is model.layers[1] is model.get_layer(index=1)
    with pytest.raises(ValueError, match="no layer 'c'.*Its layers: a, b"):
        model.get_layer("c")
    with pytest.raises(ValueError, match="a name or an index"):
        model.get_layer()


# --- inputs ---


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_an_axis_of_one_comes_and_goes(shape):
    """As in Keras: (n, 4) for an Input of (4, 1), and the other way round."""
    results = []
    for k in (gpunn, keras):
        model = k.Sequential([k.Input(shape), k.layers.Flatten(), k.layers.Dense(1)])
        model.set_weights([np.arange(4, dtype="float32")[:, None], np.ones(1, "float32")])
        results.append([np.asarray(model(x)) for x in (X, X[..., None])])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_dtype_of_the_input():
    model = gpunn.Sequential([layers.Input((4,), dtype="int32"), layers.Lambda(lambda x: x // 2)])
    y = model(np.array([[1.9, 2.9, 3.9, 5.0]]))
    assert y.dtype == "int32" and y.tolist() == [[0, 1, 1, 2]]


class Sum(layers.Layer):
    def call(self, inputs):
        return inputs["a"] + inputs["b"] if isinstance(inputs, dict) else inputs[0] + inputs[1]


@pytest.mark.parametrize("make", [lambda x: {"a": x, "b": x}, lambda x: [x, x], lambda x: (x, x)])
def test_structures_of_inputs(make):
    gpunn.utils.set_random_seed(1)
    model = gpunn.Sequential([Sum(), dense(1)])
    model.compile("sgd", "mse")
    model.fit(make(X), X[:, :1], batch_size=4, epochs=2, validation_split=0.34, verbose=0)
    y = model.predict(make(X), batch_size=4, verbose=0)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(y, 2 * X @ kernel + bias, rtol=1e-5)
    assert np.isfinite(model.evaluate(make(X), X[:, :1], verbose=0))
    assert np.isfinite(model.train_on_batch(make(X), X[:, :1]))


def test_structures_of_outputs():
    class Both(layers.Layer):
        def call(self, x):
            return {"twice": x * 2, "pair": [x, x + 1]}

    found = gpunn.Sequential([Both()]).predict(X, batch_size=4, verbose=0)
    np.testing.assert_array_equal(found["twice"], X * 2)
    np.testing.assert_array_equal(found["pair"][1], X + 1)


# --- nesting, configs ---


def test_nested():
    inner = gpunn.Sequential([dense(3, activation="relu"), layers.Dropout(0.5)], name="inner")
    model = gpunn.Sequential([layers.Input((4,)), inner, dense(1)], name="outer")
    assert model.weights[0].path.startswith("outer/inner/dense")
    model.compile("adam", "mse")
    inner.trainable = False
    model.compile("adam", "mse")
    before = inner.get_weights()
    model.fit(X, X[:, :1], epochs=2, verbose=0)
    np.testing.assert_array_equal(inner.get_weights()[0], before[0])


@pytest.mark.parametrize("deferred", [False, True])
def test_config_round_trip(deferred):
    first = [] if deferred else [layers.Input((4,))]
    model = gpunn.Sequential([*first, dense(3, activation="relu"), layers.Dropout(0.2), dense(1)])
    model(X)
    again = gpunn.Sequential.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert again.built
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(X).numpy(), model(X).numpy())
    assert [w.path for w in again.weights] == [w.path for w in model.weights]


def test_trainable_toggles_between_fits():
    model = gpunn.Sequential([layers.Input((4,)), dense(3), dense(1)])
    y = X[:, :1]

    def moved():
        before = model.get_weights()
        model.fit(X, y, verbose=0)
        return [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before)]

    model.compile("sgd", "mse")
    assert moved() == [True] * 4
    model.layers[0].trainable = False
    assert moved() == [False, False, True, True]
    before = model.get_weights()
    model.train_on_batch(X, y)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.layers[0].trainable = True
    before = model.get_weights()
    model.train_on_batch(X, y)
    assert not np.array_equal(model.get_weights()[0], before[0])
    assert moved() == [True] * 4
    model.trainable = False
    assert moved() == [False] * 4
    model.trainable = True
    model.layers[1].trainable = False
    model.compile("sgd", "mse")  # a new optimizer, of the first layer only
    assert moved() == [True, True, False, False]
    model.layers[1].trainable = True
    with pytest.raises(ValueError, match=r"layer.trainable = True, call compile\(\) again"):
        model.fit(X, y, verbose=0)
    model.compile("sgd", "mse")
    assert moved() == [True] * 4


def test_lengths_that_no_layer_needs_may_be_others():
    def convolution(package):
        stack = [package.layers.Conv2D(3, 3), package.layers.GlobalMaxPooling2D()]
        return package.Sequential([package.Input((9, 9, 2)), *stack])

    ours, theirs = convolution(gpunn), convolution(keras)
    ours.set_weights(theirs.get_weights())
    x = np.random.default_rng(1).standard_normal((2, 6, 7, 2)).astype("float32")
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-6)


def test_an_input_layer_is_the_input():
    model = gpunn.Sequential([layers.InputLayer(shape=(4,)), dense()])
    assert model.input_shape == (None, 4)
    assert [type(layer).__name__ for layer in model.layers] == ["Dense"]
