"""Models made of inputs and outputs: what they are called, what they compute, how they are told."""

import json

import numpy as np
import pytest

import gpunn
from gpunn import Input, Model, layers, ops
from gpunn.errors import ShapeError
from gpunn.tree import flatten, map_structure
from tests.models.graphs import GRAPHS
from tests.models.keras_facts import keras_facts

pytest.importorskip("keras")

X = np.random.default_rng(0).standard_normal((3, 5)).astype("float32")


def made(name):
    """The model of this name with the weights that Keras had."""
    gpunn.utils.clear_session()
    model = GRAPHS[name](gpunn)
    model.set_weights(keras_facts()[name]["values"])
    return model


def agree(found, expected):
    assert map_structure(lambda _: 0, found) == map_structure(lambda _: 0, expected)
    for a, b in zip(flatten(found), flatten(expected), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", GRAPHS)
def test_as_keras(name):
    expected, model = keras_facts()[name], made(name)
    if name != "tail":  # Keras names its new input after the tensor
        assert [layer.name for layer in model.layers] == expected["layers"]
    assert [(w.path, w.shape) for w in model.weights] == expected["weights"]
    assert [w.path for w in model.trainable_weights] == expected["trainable"]
    if name != "a_sequence_of_ops":  # some are made of others here
        assert model.output_names == expected["output_names"]
    assert model.input_shape == expected["input_shape"]
    assert model.output_shape == expected["output_shape"]
    assert [y.dtype for y in model.outputs] == expected["dtypes"]
    found = model(expected["inputs"])
    assert type(found) is type(expected["outputs"]) or not isinstance(found, (list, tuple, dict))
    agree(found, expected["outputs"])
    agree(model.predict(expected["inputs"], verbose=0), expected["outputs"])


@pytest.mark.parametrize("name", GRAPHS)
def test_configs_round_trip_through_json(name):
    model, inputs = made(name), keras_facts()[name]["inputs"]
    if name == "lambdas":
        with pytest.raises(NotImplementedError, match="Lambda 'twice' holds Python code"):
            model.get_config()
        return
    config = model.get_config()
    twins = [
        Model.from_config(json.loads(json.dumps(config))),
        gpunn.models.model_from_json(model.to_json()),
    ]
    for twin in twins:
        assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
        assert twin.name == model.name and twin.get_config() == config
        twin.set_weights(model.get_weights())
        agree(flatten(twin(inputs)), flatten(model(inputs)))  # tuples have become lists


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("recursive", [False, True])
def test_clones(name, recursive):
    model, inputs = made(name), keras_facts()[name]["inputs"]
    twin = gpunn.models.clone_model(model, recursive=recursive)
    assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
    assert not {id(w) for w in twin.weights} & {id(w) for w in model.weights}
    twin.set_weights(model.get_weights())
    agree(twin(inputs), model(inputs))


# --- clone_model's arguments ---


def small(**options):
    x = Input((5,), name="x")
    return Model(x, layers.Dense(2, name="d", **options)(x), name="small")


def test_clone_model_with_other_inputs():
    twin = gpunn.models.clone_model(small(), input_tensors=Input((5,), name="new"))
    assert [layer.name for layer in twin.layers] == ["new", "d"] and twin.name == "small"


def test_clone_model_with_a_function_of_layers():
    def wider(layer):
        return layers.Dense(7, name="wide") if layer.name == "d" else layer

    assert gpunn.models.clone_model(small(), clone_function=wider).output_shape == (None, 7)
    x = Input((5,))
    outer = Model(x, small()(x))
    inside = gpunn.models.clone_model(outer, clone_function=wider, recursive=True)
    assert inside.output_shape == (None, 7)


def test_clone_model_with_a_function_of_calls():
    def dropping(layer, *args, **kwargs):
        return layers.Dropout(0.5)(layer(*args, **kwargs))

    model = small()
    twin = gpunn.models.clone_model(model, clone_function=lambda x: x, call_function=dropping)
    assert [type(layer).__name__ for layer in twin.layers] == ["InputLayer", "Dense", "Dropout"]
    assert twin.layers[1] is model.layers[1]


def test_clone_model_of_sequentials():
    for first in ([Input((5,))], []):
        model = gpunn.Sequential([*first, layers.Dense(2, name="d")], name="s")
        twin = gpunn.models.clone_model(model)
        assert twin.name == "s" and twin.built == bool(first)
        assert twin.layers[0].name == "d" and twin.layers[0] is not model.layers[0]
    twin = gpunn.models.clone_model(model, input_tensors=Input((9,)))
    assert twin.input_shape == (None, 9)
    with pytest.raises(ValueError, match="call_function is for models made of inputs"):
        gpunn.models.clone_model(model, call_function=lambda layer, x: layer(x))


def test_clone_model_of_a_subclass():
    class Net(Model):
        def __init__(self, units=3):
            super().__init__()
            self.dense = layers.Dense(units)

        def call(self, x):
            return self.dense(x)

    twin = gpunn.models.clone_model(Net(4))
    assert type(twin) is Net and twin(X).shape == (3, 4)
    with pytest.raises(ValueError, match=r"a subclass with a call\(\) of its own"):
        gpunn.models.clone_model(Net(), clone_function=lambda layer: layer)


# --- descriptions ---


def test_a_config_of_a_users_layer_needs_its_name():
    class Double(layers.Layer):
        def call(self, x):
            return x * 2

    x = Input((5,))
    config = Model(x, Double()(x)).get_config()
    with pytest.raises(ValueError, match="Unknown layer: 'Double'"):
        Model.from_config(config)
    twin = Model.from_config(config, custom_objects={"Double": Double})
    np.testing.assert_array_equal(twin(X).numpy(), X * 2)


def test_configs_that_are_incomplete_or_wrong():
    config = small().get_config()
    without = {**config, "layers": config["layers"][1:]}
    with pytest.raises(ValueError, match="incomplete: what 'd' is called on is not in it"):
        Model.from_config(without)
    x = Input((5,))
    config = Model(x, ops.exp(x)).get_config()
    config["layers"][1]["class_name"] = "expp"
    with pytest.raises(ValueError, match="Unknown operation: 'expp'. Did you mean 'exp'"):
        Model.from_config(config)


def test_a_call_with_what_json_cannot_say():
    class Calls(layers.Layer):
        def call(self, x, function=None):
            return function(x)

    x = Input((5,))
    with pytest.raises(TypeError, match="cannot be described. Put the computation into a layer"):
        Model(x, Calls()(x, function=ops.exp)).get_config()


# --- parts of models ---


def test_get_layer():
    model = small()
    assert model.get_layer("d") is model.get_layer(index=1) is model.layers[1]
    with pytest.raises(ValueError, match="no layer 'e' in 'small'. Its layers: x, d"):
        model.get_layer("e")
    with pytest.raises(ValueError, match="no layer 7 in 'small': it has 2"):
        model.get_layer(index=7)


def test_tensors_know_their_layers_and_layers_their_tensors():
    x = Input((5,))
    dense, both = layers.Dense(5), layers.Add()
    y = dense(x)
    z = both([x, y])
    assert dense.input is x and dense.output is y
    assert both.input[0] is x and both.input[1] is y and both.output is z
    with pytest.raises(AttributeError, match="never called on symbolic tensors and has no input"):
        _ = layers.Dense(3).input


def test_intermediate_outputs_share_the_weights():
    model = made("chain")
    hidden = Model(model.input, model.layers[1].output)
    assert hidden.weights[0] is model.weights[0]
    again = Model(model.inputs, [layer.output for layer in model.layers])
    agree(again(X)[1], hidden(X))
    agree(again(X)[2], model(X))


def test_features_of_a_sequential_follow_training():
    base = gpunn.Sequential([Input((5,)), layers.BatchNormalization(), layers.Dropout(0.5)])
    features = Model(base.inputs, [layer.output for layer in base.layers])
    before = base.get_weights()
    still = features(X, training=False)
    np.testing.assert_array_equal(still[0].numpy(), still[1].numpy())
    np.testing.assert_array_equal(base.get_weights()[2], before[2])
    moved = features(X, training=True)
    assert (moved[1].numpy() == 0).any()
    assert not np.array_equal(base.get_weights()[2], before[2])


def test_training_that_is_given_in_the_graph_holds():
    x = Input((5,))
    frozen = Model(x, layers.Dropout(0.5)(x, training=False))
    np.testing.assert_array_equal(frozen(X, training=True).numpy(), X)
    always = Model(x, layers.Dropout(0.5)(x, training=True))
    assert (always.predict(X, verbose=0) == 0).any()
    inner = gpunn.Sequential([Input((5,)), layers.BatchNormalization()])
    model = Model(x, inner(x, training=False))
    before = model.get_weights()
    model(X, training=True)
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_freezing_an_inner_model():
    inner = small()
    x = Input((5,))
    model = Model(x, layers.Dense(3, name="head")(inner(x)))
    inner.trainable = False
    assert [w.path for w in model.trainable_weights] == ["head/kernel", "head/bias"]
    model.compile("sgd", "mse")
    before = inner.get_weights()
    model.fit(X, np.ones((3, 3)), verbose=0)
    for a, b in zip(inner.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    inner.trainable = True
    assert len(model.trainable_weights) == 4 and model.count_params() == 12 + 9


def test_masks_run_through_the_graph():
    words = Input((4,), dtype="int32")
    h = layers.Embedding(9, 3, mask_zero=True)(words)
    mean = Model(words, layers.GlobalAveragePooling1D()(layers.Dropout(0.1)(h)))
    vectors = mean.layers[1].embeddings.numpy()
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 6]])
    expected = [vectors[[1, 2]].mean(0), vectors[[3, 4, 5, 6]].mean(0)]
    np.testing.assert_allclose(mean(ids).numpy(), expected, rtol=1e-6)


