"""Convolutional layers against Keras: values, shapes, configs, weights, training."""

import inspect
import os
import re

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers

keras = pytest.importorskip("keras")
jax = pytest.importorskip("jax")

RNG = np.random.default_rng(3)
SIZES = {1: (9,), 2: (7, 8), 3: (5, 4, 6)}
LAST, FIRST = {"data_format": "channels_last"}, {"data_format": "channels_first"}
FULL = {"kernel_regularizer": "l2", "bias_constraint": "non_neg", "kernel_initializer": "he_normal"}
CASES = [
    ("Conv1D", {"filters": 4, "kernel_size": 3, "activation": "relu"}),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    ("Conv1D", {"filters": 4, "kernel_size": 2, "padding": "causal", "strides": 2, **FIRST}),
    ("Conv1D", {"filters": 6, "kernel_size": 2, "strides": 2, "groups": 2, **FIRST, **FULL}),
    ("Conv2D", {"filters": 5, "kernel_size": 3, "padding": "same", "strides": (2, 1)}),
    ("Conv2D", {"filters": 4, "kernel_size": [2, 3], "dilation_rate": [2, 1], "use_bias": False}),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 4, "activation": "relu", **FIRST}),
    ("Conv2D", {"filters": 3, "kernel_size": 1, "padding": "SAME", "activation": "softmax"}),
    ("Conv3D", {"filters": 3, "kernel_size": (1, 2, 3), "padding": "same", "activation": "tanh"}),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 4, "strides": 3, "output_padding": 1}),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 2, "strides": (3, 2), **FIRST, **FULL}),
    (
        "Conv2DTranspose",
        {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": [1, 0]},
    ),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "dilation_rate": 2, "activation": "relu"}),
    ("Conv3DTranspose", {"filters": 2, "kernel_size": 2, "strides": 2, "use_bias": False}),
    ("DepthwiseConv1D", {"kernel_size": 3, "padding": "same", "activation": "relu"}),
    ("DepthwiseConv1D", {"kernel_size": 3, "strides": 2, "depth_multiplier": 2, **FIRST}),
    ("DepthwiseConv2D", {"kernel_size": (3, 2), "dilation_rate": 2, "depthwise_regularizer": "l1"}),
    ("DepthwiseConv2D", {"kernel_size": 2, "strides": 2, "dilation_rate": 2}),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 2, "strides": 2, "dilation_rate": 2}),
    (
        "DepthwiseConv2D",
        {"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 3, **FIRST},
    ),
    ("SeparableConv1D", {"filters": 5, "kernel_size": 3, "activation": "relu"}),
    ("SeparableConv1D", {"filters": 5, "kernel_size": 2, "strides": 2, "padding": "same", **FIRST}),
    (
        "SeparableConv2D",
        {"filters": 5, "kernel_size": 3, "padding": "same", "depth_multiplier": 2, "strides": 2},
    ),
    (
        "SeparableConv2D",
        {
            "filters": 5, "kernel_size": 2, "use_bias": False, "activation": "sigmoid", **FIRST,
            "depthwise_initializer": "he_normal", "pointwise_constraint": "unit_norm",
        },
    ),
]  # fmt: skip
every_case = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
)
NAMES = sorted(n for n in dir(keras.layers) if "Conv" in n and "LSTM" not in n)
PLANAR = ["Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D"]


def rank_of(name):
    return int(name[name.index("D") - 1] if name[0] != "D" else name[-2])


def images(name, options, batch=2, channels=4):
    sizes = SIZES[rank_of(name)]
    first = options.get("data_format") == "channels_first"
    shape = (channels, *sizes) if first else (*sizes, channels)
    return RNG.standard_normal((batch, *shape)).astype("float32")


def cheap(layer):
    """Zeros at first: JAX compiles the random numbers of each shape for a while."""
    for kind in ("kernel", "depthwise", "pointwise"):
        if hasattr(layer, f"{kind}_initializer"):
            setattr(layer, f"{kind}_initializer", keras.initializers.Zeros())
    return layer


def pair(name, options, x):
    """A layer of each library with the same random weights."""
    made = [getattr(layers, name)(**options), cheap(getattr(keras.layers, name)(**options))]
    for layer in made:
        layer.build((None, *x.shape[1:]))
    weights = [RNG.standard_normal(w.shape).astype("float32") for w in made[1].weights]
    for layer in made:
        layer.set_weights(weights)
    return made


