"""What every layer does around `call`: weights, names, masks, dtypes, losses, errors."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops
from gpunn.errors import DTypeError, ShapeError

keras = pytest.importorskip("keras")

X = np.arange(12, dtype="float32").reshape(3, 4) / 10


class Scale(layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


class Outer(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = self.add_weight((2,), name="first")
        self.parts = [layers.Dense(3), {"b": layers.Dense(2)}]
        self.drop = layers.Dropout(0.5)

    def call(self, x):
        return self.parts[1]["b"](self.drop(self.parts[0](x)))


# --- weights (18, 20, 21) ---


def test_add_weight_defaults_as_keras():
    ours, theirs = layers.Layer(), keras.layers.Layer()
    for dtype in (None, "int32", "bool"):
        a, b = ours.add_weight(dtype=dtype), theirs.add_weight(dtype=dtype)
        assert a.shape == b.shape == ()
        assert a.dtype == b.dtype
        if dtype:
            assert a.numpy() == 0
    with pytest.raises(ValueError, match=r"first argument is the shape, received 'kernel'.*name="):
        ours.add_weight("kernel", (2,))


def test_add_weight_options():
    layer = layers.Layer()
    w = layer.add_weight(
        (2, 3), "ones", trainable=False, regularizer="l2", constraint="non_neg", name="w"
    )
    np.testing.assert_array_equal(w.numpy(), np.ones((2, 3)))
    assert not w.trainable and w.regularizer.l2 == 0.01 and w.constraint is not None
    assert layer.non_trainable_weights == [w] and layer.trainable_weights == []


def test_paths_as_keras():
    gpunn.utils.clear_session()
    keras.utils.clear_session()

    class Theirs(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="outer")
            self.first = self.add_weight(shape=(2,), name="first")
            self.a, self.b = keras.layers.Dense(3), keras.layers.Dense(2)
            self.drop = keras.layers.Dropout(0.5)

        def call(self, x):
            return self.b(self.drop(self.a(x)))

    ours, theirs = Outer(name="outer"), Theirs()
    model = gpunn.Sequential([layers.Input((4,)), ours, layers.Dense(1)])
    reference = keras.Sequential([keras.Input((4,)), theirs, keras.layers.Dense(1)])
    assert [w.path for w in model.weights] == [w.path for w in reference.weights]
    assert {v.path for v in model.variables} == {v.path for v in reference.variables}
    deferred = gpunn.Sequential([layers.Dense(2), layers.Dense(1)])
    deferred(X)
    other = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(1)])
    other(X)
    assert [w.path for w in deferred.weights] == [w.path for w in other.weights]


def test_variables_hold_seed_states_in_the_order_of_the_layers():
    build = lambda k, L: k.Sequential(
        [k.Input((4,)), L.Dense(3, name="a"), L.Dropout(0.5), L.Dense(2, name="b")], name="m"
    )
    ours, theirs = build(gpunn, layers), build(keras, keras.layers)
    kinds = [v.path.split("/")[-1] for v in theirs.variables]
    assert [v.path.split("/")[-1] for v in ours.variables] == kinds
    assert "seed_generator_state" in kinds
    state = ours.layers[1].seed_generator.state
    assert any(v is state for v in ours.non_trainable_variables)
    assert not any(v is state for v in ours.weights)
    ours.compile("adam", "mse", metrics=["mae"])
    ours.train_on_batch(X, X[:, :2])
    assert [v.path.split("/")[-1] for v in ours.variables] == kinds  # no metrics, no optimizer
    assert len(ours.metrics_variables) == 4


def test_get_and_set_weights():
    layer = layers.Dense(2)
    layer(X)
    copies = layer.get_weights()
    copies[0][:] = 7
    assert not (layer.kernel.numpy() == 7).any()
    layer.set_weights([[[1, 2]] * 4, [3, 4]])  # nested lists are fine
    np.testing.assert_array_equal(layer.bias.numpy(), [3, 4])


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([np.ones((4, 2))], ValueError, "has 2 weights, received 1"),
        ([np.ones((4, 2)), np.ones(3)], ShapeError, r"bias' has shape \(2,\), received .*\(3,\)"),
        ([np.ones((4, 2)), np.array(["a", "b"])], ValueError, "could not convert|numbers"),
        ([np.ones((4, 2)), [[1.0], [2.0, 3.0]]], ValueError, "inhomogeneous|sequence|shape"),
    ],
)
def test_set_weights_sets_all_or_none(weights, error, message):
    layer = layers.Dense(2)
    layer(X)
    before = layer.get_weights()
    with pytest.raises((error, DTypeError), match=message):
        layer.set_weights(weights)
    for a, b in zip(layer.get_weights(), before):
        np.testing.assert_array_equal(a, b)


# --- trainable (19) ---


@pytest.mark.parametrize("value", [1, 0, None, "yes", np.bool_(True)])
def test_trainable_is_a_bool(value):
    with pytest.raises(ValueError, match="trainable must be True or False"):
        layers.Dense(1, trainable=value)
    layer = layers.Dense(1)
    with pytest.raises(ValueError, match="trainable must be True or False"):
        layer.trainable = value
    assert layer.trainable is True


def test_trainable_reaches_all_layers_inside():
    layer = Outer()
    layer(X)
    assert len(layer.trainable_weights) == 5
    layer.trainable = False
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 5
    assert not layer.parts[1]["b"].trainable
    layer.parts[0].trainable = True
    assert layer.trainable_weights == []  # the outer layer decides
    layer.trainable = True
    assert len(layer.trainable_weights) == 5


# --- losses (22) ---


def test_losses_reset_on_every_call():
    layer = layers.ActivityRegularization(l2=1.0)
    for _ in range(3):
        layer(X)
        assert [float(v) for v in layer.losses] == pytest.approx([float((X**2).sum()) / 3])


def test_activity_regularization_of_an_empty_batch_is_zero():
    layer = layers.Dense(2, activity_regularizer="l2")
    layer(X[:0])
    assert sum(float(v) for v in layer.losses) == 0


def test_a_shared_layer_adds_its_loss_for_each_use():
    def make(k):
        class Twice(k.layers.Layer):
            def __init__(self):
                super().__init__()
                self.penalty = k.layers.ActivityRegularization(l2=1.0)

            def call(self, x):
                return self.penalty(self.penalty(x) * 2)

        return Twice()

    ours, theirs = make(gpunn), make(keras)
    for _ in range(2):
        ours(X)
        theirs(X)
    assert sorted(map(float, ours.losses)) == pytest.approx(sorted(map(float, theirs.losses)))


def test_add_loss_and_regularizers_join_losses():
    class Costly(Scale):
        def call(self, x):
            self.add_loss([ops.sum(x), 2.0])
            return super().call(x)

    layer = Costly()
    layer(X)
    layer.factor.regularizer = gpunn.regularizers.L2(1.0)
    assert [float(v) for v in layer.losses] == pytest.approx([float(X.sum()), 2.0, 4.0])
    layer.trainable = False
    assert len(layer.losses) == 2


# --- training (23) ---


class Sees(layers.Layer):
    def call(self, x, training=None):
        self.seen = training
        return x


class Around(layers.Layer):
    def __init__(self, **fixed):
        super().__init__()
        self.inner, self.fixed = Sees(), fixed

    def call(self, x):
        return self.inner(x, **self.fixed)


def test_training_reaches_layers_inside():
    layer = Around()
    layer(X, training=True)
    assert layer.inner.seen is True
    layer(X)
    assert layer.inner.seen is None  # its own default
    explicit = Around(training=False)
    explicit(X, training=True)
    assert explicit.inner.seen is False


# --- masks (24) ---


MASK = np.array([[True, False, True, True]] * 3)


def masked(x, mask=MASK):
    x = ops.convert_to_tensor(x)
    x._keras_mask = ops.convert_to_tensor(mask)
    return x


class Takes(layers.Layer):
    supports_masking = True

    def call(self, a, b=None, mask=None, b_mask=None):
        self.masks = mask, b_mask
        return a if not isinstance(a, list) else a[0]


def test_mask_of_the_first_argument_and_of_others():
    layer = Takes()
    y = layer(masked(X), masked(X, ~MASK))
    np.testing.assert_array_equal(layer.masks[0].numpy(), MASK)
    np.testing.assert_array_equal(layer.masks[1].numpy(), ~MASK)
    np.testing.assert_array_equal(y._keras_mask.numpy(), MASK)
    layer(X, X)
    assert layer.masks == (None, None)


def test_masks_of_nested_arguments_keep_the_structure():
    layer = Takes()
    layer([masked(X), ops.convert_to_tensor(X)])
    mask, none = layer.masks[0]
    np.testing.assert_array_equal(mask.numpy(), MASK)
    assert none is None


def test_explicit_mask_is_attached_where_masks_are_supported():
    y = layers.Activation("relu")(X, mask=ops.convert_to_tensor(MASK))
    np.testing.assert_array_equal(y._keras_mask.numpy(), MASK)


def test_a_cast_keeps_the_mask():
    y = layers.Identity(dtype="float64")(masked(X))
    assert y.dtype == "float64"
    np.testing.assert_array_equal(y._keras_mask.numpy(), MASK)


def test_a_layer_without_mask_support_warns_and_drops_it():
    with pytest.warns(UserWarning, match="does not support masks"):
        y = layers.Flatten()(masked(X))
    assert getattr(y, "_keras_mask", None) is None


def test_sequential_hands_masks_on_as_its_layers_do():
    model = gpunn.Sequential([layers.Activation("relu"), layers.Identity()])
    np.testing.assert_array_equal(model(masked(X))._keras_mask.numpy(), MASK)
    ends = gpunn.Sequential([layers.Activation("relu"), layers.Flatten()])
    with pytest.warns(UserWarning, match="does not support masks"):
        assert ends(masked(X))._keras_mask is None
    x = ops.convert_to_tensor(X)
    np.testing.assert_array_equal(
        model(x, mask=ops.convert_to_tensor(MASK))._keras_mask.numpy(), MASK
    )
    assert x._keras_mask is None  # the caller's tensor stays as it was


# --- build (25, 26) ---


def test_build_gets_the_shapes_its_parameters_name():
    class Two(layers.Layer):
        def build(self, a_shape, b_shape):
            self.shapes = a_shape, b_shape

        def call(self, a, b):
            return a

    layer = Two()
    layer(X, X[:, :2])
    assert layer.shapes == ((3, 4), (3, 2))

    class Wrong(Two):
        def build(self, a_shape, c_shape):
            pass

    with pytest.raises(ValueError, match=r"build\(\) asks for \['c_shape'\].*'a', 'b'"):
        Wrong()(X, X)


@pytest.mark.parametrize("value", [3, 2.5, "text", [1.0, 2.0]])
def test_positional_inputs_are_tensors(value):
    with pytest.raises(ValueError, match="takes tensors or arrays as positional arguments"):
        layers.Dense(2)(value)


def test_layers_without_state_are_built_at_once():
    assert layers.Dropout(0.5).built and layers.Flatten().built and layers.ReLU().built
    assert not layers.Dense(2).built and not Scale().built
    assert not gpunn.Sequential([layers.Flatten()]).built
    layer = Scale()
    layer.build((None, 4))
    assert layer.built and layer.factor.shape == (4,)


def test_build_once_and_super_build():
    class More(Scale):
        count = 0

        def build(self, input_shape):
            super().build(input_shape)
            type(self).count += 1
            self.shift = self.add_weight((1,), name="shift")

    layer = More()
    layer(X)
    layer(X)
    assert More.count == 1 and [w.name for w in layer.weights] == ["factor", "shift"]


def test_the_first_argument_by_keyword():
    layer = layers.Dense(2)
    assert layer(inputs=X).shape == (3, 2)
    with pytest.raises(ShapeError, match="expected axis -1"):
        layer(inputs=X[:, :3])


# --- shapes, dtypes ---


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (layers.Dense(2), (3,), "min_ndim=2, found ndim=1"),
        (layers.Permute((2, 1)), (3, 2), "ndim=3, found ndim=2"),
        (layers.RepeatVector(2), (3, 2, 2), "ndim=2, found ndim=3"),
        (layers.Flatten(), (), "min_ndim=1, found ndim=0"),
        (layers.Reshape((5, -1)), (2, 4), "4 elements a sample do not fill"),
        (layers.Reshape((3,)), (2, 4), "reshape"),
    ],
)
def test_wrong_shapes(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(np.zeros(shape, "float32"))


def test_wrong_feature_count_after_building():
    layer = layers.Dense(2)
    layer(X)
    before = layer.get_weights()
    with pytest.raises(ShapeError, match=r"axis -1 to have length 4, found 3.*\(3, 3\)"):
        layer(X[:, :3])
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    prelu = layers.PReLU()
    prelu(X)
    with pytest.raises(ShapeError, match="axis 1 to have length 4, found 3"):
        prelu(X[:, :3])


def test_unknown_last_axis():
    with pytest.raises(ValueError, match="last axis of the input must be known"):
        layers.Dense(2).compute_output_shape((None, None))
    with pytest.raises(ValueError, match="must be known"):
        layers.PReLU().compute_output_shape((None, None))


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool", "float16", "float64"])
def test_any_input_dtype(dtype):
    x = (np.arange(12).reshape(3, 4) % 2).astype(dtype)
    model = gpunn.Sequential([layers.Flatten(), layers.Dense(2, activation="relu")])
    y = model(x)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y.numpy(), model(x.astype("float32")).numpy(), rtol=1e-6)


def test_floatx_is_the_default_dtype():
    gpunn.config.set_floatx("float64")
    layer = layers.Dense(2)
    assert layer(X).dtype == "float64" and layer.kernel.dtype == "float64"


def test_input_spec():
    spec = layers.InputSpec(min_ndim=2, max_ndim=3, axes={-1: 4})
    spec.check(gpunn.KerasTensor((None, 4)), "l")
    with pytest.raises(ShapeError, match="max_ndim=3, found ndim=4"):
        spec.check(np.zeros((1, 2, 3, 4)), "l")
    assert repr(spec) == "InputSpec(max_ndim=3, min_ndim=2, axes={-1: 4})"
    assert spec == layers.InputSpec(min_ndim=2, max_ndim=3, axes={-1: 4})


# --- constructor errors ---


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Dense(0), "units must be a positive integer, received 0"),
        (lambda: layers.Dense(2.0), "units must be a positive integer"),
        (lambda: layers.Dense(True), "units must be a positive integer"),
        (lambda: layers.Dense(2, "rleu"), "Did you mean 'relu'"),
        (lambda: layers.Dense(2, kernel_initializer="glorot"), "Unknown initializer"),
        (lambda: layers.Dense(2, kernel_regulariser="l2"), "Did you mean 'kernel_regularizer'"),
        (lambda: layers.Dense(2, dtype="int31"), "dtype policy.*int31.*Did you mean 'int32'"),
        (lambda: layers.Dense(2, name="a/b"), "name must be a string without '/'"),
        (lambda: layers.Dense(2, name=3), "name must be a string"),
        (lambda: layers.Dropout(1.5), r"rate must lie in \[0, 1\], received 1.5"),
        (lambda: layers.Dropout("0.5"), "rate must lie in"),
        (lambda: layers.Dropout(0.5, seed=-1), "seed must be a non-negative integer"),
        (lambda: layers.GaussianDropout(1.0), "rate must be below 1"),
        (lambda: layers.GaussianNoise(-1), "stddev must not be negative"),
        (lambda: layers.ReLU(-1), "max_value must not be negative"),
        (lambda: layers.LeakyReLU(-0.1), "negative_slope must be a number of at least 0"),
        (lambda: layers.Permute((1, 3)), "permutation of 1 to 2"),
        (lambda: layers.Flatten("channels"), "Did you mean"),
        (lambda: layers.RepeatVector(2.5), "n must be a positive integer"),
        (lambda: layers.Lambda(3), "function must be callable"),
        (lambda: layers.Input(), "needs either shape or batch_shape"),
        (lambda: layers.Input(4), r"shape must be a tuple, received 4. Write \(4,\)"),
        (lambda: layers.deserialize({"class_name": "Dens", "config": {}}), "Did you mean 'dense'"),
    ],
)
def test_constructor_errors(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_numpy_integers_and_floats_are_numbers():
    assert layers.Dense(np.int64(3)).get_config()["units"] == 3
    assert layers.RepeatVector(np.int32(2)).n == 2
    assert layers.Dropout(np.float32(0.5)).rate == 0.5


def test_no_call_method():
    with pytest.raises(NotImplementedError, match=r"has no call\(\)"):
        layers.Layer()(X)


def test_lambda_is_not_saved():
    with pytest.raises(NotImplementedError, match="Write a Layer subclass"):
        layers.Lambda(lambda x: x).get_config()


def test_activity_regularizer_of_any_layer_is_in_its_config():
    config = layers.Flatten(activity_regularizer="l2").get_config()
    assert layers.Flatten.from_config(config).activity_regularizer.l2 == 0.01
    assert "activity_regularizer" not in layers.Flatten().get_config()