def test_a_mask_that_is_given():
    x = Input((4, 2))
    model = Model(x, layers.GlobalAveragePooling1D()(x))
    values = np.arange(16.0, dtype="float32").reshape(2, 4, 2)
    found = model(values, mask=np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)).numpy()
    np.testing.assert_allclose(found, [[1, 2], [11, 12]])


def test_computing_shapes():
    x = Input((5,))
    model = Model(x, [layers.Dense(2)(x), x])
    assert model.compute_output_shape((7, 5)) == [(7, 2), (7, 5)]
    spec = model.compute_output_spec(gpunn.KerasTensor((3, 5)))[0]
    assert spec.shape == (3, 2) and spec.dtype == "float32"


def test_a_subclass_made_of_inputs_and_outputs():
    class Net(Model):
        def __init__(self, units):
            x = Input((5,))
            super().__init__(x, layers.Dense(units)(x), name="net")
            self.extra = layers.Dense(1)

        def twice(self, x):
            return self(x) * 2

    net = Net(2)
    assert net.name == "net" and len(net.layers) == 2 and len(net.trainable_weights) == 2
    np.testing.assert_allclose(net.twice(X).numpy(), 2 * net(X).numpy())


def test_layers_cannot_be_set():
    with pytest.raises(AttributeError, match=r"Model.layers cannot be set"):
        small().layers = []


