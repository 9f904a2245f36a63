"""Layers and models that users write: what they may own, take, add, declare, and how they are told.

Where there are numbers they are those of NumPy; names, kinds of results and errors are Keras'.
"""

import copy

import numpy as np
import pytest

import gpunn
from gpunn import Input, Model, layers, ops
from gpunn.errors import ShapeError

X = np.random.default_rng(0).standard_normal((3, 5)).astype("float32")


# --- what belongs to a layer ---


class Collection(layers.Layer):
    """Layers in lists, dicts, tuples, and in each other."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.several = [layers.Dense(2, name="a")]
        self.several.append(layers.Dense(2, name="b"))
        self.named = {"x": layers.Dense(2, name="c"), "y": [layers.Dense(2, name="d")]}
        self.pair = (layers.Dense(2, name="e"),)
        self.scales = [gpunn.Variable(np.ones(1, "float32"), name="s")]

    def call(self, x):
        for layer in [*self.several, self.named["x"], *self.named["y"], *self.pair]:
            x = layer(x)
        return x * self.scales[0]


def test_layers_and_variables_in_lists_and_dicts_belong():
    outer = Collection(name="outer")
    expected = X
    y = outer(X)
    for name in "abcde":
        kernel, bias = (
            w.numpy() for w in outer.trainable_weights if w.path.split("/")[-2:-1] == [name]
        )
        expected = expected @ kernel + bias
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert [w.path for w in outer.weights[1:3]] == ["outer/a/kernel", "outer/a/bias"]
    assert len(outer.weights) == 11
    outer.trainable = False
    assert not outer.trainable_weights and not outer.named["y"][0].trainable


def test_models_list_their_layers():
    class Net(Model):
        def __init__(self):
            super().__init__()
            self.blocks = [layers.Dense(2, name=f"block{i}") for i in range(3)]
            self.heads = {"h": layers.Dense(1, name="head")}

        def call(self, x):
            for block in self.blocks:
                x = block(x)
            return self.heads["h"](x)

    net = Net()
    net.build((None, 5))
    assert [layer.name for layer in net.layers] == ["block0", "block1", "block2", "head"]
    assert net.built and net.count_params() == 12 + 6 + 6 + 3
    assert net.get_layer("head") is net.heads["h"]


def test_building_a_model_of_several_inputs():
    class Net(Model):
        def __init__(self):
            super().__init__()
            self.left, self.right = layers.Dense(3), layers.Dense(3)

        def call(self, inputs):
            return self.left(inputs["a"]) + self.right(inputs["b"])

    net = Net()
    net.build({"a": (None, 5), "b": (None, 2)})
    assert [w.shape for w in net.weights] == [(5, 3), (3,), (2, 3), (3,)]


def test_what_is_not_built_has_no_parameters_to_count():
    with pytest.raises(ValueError, match="has no weights yet. Build it first"):
        layers.Dense(3).count_params()


def test_copies_have_weights_of_their_own():
    dense = layers.Dense(2)
    dense(X)
    twin = copy.deepcopy(dense)
    twin.set_weights([np.zeros((5, 2)), np.zeros(2)])
    assert np.abs(dense(X).numpy()).sum() > 0 and not twin(X).numpy().any()


# --- build ---


class Shapes(layers.Layer):
    def build(self, shape):
        self.seen = shape
        self.w = self.add_weight(shape=(), initializer="ones", name="w")

    def call(self, inputs):
        return ops.zeros((2,)) * self.w


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        (X, (3, 5)),
        ([X, X[:, :2]], [(3, 5), (3, 2)]),
        ({"a": X, "b": [X[0]]}, {"a": (3, 5), "b": [(5,)]}),
    ],
)
def test_build_sees_the_shapes_of_a_structure(inputs, shape):
    layer = Shapes()
    layer(inputs)
    assert layer.seen == shape and layer.built


class TwoShapes(layers.Layer):
    def build(self, query_shape, value_shape):
        self.w = self.add_weight((query_shape[-1], value_shape[-1]), "ones", name="w")

    def call(self, query, value):
        return ops.matmul(query, self.w) + value


def test_build_with_several_shapes_and_its_config():
    layer = TwoShapes()
    assert layer.get_build_config() is None
    np.testing.assert_allclose(
        layer(X, X[:, :4]).numpy(), X.sum(1, keepdims=True) + X[:, :4], rtol=1e-5
    )
    config = layer.get_build_config()
    assert config == {"shapes_dict": {"query_shape": (3, 5), "value_shape": (3, 4)}}
    twin = TwoShapes()
    twin.build_from_config(config)
    assert twin.w.shape == (5, 4)


def test_build_config_of_one_shape():
    dense = layers.Dense(2)
    dense.build((None, 5))
    assert dense.get_build_config() == {"input_shape": (None, 5)}
    twin = layers.Dense(2)
    twin.build_from_config({"input_shape": [None, 5]})  # as JSON has it
    assert twin.kernel.shape == (5, 2)
    kernel = twin.kernel
    twin.build_from_config({"input_shape": [None, 5]})
    assert twin.kernel is kernel


# --- add_weight ---


def test_add_variable_is_add_weight():
    layer = layers.Layer()
    assert layer.add_variable((2,), "zeros", name="v") is layer.weights[0]


def test_a_shape_that_is_a_number():
    with pytest.raises(ValueError, match=r"the shape must be a tuple. Write \(3,\)"):
        layers.Layer().add_weight(shape=3)


# --- arguments of call ---


class Takes(layers.Layer):
    def call(self, x, other=None, scale=1.0, flip=False, words=("a",)):
        y = x * scale * len(words)
        y = y if other is None else y + other
        return -y if flip else y


def test_arguments_of_its_own():
    layer = Takes()
    np.testing.assert_allclose(layer(X, scale=2.0).numpy(), 2 * X)
    np.testing.assert_allclose(layer(X, X, flip=True).numpy(), -2 * X)
    np.testing.assert_allclose(layer(X, words=["b", "c", "d"]).numpy(), 3 * X)
    np.testing.assert_allclose(layer(X, None).numpy(), X)


def test_arguments_in_a_graph():
    x = Input((5,))
    layer = Takes()
    model = Model(x, [layer(x, scale=3.0), layer(x, other=x, flip=True)])
    first, second = model(X)
    np.testing.assert_allclose(first.numpy(), 3 * X)
    np.testing.assert_allclose(second.numpy(), -2 * X)
    assert len(model.layers) == 2


def test_any_arguments():
    class Any(layers.Layer):
        def call(self, *inputs, **options):
            return inputs[0] + inputs[1] * options.get("factor", 1)

    np.testing.assert_allclose(Any()(X, X, factor=2).numpy(), 3 * X, rtol=1e-6)


def test_an_argument_that_call_does_not_have():
    with pytest.raises(TypeError, match="unexpected keyword argument 'foo'"):
        Takes()(X, foo=1)


@pytest.mark.parametrize(
    ("default", "given", "seen"),
    [
        (None, {}, None), (False, {}, False), (True, {}, True),
        (None, {"training": True}, True), (True, {"training": False}, False),
    ],
)  # fmt: skip
def test_the_default_of_training_holds_where_nobody_says(default, given, seen):
    class Sees(layers.Layer):
        def call(self, x, training=default):
            self.seen = training
            return x

    layer = Sees()
    layer(X, **given)
    assert layer.seen is seen


# --- losses ---


class Penalty(layers.Layer):
    def call(self, x):
        self.add_loss([ops.sum(x), ops.mean(x)])
        self.add_loss(ops.max(x))
        return x


def test_add_loss_in_a_graph():
    x = Input((5,))
    model = Model(x, Penalty()(x))
    assert model.losses == []
    model(X)
    found = [float(loss) for loss in model.losses]
    np.testing.assert_allclose(found, [X.sum(), X.mean(), X.max()], rtol=1e-5)
    model(2 * X)
    assert len(model.losses) == 3


def test_add_loss_takes_no_functions():
    with pytest.raises(ValueError, match="add_loss takes tensors, received the function"):
        layers.Dense(2).add_loss(lambda: 3.0)


def test_an_activity_regularizer_of_a_users_layer():
    class Same(layers.Layer):
        def call(self, x):
            return x

    layer = Same(activity_regularizer=gpunn.regularizers.L1(0.1))
    layer(X)
    np.testing.assert_allclose(float(layer.losses[0]), 0.1 * np.abs(X).sum() / 3, rtol=1e-5)
    assert "activity_regularizer" in layer.get_config()


# --- lengths that are not known ---


class Flat(layers.Layer):
    """Computes with the numbers that ops.shape gives, as code for Keras does."""

    def call(self, x):
        batch, steps, width = ops.shape(x)
        y = ops.reshape(x, (batch * steps, width))
        z = ops.transpose(ops.reshape(x, (batch, steps, 2, width // 2)), (0, 2, 1, 3))
        return y, z, ops.ones((batch, steps)) * ops.cast(batch, "float32")


def test_shapes_in_a_graph():
    x = Input((None, 4))
    outputs = Flat()(x)
    assert [y.shape for y in outputs] == [(None, 4), (None, 2, None, 2), (None, None)]
    values = np.random.default_rng(1).standard_normal((2, 3, 4)).astype("float32")
    y, z, n = Model(x, outputs)(values)
    np.testing.assert_array_equal(y.numpy(), values.reshape(6, 4))
    np.testing.assert_array_equal(z.numpy(), values.reshape(2, 3, 2, 2).transpose(0, 2, 1, 3))
    np.testing.assert_array_equal(n.numpy(), np.full((2, 3), 2.0))


def test_a_class_token():
    class Token(layers.Layer):
        def build(self, shape):
            self.token = self.add_weight((1, 1, shape[-1]), "ones")

        def call(self, x):
            token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, ops.shape(x)[2]))
            return ops.concatenate([token, x], axis=1)

    x = Input((3, 4))
    model = Model(x, Token()(x))
    assert model.output_shape == (None, 4, 4)
    found = model(np.zeros((2, 3, 4))).numpy()
    assert found[:, 0].min() == 1 and not found[:, 1:].any()


class OnTheHost(layers.Layer):
    """Its values are needed: only the user can say what it returns."""

    def call(self, x):
        return ops.convert_to_tensor(np.asarray(x)[:, :2])


class SaysShape(OnTheHost):
    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2)


class SaysSpec(OnTheHost):
    def compute_output_spec(self, x):
        return gpunn.KerasTensor((x.shape[0], 2), x.dtype)


@pytest.mark.parametrize("cls", [SaysShape, SaysSpec])
def test_declared_outputs(cls):
    class Around(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = cls()

        def call(self, x):
            return self.inner(x) * 2

    x = Input((5,))
    y = cls()(x)
    assert y.shape == (None, 2)
    np.testing.assert_array_equal(Model(x, y)(X).numpy(), X[:, :2])
    np.testing.assert_array_equal(Model(x, Around()(x))(X).numpy(), 2 * X[:, :2])


def test_outputs_that_nobody_declares():
    with pytest.raises(TypeError, match="is symbolic: it has a shape, but no values yet"):
        OnTheHost()(Input((5,)))


def test_declared_shapes_of_several_outputs():
    class Two(OnTheHost):
        def call(self, x):
            return super().call(x), {"all": x}

        def compute_output_shape(self, shape):
            return (shape[0], 2), {"all": shape}

    first, rest = Two()(Input((5,)))
    assert first.shape == (None, 2) and rest["all"].shape == (None, 5)


def test_compute_output_shape_of_layers():
    assert layers.Dense(2).compute_output_shape((None, 5)) == (None, 2)
    assert layers.Concatenate().compute_output_shape([(None, 2), (None, 3)]) == (None, 5)
    assert SaysShape().compute_output_shape((7, 5)) == (7, 2)
    spec = layers.Dense(2).compute_output_spec(gpunn.KerasTensor((3, 5)))
    assert spec.shape == (3, 2) and spec.dtype == "float32"


# --- what a layer accepts ---


def accepting(spec):
    class Accepts(layers.Layer):
        def __init__(self):
            super().__init__(name="accepts")
            self.input_spec = spec

        def call(self, x):
            return x

    return Accepts()


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        ({"shape": (None, 4)}, X, r"expected shape=\(None, 4\), found shape=\(3, 5\)"),
        ({"shape": (None, 4)}, X[0], "expected ndim=2, found ndim=1"),
        ({"ndim": 3}, X, "expected ndim=3, found ndim=2"),
        ({"max_ndim": 1}, X, "max_ndim=1, found ndim=2"),
        ({"axes": {-1: 4}}, X, "axis -1 to have length 4, found 5"),
    ],
)
def test_what_an_input_spec_refuses(spec, value, message):
    with pytest.raises(ShapeError, match=f"Input of layer 'accepts' .*{message}"):
        accepting(layers.InputSpec(**spec))(value)


def test_dtypes_of_an_input_spec():
    with pytest.raises(ValueError, match="expected dtype=int32, found dtype=float32"):
        accepting(layers.InputSpec(dtype="int32"))(X)


@pytest.mark.parametrize("shape", [(3, 1), (3,), (3, 1, 1)])
def test_a_last_axis_may_come_and_go(shape):
    value = np.zeros(shape, "float32")
    spec = layers.InputSpec(shape=(None, 1), allow_last_axis_squeeze=True)
    assert accepting(spec)(value).shape == shape
    with pytest.raises(ShapeError):
        accepting(spec)(np.zeros((3, 2), "float32"))


def test_specs_of_several_inputs():
    specs = [layers.InputSpec(ndim=2), layers.InputSpec(ndim=1, optional=True)]
    assert len(accepting(specs)([X, None])) == 2
    with pytest.raises(ShapeError, match="expected ndim=1, found ndim=2"):
        accepting(specs)([X, X])
    with pytest.raises(ValueError, match="takes 2 tensors, received 1"):
        accepting(specs)([X])
    with pytest.raises(ValueError, match="takes one tensor, received a list of 2"):
        accepting(layers.InputSpec(ndim=2))([X, X])


def test_input_specs_are_told():
    spec = layers.InputSpec(shape=(None, 3), dtype="float32", name="x")
    assert spec.ndim == 2 and layers.InputSpec.from_config(spec.get_config()) == spec


# --- stateless calls ---


def test_stateless_call_of_normalization():
    layer = layers.BatchNormalization(momentum=0.5)
    layer.build((None, 5))
    y, after = layer.stateless_call(
        layer.trainable_variables, layer.non_trainable_variables, X, training=True
    )
    np.testing.assert_allclose(y.numpy().mean(0), np.zeros(5), atol=1e-6)
    np.testing.assert_allclose(after[0].numpy(), 0.5 * X.mean(0), rtol=1e-5)
    assert not layer.moving_mean.numpy().any()


def test_stateless_call_with_losses_and_gradients():
    layer = layers.Dense(1, use_bias=False, kernel_regularizer=gpunn.regularizers.L2(0.5))
    layer.build((None, 5))

    def loss(kernel):
        y, _, losses = layer.stateless_call([kernel], [], X, return_losses=True)
        return ops.sum(y) + losses[0]

    kernel = np.arange(5, dtype="float32").reshape(5, 1)
    gradient = gpunn.grad(loss)(kernel)
    np.testing.assert_allclose(gradient.numpy()[:, 0], X.sum(0) + kernel[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: layers.Dense(2).stateless_call([], [], X), "'dense.*' must be built"),
        (lambda: _built().stateless_call([], [], X), "has 2 such variables, received 0"),
        (lambda: _built().stateless_call([X, X], [], X), "received a value of shape"),
    ],
)
def test_stateless_calls_that_do_not_fit(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def _built():
    layer = layers.Dense(2)
    layer.build((None, 5))
    return layer


# --- dtypes ---


class Same(layers.Layer):
    def call(self, x):
        return x


def test_inputs_are_cast_unless_autocast_is_off():
    wide = X.astype("float64")
    assert Same()(wide).dtype == "float32"
    assert Same(autocast=False)(wide).dtype == "float64"
    assert Same(dtype="float16")(X).dtype == "float16"
    assert Same()(np.ones(2, "int32")).dtype == "int32"


# --- configs ---


class Told(layers.Layer):
    def __init__(self, units, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, activation


def test_plain_arguments_need_no_get_config():
    layer = Told(4, activation="tanh", name="told", trainable=False)
    twin = Told.from_config(layer.get_config())
    assert (twin.units, twin.activation, twin.name, twin.trainable) == (4, "tanh", "told", False)


def test_a_constructor_that_takes_no_name():
    class Bare(layers.Layer):
        def __init__(self, units=3):
            super().__init__()
            self.units = units

    assert Bare(5).get_config() == {"units": 5}
    assert Bare.from_config(Bare(5).get_config()).units == 5


def test_other_arguments_need_one():
    with pytest.raises(NotImplementedError, match=r"made with units=.*Write a get_config\(\)"):
        Told(layers.Dense(2)).get_config()


def test_a_get_config_of_its_own():
    class Own(Told):
        def get_config(self):
            return {**super().get_config(), "units": self.units.name}

    config = Own(layers.Dense(2, name="inner")).get_config()
    assert config["units"] == "inner" and set(config) == {"units", "name", "trainable", "dtype"}
