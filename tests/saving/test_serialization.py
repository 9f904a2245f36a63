"""Descriptions of objects: Keras' form, both ways; registered names; nothing is executed."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import json

import numpy as np
import pytest

import gpunn
from gpunn import saving

keras = pytest.importorskip("keras")


@pytest.fixture(autouse=True)
def _fresh_registry():
    before = dict(saving.get_custom_objects())
    yield
    saving.get_custom_objects().clear()
    saving.get_custom_objects().update(before)


VALUES = [
    None, 1, 2.5, "text", True, [1, (2, "x")], {"a": [1, {"b": None}]}, b"bytes",
    slice(1, None, 2), ..., np.arange(6.0).reshape(2, 3), np.float32(2.5), np.int64(3),
    np.array(4.0), {"deep": {"x": b"y"}},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_are_described_as_keras_does(value):
    ours = saving.serialize_keras_object(value)
    theirs = keras.saving.serialize_keras_object(value)
    assert ours == theirs and type(ours) is type(theirs)
    back = saving.deserialize_keras_object(json.loads(json.dumps(ours)))
    expected = keras.saving.deserialize_keras_object(json.loads(json.dumps(theirs)))
    np.testing.assert_equal(back, expected)


def objects(k):
    return [
        k.layers.Dense(3, activation="relu", name="d"),
        k.layers.Dropout(0.5, name="drop"),
        k.optimizers.SGD(0.5, momentum=0.9, name="s"),
        k.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9),
        k.losses.Huber(name="h") if hasattr(gpunn.losses, "Huber") else None,
        k.losses.BinaryCrossentropy(from_logits=True, name="b"),
        k.metrics.MeanSquaredError(name="m"),
        k.regularizers.L2(0.5),
        k.constraints.MaxNorm(3.0),
        k.initializers.HeNormal(seed=1),
    ]


@pytest.mark.parametrize("i", range(10))
def test_descriptions_go_both_ways(i):
    mine, keras_object = objects(gpunn)[i], objects(keras)[i]
    if mine is None:
        pytest.skip("not in this version")
    ours = saving.serialize_keras_object(mine)
    theirs = keras.saving.serialize_keras_object(keras_object)
    for key in ("module", "class_name", "registered_name"):
        assert ours[key] == theirs[key]
    for config in (ours, theirs):
        config = json.loads(json.dumps(config))
        config["config"] = {k: v for k, v in config["config"].items() if k in ours["config"]}
        found = saving.deserialize_keras_object(config)
        assert type(found) is type(mine)
        again = saving.serialize_keras_object(found)["config"]
        assert json.dumps(again) == json.dumps(ours["config"])


def test_models():
    model = gpunn.Sequential([gpunn.Input((2,)), gpunn.layers.Dense(3), gpunn.layers.ReLU()])
    config = json.loads(json.dumps(saving.serialize_keras_object(model)))
    again = saving.deserialize_keras_object(config)
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    assert again.count_params() == model.count_params() == 9


def test_functions():
    config = saving.serialize_keras_object(gpunn.activations.relu)
    assert config == keras.saving.serialize_keras_object(keras.activations.relu)
    assert saving.deserialize_keras_object(config) is gpunn.activations.relu
    loss = saving.serialize_keras_object(gpunn.losses.mean_squared_error)
    assert saving.deserialize_keras_object(loss) is gpunn.losses.mean_squared_error


# --- a user's own ---


def scaled(x):
    return x * 2.0


class Scale(gpunn.layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def test_registered_names():
    for k in (gpunn, keras):

        @k.saving.register_keras_serializable()
        def f():
            pass

        @k.saving.register_keras_serializable("mine", "Other")
        class A:
            def get_config(self):
                return {}

        assert k.saving.get_registered_name(f) == "Custom>f"
        assert k.saving.get_registered_name(A) == "mine>Other"
        assert k.saving.get_registered_name(print) == "print"
        assert k.saving.get_registered_object("mine>Other") is A
        assert k.saving.get_registered_object("nothing") is None
        assert k.saving.get_registered_object("x", {"x": 1}) == 1
        assert k.saving.get_registered_object("x", None, {"x": 2}) == 2
        assert k.saving.get_custom_objects()["Custom>f"] is f
        assert k.utils.get_registered_object("Custom>f") is f
        with pytest.raises(ValueError, match="get_config"):
            k.saving.register_keras_serializable()(type("B", (), {}))


def test_scopes():
    for k in (gpunn, keras):
        with k.saving.custom_object_scope({"x": 1}) as scope:
            assert scope.custom_objects == {"x": 1}
            assert k.saving.get_registered_object("x") == 1
            with k.utils.CustomObjectScope({"y": 2}):
                assert k.saving.get_registered_object("y") == 2
                assert k.saving.get_registered_object("x") is None  # a scope hides the outer one
            assert k.saving.get_registered_object("x") == 1
        assert k.saving.get_registered_object("x") is None
        assert "x" not in k.saving.get_custom_objects()


def test_a_registered_layer_and_its_description():
    registered = saving.register_keras_serializable("tests")(Scale)
    config = saving.serialize_keras_object(registered(3.0, name="s"))
    assert (config["module"], config["registered_name"]) == (None, "tests>Scale")
    found = saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(found) is Scale and found.factor == 3.0
    model = gpunn.Sequential([gpunn.Input((2,)), Scale(4.0)])
    again = gpunn.Sequential.from_config(model.get_config())
    assert again.layers[0].factor == 4.0


def test_custom_objects_reach_what_is_inside():
    model = gpunn.Sequential([gpunn.Input((2,)), Scale(4.0), gpunn.layers.Dense(1)])
    model.layers[1].activation = scaled
    config = saving.serialize_keras_object(model)
    gpunn_only = {"Scale": Scale, "scaled": scaled}
    with pytest.raises(ValueError, match="Unknown layer: 'Scale'"):
        saving.deserialize_keras_object(config)
    again = saving.deserialize_keras_object(config, custom_objects=gpunn_only)
    assert again.layers[0].factor == 4.0 and again.layers[1].activation is scaled
    with saving.custom_object_scope(gpunn_only):
        assert saving.deserialize_keras_object(config).layers[1].activation is scaled


def test_names_of_ones_own_work_wherever_names_do():
    with saving.custom_object_scope({"scaled": scaled, "Scale": Scale}):
        assert gpunn.activations.get("scaled") is scaled
        assert gpunn.layers.Dense(1, activation="scaled").activation is scaled
        config = {"class_name": "Scale", "config": {"factor": 2.0}}
        assert gpunn.layers.deserialize(config).factor == 2.0
    registered = saving.register_keras_serializable("p")(scaled)
    layer = gpunn.layers.Dense(1, activation=registered)
    config = layer.get_config()
    assert config["activation"] == "p>scaled"
    assert gpunn.layers.Dense.from_config(config).activation is scaled
    function = {"class_name": "function", "config": "relu", "registered_name": "relu"}
    assert gpunn.activations.get(function) is gpunn.activations.relu


# --- what is refused ---


@pytest.mark.parametrize(
    "config",
    [
        {"module": "os", "class_name": "function", "config": "system"},
        {"module": "builtins", "class_name": "function", "config": "eval"},
        {"module": "builtins", "class_name": "function", "config": "get"},
        {"module": "gpunn.utils", "class_name": "function", "config": "get_file"},
        {"module": "keras.utils", "class_name": "function", "config": "get_file"},
        {"module": "keras.layers", "class_name": "import_module", "config": {}},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}},
        {"module": None, "class_name": "Unknown", "config": {}},
    ],
    ids=str,
)
def test_only_public_and_registered_names(config):
    with pytest.raises(TypeError, match=r"There is no (class|function) .* Register your own"):
        saving.deserialize_keras_object(config)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("safe_mode", [True, False])
def test_code_is_never_run(safe_mode):
    config = keras.saving.serialize_keras_object(lambda x: x)
    assert config["class_name"] == "__lambda__"
    with pytest.raises(ValueError, match="which gpunn never runs"):
        saving.deserialize_keras_object(config, safe_mode=safe_mode)


def test_errors():
    with pytest.raises(ValueError, match="A lambda has no name"):
        saving.serialize_keras_object(lambda x: x)
    with pytest.raises(TypeError, match="no get_config"):
        saving.serialize_keras_object(object())
    with pytest.raises(TypeError, match="Cannot read the description"):
        saving.deserialize_keras_object(object())
    with pytest.raises(TypeError, match="must be a string, received 3"):
        saving.deserialize_keras_object({"class_name": "function", "config": 3})
    with pytest.raises(TypeError, match="config of Dense must be a dict, received 3"):
        saving.deserialize_keras_object(
            {"module": "keras.layers", "class_name": "Dense", "config": 3}
        )
    with pytest.raises(TypeError, match="Class int needs a class method from_config"):
        saving.deserialize_keras_object({"class_name": "x", "config": {}}, {"x": int})


def test_models_that_keras_described():
    keras = pytest.importorskip("keras")
    inputs = keras.Input((4, 6), name="im")
    x = keras.layers.Dense(3, activation="relu", kernel_regularizer="l2")(inputs)
    x = keras.ops.expand_dims(x, 1)[:, 0] * 2.0 + x
    outputs = [keras.layers.Dense(2)(x), keras.ops.mean(x, axis=(1, 2))]
    stack = [keras.layers.Embedding(5, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
    data = np.random.default_rng(0).integers(5, size=(2, 4, 6))
    for theirs, x in (
        (keras.Model(inputs, outputs), data.astype("float32")),
        (keras.Sequential([keras.Input((4,)), *stack]), data[:, :, 0]),
    ):
        ours = gpunn.models.model_from_json(theirs.to_json())
        ours.set_weights(theirs.get_weights())
        expected, found = keras.tree.flatten(theirs(x)), gpunn.tree.flatten(ours(x))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