# --- training ---


@pytest.mark.parametrize("name", ["two_inputs", "residual", "nested_twice", "integers"])
def test_recorded_steps_are_the_eager_steps(name):
    inputs = keras_facts()[name]["inputs"]
    results = []
    for jit_compile in (True, False):
        model = made(name)
        model.compile("sgd", "mse", jit_compile=jit_compile)
        y = np.ones((3, *model.output_shape[1:]), "float32")
        losses = [model.train_on_batch(inputs, y) for _ in range(4)]
        assert losses[-1] < losses[0]
        results.append((losses, model.get_weights()))
    assert results[0][0] == results[1][0]
    for a, b in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_shared_layer_gets_the_gradients_of_both_uses():
    dense = layers.Dense(1, use_bias=False, kernel_initializer="ones")
    a, b = Input((2,)), Input((2,))
    model = Model([a, b], layers.Add()([dense(a), dense(b)]))
    first, second = np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]])
    with gpunn.GradientTape() as tape:
        y = ops.sum(model([first, second]))
    gradient = tape.gradient(y, model.trainable_variables)[0]
    np.testing.assert_allclose(gradient.numpy(), [[4.0], [7.0]])


# --- graphs and inputs that are wrong ---


def _twice_named():
    x = Input((5,))
    Model(x, layers.Dense(2, name="d")(layers.Dense(2, name="d")(x)))


def _disconnected():
    a, b = Input((5,), name="a"), Input((5,), name="b")
    Model(a, layers.Add()([a, b]))


