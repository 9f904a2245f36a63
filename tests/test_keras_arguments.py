"""Arguments that user code for Keras passes: by their names there, and the rarer ones."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect
from importlib import import_module

import numpy as np
import pytest

import gpunn
from gpunn import layers

keras = pytest.importorskip("keras")

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


class Doubled(layers.Dense):
    """A user's layer."""

    def call(self, inputs):
        return 2 * super().call(inputs)


class OwnCell(layers.LSTMCell):
    """A user's cell."""


def test_version_is_a_function():
    import_module("gpunn.version")  # which does not take its place
    assert gpunn.version() == gpunn.__version__


def test_the_first_argument_has_the_name_it_has_in_keras():
    """layer(<name>=x) works in Keras for the first parameter of `call`, and it is the same here."""
    made = {
        "Activation": ("relu",), "Dropout": (0.5,), "Conv1D": (2, 2), "MaxPooling1D": (),
        "Flatten": (), "GlobalAveragePooling1D": (), "ZeroPadding1D": (), "Rescaling": (2.0,),
        "Dense": (2,), "RMSNormalization": (), "Softmax": (), "UpSampling1D": (2,),
    }  # fmt: skip
    for name, arguments in made.items():
        theirs = list(inspect.signature(getattr(keras.layers, name).call).parameters)[1]
        layer = getattr(layers, name)(*arguments)
        np.testing.assert_array_equal(layer(**{theirs: X}).numpy(), layer(X).numpy(), name)


@pytest.mark.parametrize("training", [True, False, None])
def test_a_function_of_a_lambda_asks_for_training_and_mask(training):
    seen = []

    def function(x, factor, training=7, mask=7):
        seen.append((training, mask))
        return x * factor

    mask = np.array([[True, False, True]] * 2)
    y = layers.Lambda(function, arguments={"factor": 3.0})(X, training=training, mask=mask)
    np.testing.assert_allclose(y.numpy(), X * 3)
    assert seen[-1][0] is bool(training) and np.array_equal(np.asarray(seen[-1][1]), mask)
    assert layers.Lambda(lambda x: x + 1)(X, training=training).shape == X.shape


def test_custom_objects():
    own = {"Doubled": Doubled}
    layer = Doubled(2, name="two")
    config = layers.serialize(layer)
    assert type(layers.deserialize(config, custom_objects=own)) is Doubled
    with pytest.raises(ValueError, match="Unknown layer: 'Doubled'"):
        layers.deserialize(config)
    wrapped = layers.TimeDistributed(layer).get_config()
    assert type(layers.TimeDistributed.from_config(wrapped, own).layer) is Doubled
    cells = {"OwnCell": OwnCell}
    rnn = layers.RNN(OwnCell(2)).get_config()
    assert type(layers.RNN.from_config(rnn, custom_objects=cells).cell) is OwnCell
    stack = layers.StackedRNNCells([OwnCell(2), layers.GRUCell(3)]).get_config()
    made = layers.StackedRNNCells.from_config(stack, custom_objects=cells)
    assert [type(c) for c in made.cells] == [OwnCell, layers.GRUCell]
    both = layers.Bidirectional(layers.RNN(OwnCell(2))).get_config()
    made = layers.Bidirectional.from_config(both, custom_objects=cells)
    assert type(made.forward_layer.cell) is type(made.backward_layer.cell) is OwnCell


def test_input_layers_know_their_old_names():
    assert layers.InputLayer(input_shape=(3,)).batch_shape == (None, 3)
    assert layers.InputLayer(batch_input_shape=(2, 3)).batch_shape == (2, 3)
    with pytest.raises(ValueError, match="Unknown argument of InputLayer: 'shapes'. Did you mean"):
        layers.InputLayer(shapes=(3,))


def test_dtype_policies():
    policy = gpunn.DTypePolicy("mixed_float16")
    config = gpunn.dtype_policies.serialize(policy)
    assert gpunn.dtype_policies.deserialize(config) == policy
    assert gpunn.DTypePolicy().name == keras.DTypePolicy().name == "float32"

    class Own(gpunn.DTypePolicy):
        pass

    config = gpunn.dtype_policies.serialize(Own("float16"))
    made = gpunn.dtype_policies.deserialize(config, custom_objects={"Own": Own})
    assert type(made) is Own and made.compute_dtype == "float16"


def test_recurrent_layers_show_the_settings_of_their_cell():
    ours, theirs = (
        m.layers.ConvLSTM2D(3, (2, 3), padding="same", dropout=0.2, activation="relu")
        for m in (gpunn, keras)
    )
    for name in ("filters", "kernel_size", "strides", "padding", "dilation_rate", "dropout",
                 "use_bias", "unit_forget_bias", "data_format"):  # fmt: skip
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.activation is gpunn.activations.relu


@pytest.mark.parametrize(("shape", "size"), [((7, 11, 3), (4, 5)), ((2, 12, 8, 1), (6, 6))])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_smart_resize(shape, size, dtype):
    image = np.random.default_rng(1).uniform(0, 255, shape).astype(dtype)
    expected = keras.preprocessing.image.smart_resize(image, size)
    y = gpunn.preprocessing.image.smart_resize(image, size)
    assert type(y) is np.ndarray and y.dtype == expected.dtype
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)
    assert hasattr(gpunn.preprocessing.image.smart_resize(gpunn.ops.array(image), size), "numpy")


def test_arguments_of_ops_by_name():
    a, b = X[0], X[1].T
    np.testing.assert_allclose(gpunn.ops.matmul(x1=a, x2=b).numpy(), a @ b, rtol=1e-5)
    assert gpunn.ops.stop_gradient(variable=a).shape == a.shape
    with gpunn.device(device_name="cpu"):
        assert gpunn.ops.zeros(2).device == "cpu"
    gpunn.config.set_image_data_format(data_format="channels_first")
    assert gpunn.config.image_data_format() == "channels_first"


def test_serialize_by_the_names_of_keras():
    adam, schedules = gpunn.optimizers.Adam(), gpunn.optimizers.schedules
    assert gpunn.optimizers.serialize(optimizer=adam)["class_name"] == "Adam"
    decay = schedules.ExponentialDecay(0.1, 10, 0.5)
    config = schedules.serialize(learning_rate_schedule=decay)
    assert schedules.deserialize(config) == decay
    assert layers.serialize(layer=layers.Dense(2))["class_name"] == "Dense"
