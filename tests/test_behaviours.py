"""Keras behaviours that are easily forgotten: outputs of models, layers, models, dtypes.

The numbers are those of the list of behaviours; those of losses, metrics, optimizers and callbacks
are in the files of this name in their directories.
"""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import gpunn
from gpunn import Input, Model, Sequential, layers, metrics, ops

X = np.random.default_rng(0).standard_normal((4, 5)).astype("float32")


def test_each_behaviour_has_a_test():
    found = set()
    for path in Path(__file__).parent.rglob("test_behaviours.py"):
        found |= {int(n) for n in re.findall(r"def test_(?:behaviour_)?(\d\d)_", path.read_text())}
    assert found == set(range(1, 31))


def heads(**options):
    """A compiled model with the outputs "a" (2 numbers) and "b" (3 probabilities)."""
    x = Input((5,))
    a, b = layers.Dense(2, name="a")(x), layers.Dense(3, "softmax", name="b")(x)
    model = Model(x, [a, b])
    model.compile("sgd", **{"loss": ["mse", "sparse_categorical_crossentropy"], **options})
    return model


TARGETS = [np.ones((4, 2), "float32"), np.array([0, 1, 2, 0])]


# --- 8 to 10: compiled losses and metrics ---


@pytest.mark.parametrize(
    ("units", "targets", "kind"),
    [
        (1, np.ones((4, 1)), metrics.BinaryAccuracy),
        (3, np.eye(3)[[0, 1, 2, 0]], metrics.CategoricalAccuracy),
        (3, np.array([0, 1, 2, 0]), metrics.SparseCategoricalAccuracy),
        (3, np.array([[0], [1], [2], [0]]), metrics.SparseCategoricalAccuracy),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_behaviour_08_accuracy_by_the_shapes(name, units, targets, kind):
    model = Sequential([Input((5,)), layers.Dense(units)])
    loss = "mse" if kind is not metrics.SparseCategoricalAccuracy else None
    model.compile("sgd", loss or "sparse_categorical_crossentropy", metrics=[name])
    logs = model.evaluate(X, targets, verbose=0, return_dict=True)
    assert set(logs) == {"loss", name}
    assert type(model.metrics[1].metrics[name]) is kind


def test_behaviour_09_names_of_several_outputs():
    plain = heads(metrics=[["mae"], ["accuracy"]]).evaluate(X, TARGETS, verbose=0, return_dict=True)
    assert list(plain) == ["a_loss", "a_mae", "b_accuracy", "b_loss", "loss"]
    only = heads(weighted_metrics=[["mae"], []])
    assert "a_mae" in only.evaluate(X, TARGETS, verbose=0, return_dict=True)
    both = heads(metrics=[["mae"], []], weighted_metrics=[["mae", "mse"], []])
    logs = both.evaluate(X, TARGETS, verbose=0, return_dict=True)
    assert {"a_mae", "a_weighted_mae", "a_mse"} <= set(logs) and "a_weighted_mse" not in logs


def test_behaviour_09_the_loss_of_an_output_is_not_weighted():
    model = heads(loss_weights=[0.5, 2.0])
    logs = model.evaluate(X, TARGETS, verbose=0, return_dict=True)
    expected = np.mean((model.predict(X, verbose=0)[0] - 1) ** 2)
    assert logs["a_loss"] == pytest.approx(expected, rel=1e-5)
    assert logs["loss"] == pytest.approx(0.5 * logs["a_loss"] + 2 * logs["b_loss"], rel=1e-5)


def test_behaviour_10_unknown_keys_and_outputs_without_a_loss():
    with pytest.raises(ValueError, match="loss has the key 'c', but the outputs are .'a', 'b'."):
        heads(loss={"a": "mse", "c": "mse"})
    with pytest.raises(ValueError, match="metrics has the key 'c'"):
        heads(metrics={"c": "mae"})
    x = Input((5,))
    model = Model(x, [layers.Dense(2, name=n)(x) for n in "abc"])
    model.compile("sgd", ["mse", None, None])
    found = model.evaluate(X, [TARGETS[0], None, None], verbose=0)
    expected = np.mean((model.predict(X, verbose=0)[0] - 1) ** 2)
    assert found == pytest.approx(expected, rel=1e-5)


# --- 18 to 26: layers ---


class Same(layers.Layer):
    def call(self, x):
        return x


def test_behaviour_18_add_weight():
    layer = Same()
    assert layer.add_weight().shape == ()
    for dtype in ("int32", "bool"):
        weight = layer.add_weight(shape=(2,), dtype=dtype)
        assert weight.dtype == dtype and not weight.numpy().any()
    with pytest.raises(ValueError, match="first argument is the shape.*name='kernel'"):
        layer.add_weight("kernel")


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_behaviour_19_trainable_is_a_bool(value):
    layer = layers.Dense(2)
    with pytest.raises(ValueError, match="trainable must be True or False"):
        layer.trainable = value
    with pytest.raises(ValueError, match="trainable must be True or False"):
        layers.Dense(2, trainable=value)


def test_behaviour_19_trainable_recurses():
    inner = Sequential([Input((5,)), layers.Dense(2)])
    outer = Sequential([Input((5,)), inner])
    outer.trainable = False
    assert not inner.trainable and not inner.layers[0].trainable and not outer.trainable_weights
    inner.layers[0].trainable = True
    assert not outer.trainable_weights and len(inner.layers[0].trainable_weights) == 2


def test_behaviour_20_seed_states_are_variables_not_weights():
    class Noisy(Same):
        def __init__(self):
            super().__init__()
            self.seeds = gpunn.random.SeedGenerator(3)

    for layer in (Noisy(), layers.Dropout(0.5, seed=3)):
        assert len(layer.non_trainable_variables) == 1 and not layer.non_trainable_weights
        assert not layer.weights and len(layer.variables) == 1


def test_behaviour_21_paths():
    class Inner(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.early = self.add_weight(shape=(1,), name="early")

        def build(self, shape):
            self.late = self.add_weight(shape=(1,), name="late")
            self.dense = layers.Dense(2, name="dense")
            self.dense.build(shape)

        def call(self, x):
            return self.dense(x) * self.late

    class Outer(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = Inner(name="inner")

        def call(self, x):
            return self.inner(x)

    outer = Outer(name="outer")
    outer(X)
    assert [w.path for w in outer.weights] == [
        "inner/early", "outer/inner/late", "outer/inner/dense/kernel", "outer/inner/dense/bias",
    ]  # fmt: skip
    assert outer.inner.dense.path == "outer/inner/dense"


def test_behaviour_21_names():
    gpunn.utils.clear_session()
    assert [layers.Conv2D(1, 1).name for _ in range(2)] == ["conv2d", "conv2d_1"]
    optimizer = gpunn.optimizers.SGD()
    optimizer.build([gpunn.Variable([1.0])])
    assert [v.path for v in optimizer.variables[:2]] == ["sgd/iteration", "sgd/learning_rate"]


def test_behaviour_22_losses_are_those_of_the_last_call():
    class Penalty(layers.Layer):
        def call(self, x):
            self.add_loss(ops.sum(x))
            return x

    model = Sequential([Penalty(), Penalty()])
    for factor in (1.0, 3.0):
        model(factor * X)
        found = [float(loss) for loss in model.losses]
        np.testing.assert_allclose(found, [factor * X.sum()] * 2, rtol=1e-5)


def test_behaviour_22_activity_is_regularized_per_sample():
    layer = layers.Dense(2, activity_regularizer=gpunn.regularizers.L2(0.5))
    y = layer(X).numpy()
    np.testing.assert_allclose(float(layer.losses[0]), 0.5 * (y**2).sum() / 4, rtol=1e-5)
    layer(X[:0])
    assert sum(float(loss) for loss in layer.losses) == 0


class Sees(layers.Layer):
    def call(self, x, training=None):
        self.seen = training
        return x


def test_behaviour_23_training_comes_from_the_outermost_call():
    class Around(layers.Layer):
        def __init__(self):
            super().__init__()
            self.free, self.fixed = Sees(), Sees()

        def call(self, x):
            return self.fixed(self.free(x), training=False)

    layer = Around()
    layer(X, training=True)
    assert layer.free.seen is True and layer.fixed.seen is False
    layer(X)
    assert layer.free.seen is None


def test_behaviour_23_an_error_does_not_leave_the_flag_set():
    class Fails(layers.Layer):
        def call(self, x, training=None):
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        Sequential([Fails()])(X, training=True)
    layer = Sees()
    layer(X)
    assert layer.seen is None


class Masked(layers.Layer):
    supports_masking = True

    def call(self, a, b=None, mask=None, b_mask=None):
        self.seen = mask, b_mask
        return a


def test_behaviour_24_masks_of_each_argument():
    first, second = (layers.Masking()(np.ones((2, 3, 1), "float32")) for _ in range(2))
    layer = Masked()
    y = layer(first, second)
    assert layer.seen[0] is first._keras_mask and layer.seen[1] is second._keras_mask
    assert y._keras_mask is first._keras_mask
    layer([first, {"k": second, "n": np.ones((2, 3, 1), "float32")}])
    assert layer.seen == ([first._keras_mask, {"k": second._keras_mask, "n": None}], None)


def test_behaviour_24_a_mask_that_is_given_is_attached():
    mask = np.array([[True, False, True]])
    y = Masked()(np.ones((1, 3), "float32"), mask=mask)
    np.testing.assert_array_equal(y._keras_mask.numpy(), mask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the mask ends here
        assert Same()(np.ones((1, 3), "float32"), mask=mask)._keras_mask is None


def test_behaviour_25_build_and_call_agree():
    class Two(layers.Layer):
        def build(self, a_shape, b_shape):
            self.shapes = a_shape, b_shape

        def call(self, a, b):
            return a

    layer = Two()
    layer(X, b=X[:, :2])
    assert layer.shapes == ((4, 5), (4, 2))

    class Wrong(Two):
        def build(self, a_shape, c_shape):
            pass

    with pytest.raises(ValueError, match=r"build\(\) asks for \['c_shape'\]"):
        Wrong()(X, X)
    for value in (3, "text", [1.0, 2.0]):
        with pytest.raises(ValueError, match="takes tensors or arrays as positional arguments"):
            Same()(value)


def test_behaviour_26_layers_without_state_are_built_at_once():
    class Builds(Same):
        def build(self, shape):
            pass

    assert Same().built and layers.Flatten().built and layers.ReLU().built
    assert not Builds().built and not layers.Dense(2).built
    layer = Builds()
    layer(X)
    assert layer.built


# --- 27 and 28: models ---


def doubled(shape, **options):
    x = Input(shape, name="x", **options)
    return Model(x, x * 2)


@pytest.mark.parametrize(
    ("wanted", "given"), [((5, 1), (4, 5)), ((5,), (4, 5, 1)), ((1,), (4,)), ((), (4, 1))]
)
def test_behaviour_27_an_axis_of_one_comes_and_goes(wanted, given):
    value = np.arange(np.prod(given), dtype="float32").reshape(given)
    found = doubled(wanted)(value).numpy()
    np.testing.assert_array_equal(found, 2 * value.reshape(4, *wanted))


def test_behaviour_27_values_are_cast_to_the_dtype_of_the_input():
    assert doubled((5,), dtype="int32")(np.full((1, 5), 3.7)).numpy().tolist() == [[6] * 5]
    assert doubled((5,))(np.ones((1, 5), "int64")).dtype == "float32"


def test_behaviour_27_matched_by_name():
    a, b = Input((5,), name="a"), Input((5,), name="b")
    for inputs in ([a, b], {"b": b, "a": a}, {"first": a, "second": b}):
        model = Model(inputs, a - b)
        found = model({"b": X, "a": 3 * X, "extra": X[:1]})
        np.testing.assert_allclose(found.numpy(), 2 * X, rtol=1e-6)
    np.testing.assert_allclose(model({"second": X, "first": 3 * X}).numpy(), 2 * X, rtol=1e-6)
    with pytest.raises(ValueError, match="the input 'b' is missing in a dict with the keys .'a'."):
        Model([a, b], a - b)({"a": X})


def test_behaviour_27_optional_inputs():
    class Sum(layers.Layer):
        def call(self, x, y=None):
            return x if y is None else x + y

    a, b = Input((5,), name="a"), Input((5,), name="b", optional=True)
    for inputs in ([a, b], {"a": a, "b": b}):
        model = Model(inputs, Sum()(a, b))
        for value, factor in ((None, 1), (X, 2)):
            given = [X, value] if isinstance(inputs, list) else {"a": X, "b": value}
            np.testing.assert_allclose(model(given).numpy(), factor * X)
            np.testing.assert_allclose(model.predict(given, verbose=0), factor * X)
    np.testing.assert_allclose(model({"a": X}).numpy(), X)
    with pytest.raises(ValueError, match="the input 'a' is None"):
        model({"a": None, "b": X})


def test_behaviour_27_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"expected shape=\(None, 7\), found shape=\(4, 5\)"):
        doubled((7,))(X)


def test_behaviour_27_disconnected():
    a, b = Input((5,), name="a"), Input((5,), name="b")
    with pytest.raises(ValueError, match="not connected to the inputs alone.*'b'"):
        Model(a, b * 2)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: Sequential([layers.Dense(2, name="d"), layers.ReLU(name="d")]), ValueError,
         "Two layers of Sequential .* are named 'd'"),
        (lambda: Sequential([Input((5,)), Input((5,))]), ValueError, "can only be the first"),
        (lambda: Sequential([Input((5,)), layers.Dense(2), Input((2,))]), ValueError,
         "can only be the first"),
        (lambda: Sequential()(X), ValueError, "has no layers. Add some first"),
        (lambda: setattr(Sequential(), "layers", []), AttributeError, r"Use add\(\) and pop\(\)"),
    ],
)  # fmt: skip
def test_behaviour_28_what_sequential_refuses(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_behaviour_28_structures_of_inputs():
    class Sum(layers.Layer):
        def call(self, inputs):
            parts = inputs.values() if isinstance(inputs, dict) else inputs
            return sum(parts)

    for given in ([X, X], {"a": X, "b": X}):
        model = Sequential([Sum(), layers.Rescaling(0.5)])
        np.testing.assert_allclose(model(given).numpy(), X, rtol=1e-6)


# --- 30: dtypes ---


@pytest.mark.parametrize(
    ("compute", "dtype"),
    [
        (lambda: ops.add(np.ones(2, "int32"), np.ones(2, "float16")), "float16"),
        (lambda: ops.multiply(np.ones(2, "int32"), 1.5), "float32"),
        (lambda: ops.convert_to_tensor(np.ones(2, "int32")) + 1.5, "float32"),
        (lambda: ops.mean(np.ones(2, "int32")), "float32"),
        (lambda: ops.mean(np.ones(2, "uint8")), "float32"),
        (lambda: ops.sum(np.ones(2, "uint8")), ("uint32", "int32")),
        (lambda: ops.sum(np.ones(2, "int8")), "int32"),
        (lambda: ops.argmax(np.ones(2, "float32")), "int32"),
        (lambda: ops.argmin(np.ones(2, "float16")), "int32"),
    ],
)
def test_behaviour_30_dtype_rules(compute, dtype):
    assert compute().dtype in (dtype if isinstance(dtype, tuple) else (dtype,))