def _input_twice():
    x = Input((5,))
    Model([x, x], x * 2)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (_twice_named, "2 layers are named 'd'"),
        (_disconnected, "not connected to the inputs alone, they depend on 'b'"),
        (_input_twice, "an input was given twice"),
        (lambda: Model(X, X), "inputs must be symbolic tensors that come from Input"),
        (lambda: Model(Input((5,)), X), "outputs must be symbolic tensors"),
        (lambda: Model(gpunn.KerasTensor((3,)), Input((5,))), "inputs must be symbolic"),
        (lambda: Model(Input((5,)), []), "at least one input and one output"),
        (lambda: Model(Input((5,))), "both inputs and outputs, or none"),
        (lambda: Model(Input((5,)), gpunn.KerasTensor((3,))), "outputs must be symbolic"),
        (lambda: Input(3), r"shape must be a tuple, received 3. Write \(3,\)"),
        (lambda: Input(), "needs either shape or batch_shape"),
        (lambda: Input((3,), batch_shape=(2, 3)), "needs either shape or batch_shape"),
        (lambda: Input(batch_shape=(2, 3), batch_size=2), "Leave out batch_size"),
        (lambda: Input(("a",)), r"lengths must be integers .* or None .*received \('a',\)"),
        (lambda: Input((-1,)), r"lengths must be integers .*received \(-1,\)"),
        (lambda: Input((3,), 2.5), r"lengths must be integers .*and batch_size=2.5"),
        (lambda: Input((3,), sparse=True), "sparse and ragged tensors do not exist"),
        (lambda: Input((3,), tensor=Input((3,))), "a shape or a tensor, not both"),
    ],
)  # fmt: skip
def test_bad_graphs(act, message):
    with pytest.raises(ValueError, match=message):
        act()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([X], "2 inputs .a, b., received 1. Give a list in this order, or a dict"),
        ([X, X, X], "received 3"),
        ({"a": X}, "the input 'b' is missing in a dict with the keys .'a'."),
        ([X, None], r"the input 'b' is None. Only Input\(..., optional=True\)"),
        ([X, X[:, :4]], r"Input 1 \('b'\).* expected shape=\(None, 5\), found shape=\(3, 4\)"),
        ([X, X[:, :, None, None]], r"found shape=\(3, 5, 1, 1\)"),
    ],
)
def test_bad_inputs(value, message):
    a, b = Input((5,), name="a"), Input((5,), name="b")
    with pytest.raises(ValueError, match=message):
        Model([a, b], a + b)(value)


def test_a_list_for_a_dict():
    a, b = Input((5,), name="a"), Input((5,), name="b")
    model = Model({"b": b, "a": a}, a - b)
    with pytest.raises(ValueError, match="its inputs are a dict .* received a list"):
        model([X, X])


def test_shape_errors_are_shape_errors():
    with pytest.raises(ShapeError):
        small()(X[:, :2])


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (float, ValueError), (int, ValueError), (np.asarray, ValueError), (bool, TypeError),
        (list, NotImplementedError), (len, TypeError), (lambda x: x.numpy(), ValueError),
    ],
)  # fmt: skip
def test_symbolic_tensors_have_no_values(act, kind):
    with pytest.raises(kind, match="is symbolic: it has a shape, but no values yet"):
        act(Input(()))


def test_a_long_path():
    """Graphs are walked without recursion."""
    x = Input((1,))
    y = x
    for _ in range(1500):
        y = y + 1.0
    assert Model(x, y)(np.zeros((1, 1))).numpy().item() == 1500


def test_a_list_of_one_output():
    symbol, results = gpunn.Input((3,)), {}
    y = layers.Dense(2)(symbol)
    x = np.ones((4, 3), "float32")
    for kind, outputs in {"list": [y], "tuple": (y,), "nested": [[y]], "dict": {"y": y}}.items():
        model = gpunn.Model(symbol, outputs)
        results[kind] = model(x), model.predict(x, verbose=0), model(symbol)
    assert all(value.shape == (4, 2) for kind in ("list", "tuple") for value in results[kind][:2])
    assert [type(results[kind][2]) for kind in ("list", "tuple")] == [list, tuple]
    assert [type(value) for value in results["nested"]] == [list] * 3
    assert [type(value) for value in results["dict"]] == [dict] * 3
    around = gpunn.Model(symbol, gpunn.Model(symbol, [y])(symbol)[0] + 1.0)
    np.testing.assert_allclose(around(x), results["list"][1] + 1.0, rtol=1e-6)