@every_case
def test_values_weights_and_shapes_are_those_of_keras(name, options):
    x = images(name, options)
    ours, theirs = pair(name, options, x)
    names = [[(w.name, tuple(w.shape)) for w in layer.weights] for layer in (ours, theirs)]
    assert names[0] == names[1]
    expected = np.asarray(jax.jit(theirs)(x))
    y = ours(x)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=1e-4)
    assert y.shape == expected.shape
    for shape in ((None, *x.shape[1:]), unknown_sizes(x.shape, options)):
        assert ours.compute_output_shape(shape) == tuple(theirs.compute_output_shape(shape))
    assert ours(x[:0]).shape == (0, *expected.shape[1:])
    np.testing.assert_allclose(ours(x[1:]).numpy(), expected[1:], rtol=1e-4, atol=1e-4)


def unknown_sizes(shape, options):
    if options.get("data_format") == "channels_first":
        return (None, shape[1], *[None] * (len(shape) - 2))
    return (*[None] * (len(shape) - 1), shape[-1])


@every_case
def test_config(name, options):
    ours, theirs = (getattr(lib.layers, name)(name="layer", **options) for lib in (gpunn, keras))
    config = ours.get_config()
    again = layers.deserialize(layers.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == config
    wanted = theirs.get_config()
    objects = ("initializer", "regularizer", "constraint", "dtype")
    assert {k: v for k, v in config.items() if not k.endswith(objects)} == {
        k: v for k, v in wanted.items() if not k.endswith(objects)
    }
    for key in (k for k in wanted if k.endswith(objects[:3]) and k != "activity_regularizer"):
        found = (config[key] or {}).get("class_name"), (wanted[key] or {}).get("class_name")
        assert found[0] == found[1], key
    x = images(name, options)
    ours.build(x.shape)
    again.build(x.shape)
    again.set_weights(ours.get_weights())
    np.testing.assert_array_equal(again(x).numpy(), ours(x).numpy())


@pytest.mark.parametrize("name", NAMES)
def test_names_signatures_and_masks_are_those_of_keras(name):
    ours, theirs = getattr(layers, name), getattr(keras.layers, name)
    assert ours.__name__ == theirs.__name__
    given, wanted = (
        {
            n: 1 if type(p.default) is tuple else p.default  # (1, 1) there is 1 here
            for n, p in inspect.signature(c.__init__).parameters.items()
        }
        for c in (ours, theirs)
    )
    if name in ("Conv3DTranspose", "Convolution3DTranspose"):
        assert given == wanted  # data_format comes before output_padding there, but only there
    else:
        assert list(given.items()) == list(wanted.items())
    sized = {n: 2 for n in ("filters", "kernel_size") if n in wanted}
    a, b = (re.sub(r"_\d+$", "", layer(**sized).name) for layer in (ours, theirs))
    assert a == b
    assert ours(**sized).supports_masking == theirs(**sized).supports_masking
    assert type(layers.deserialize({"class_name": name, "config": sized})) is ours


@pytest.mark.parametrize(
    ("name", "fans"),
    [
        ("Conv2D", (9 * 16, 9 * 64)),
        ("Conv2DTranspose", (9 * 64, 9 * 16)),  # as the shape (3, 3, 64, 16) is read
        ("DepthwiseConv2D", (9 * 16, 9 * 8)),
    ],
)
def test_initial_kernels_are_glorot_uniform_over_their_fans(name, fans):
    sized = {"depth_multiplier": 8} if name[0] == "D" else {"filters": 64}
    layer = getattr(layers, name)(kernel_size=3, **sized)
    layer.build((None, 8, 8, 16))
    kernel, limit = layer.kernel.numpy(), np.sqrt(6 / sum(fans))
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    np.testing.assert_array_equal(layer.bias.numpy(), 0)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("name", PLANAR)
def test_compute_dtype(name, dtype):
    options = {"kernel_size": 3, **({"filters": 2} if name[0] != "D" else {})}
    layer = getattr(layers, name)(dtype=dtype, activation="relu", **options)
    assert layer(images(name, {})).dtype == dtype
    assert {w.dtype for w in layer.weights} == {dtype}


@pytest.mark.parametrize("name", PLANAR)
def test_the_default_data_format_is_that_of_the_settings(name):
    gpunn.config.set_image_data_format("channels_first")
    options = {"kernel_size": 3, **({"filters": 5} if name[0] != "D" else {})}
    layer = getattr(layers, name)(**options)
    assert layer.data_format == "channels_first"
    channels = 4 if name[0] == "D" else 5
    assert layer(np.ones((1, 4, 7, 8))).shape[:2] == (1, channels)


def test_gradients_of_channels_first_are_those_of_channels_last():
    options = {"kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"}
    for name in PLANAR:
        sized = options | ({"filters": 3} if name[0] != "D" else {})
        x, found = images(name, LAST), []
        weights = None
        for order, given in ((LAST, x), (FIRST, np.moveaxis(x, -1, 1))):
            layer = getattr(layers, name)(**sized, **order)
            layer.build(given.shape)
            weights = weights or layer.get_weights()
            layer.set_weights(weights)
            image = gpunn.Variable(given)
            with gpunn.GradientTape() as tape:
                loss = gpunn.ops.sum(layer(image) ** 3)
            gradients = tape.gradient(loss, [image, *layer.trainable_weights])
            found.append([g.numpy() for g in gradients])
        found[1][0] = np.moveaxis(found[1][0], 1, -1)
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


# --- training ---


def cnn(library):
    of = library.layers
    return [
        of.Input((10, 9, 2)),
        of.Conv2D(6, 3, padding="same", activation="relu", kernel_regularizer="l2"),
        of.MaxPooling2D(),
        of.Conv2D(8, 3, use_bias=False),
        of.BatchNormalization(),
        of.Activation("relu"),
        of.Flatten(),
        of.Dense(4),
    ]


def others(library):
    of = library.layers
    return [
        of.Input((8, 6, 3)),
        of.SeparableConv2D(6, 3, padding="same", activation="relu", depth_multiplier=2),
        of.DepthwiseConv2D(3, strides=2, padding="same", activation="tanh"),
        of.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu"),
        of.Conv2D(4, 2, groups=2, dilation_rate=2, activation="sigmoid"),
        of.GlobalAveragePooling2D(),
        of.Dense(4),
    ]


MODELS = {"cnn": cnn, "others": others}


def compiled(library, make, **options):
    made = make(library)
    model = library.Sequential([cheap(layer) for layer in made] if library is keras else made)
    model.compile(
        library.optimizers.SGD(0.05, momentum=0.9),
        library.losses.SparseCategoricalCrossentropy(from_logits=True),
        **options,
    )
    return model


def data(make, steps):
    shape = gpunn.Sequential(make(gpunn)).input_shape[1:]
    x = RNG.standard_normal((steps, 8, *shape)).astype("float32")
    return x, RNG.integers(0, 4, (steps, 8))


def losses(model, batches):
    return [float(model.train_on_batch(x, y)) for x, y in zip(*batches, strict=True)]


@pytest.mark.parametrize("name", MODELS)
def test_training_steps_are_those_of_keras(name):
    ours, theirs = (compiled(library, MODELS[name]) for library in (gpunn, keras))
    theirs.set_weights(ours.get_weights())
    batches = data(MODELS[name], 15)
    received, expected = losses(ours, batches), losses(theirs, batches)
    np.testing.assert_allclose(received, expected, rtol=1e-4)
    assert len(set(received)) == 15
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    x = batches[0][0]
    np.testing.assert_allclose(
        ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("name", MODELS)
def test_recorded_steps_are_those_of_eager_training(name):
    models = [compiled(gpunn, MODELS[name], jit_compile=jit) for jit in (False, True)]
    models[1].set_weights(models[0].get_weights())
    batches = data(MODELS[name], 7)
    eager, recorded = (losses(model, batches) for model in models)
    assert eager == recorded
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        assert a.tobytes() == b.tobytes()
    steps = models[1]._step.recordings["train"]
    assert all(step.program is not None for step in steps.steps.values())


@pytest.mark.parametrize("name", MODELS)
def test_fit_on_the_simulated_gpu_equals_the_cpu(simulated_gpu, name):
    x, y = (part.reshape(-1, *part.shape[2:])[:20] for part in data(MODELS[name], 3))
    results = []
    for device in ("cpu", "gpu:0"):
        gpunn.utils.set_random_seed(7)
        with gpunn.device(device):
            model = compiled(gpunn, MODELS[name], metrics=["accuracy"])
            history = model.fit(x, y, batch_size=8, epochs=2, validation_data=(x, y), verbose=0)
            assert {w.device for w in model.weights} == {device}
            found = model.get_weights(), history.history, model.predict(x[:5], verbose=0)
        results.append(found)
    (cpu, cpu_history, cpu_y), (gpu, gpu_history, gpu_y) = results
    for a, b in zip(gpu, cpu, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert gpu_history.keys() == cpu_history.keys()
    for key, values in cpu_history.items():
        np.testing.assert_allclose(gpu_history[key], values, rtol=1e-4, atol=1e-5, err_msg=key)
    np.testing.assert_allclose(gpu_y, cpu_y, rtol=1e-4, atol=1e-5)
