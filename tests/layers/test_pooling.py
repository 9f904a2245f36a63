"""Pooling layers against Keras: values, shapes, configs, gradients, masks, training."""

import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.errors import ShapeError

keras = pytest.importorskip("keras")
jax = pytest.importorskip("jax")

RNG = np.random.default_rng(0)
SIZES = {1: (9,), 2: (7, 8), 3: (5, 4, 6)}
SLIDING = [
    {"pool_size": 2},
    {"pool_size": 3, "strides": 2},
    {"pool_size": 2, "strides": 3, "padding": "SAME"},
    {"pool_size": 3, "strides": 2, "padding": "same"},
]
KINDS = {
    "Max": [{}, *SLIDING],
    "Average": SLIDING,
    "GlobalMax": [{}, {"keepdims": True}],
    "GlobalAverage": [{}, {"keepdims": True}],
    "AdaptiveMax": [{"output_size": 1}, {"output_size": 5}],
    "AdaptiveAverage": [{"output_size": 1}, {"output_size": 5}],
}
CASES = [
    (f"{kind}Pooling{rank}D", rank, {**options, "data_format": order})
    for rank in SIZES
    for order in ("channels_last", "channels_first")
    for kind, all_options in KINDS.items()
    for options in all_options
]
# JAX compiles each case for a while: a choice that has every layer, option and order.
COMPARED = [
    (name, rank, options)
    for name, rank, options in CASES
    if (rank, options["data_format"]) == (1, "channels_last")
    or (
        options == {**KINDS[name[:-9]][-1], "data_format": options["data_format"]}
        and (rank, options["data_format"]) in ((2, "channels_first"), (3, "channels_last"))
        and (rank, name[:3]) != (3, "Ada")
    )
]
every_case = pytest.mark.parametrize(
    ("name", "rank", "options"), CASES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(CASES)]
)
NAMES = sorted(n for n in dir(keras.layers) if "Pool" in n)


def images(rank, order, batch=2):
    shape = (*SIZES[rank], 3) if order == "channels_last" else (3, *SIZES[rank])
    return RNG.standard_normal((batch, *shape)).astype("float32")


def value_and_gradient(layer, x, c):
    y, pull_back = jax.vjp(layer, x)
    return y, pull_back(c)[0]


@pytest.mark.parametrize(
    ("name", "rank", "options"), COMPARED, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(COMPARED)]
)
def test_values_gradients_and_shapes_are_those_of_keras(name, rank, options):
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    x = images(rank, options["data_format"])
    y = ours(x)
    c = RNG.standard_normal(y.shape).astype("float32")
    expected, expected_dx = jax.jit(value_and_gradient, static_argnums=0)(theirs, x, c)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-6)
    variable = gpunn.Variable(x)
    with gpunn.GradientTape() as tape:
        loss = gpunn.ops.sum(ours(variable) * c)
    dx = tape.gradient(loss, variable).numpy()
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-5, atol=1e-6)
    assert ours.compute_output_shape((None, *x.shape[1:])) == (None, *expected.shape[1:])
    assert ours(x[:0]).shape == (0, *expected.shape[1:])
    assert ours.built


@every_case
def test_config(name, rank, options):
    ours = getattr(layers, name)(name="pool", **options)
    theirs = getattr(keras.layers, name)(name="pool", **options).get_config()
    config = ours.get_config()
    assert {k: v for k, v in config.items() if k != "dtype"} == {
        k: v for k, v in theirs.items() if k not in ("dtype", "quantization_config")
    }
    again = layers.deserialize(layers.serialize(ours))
    assert type(again) is type(ours)
    assert again.get_config() == config


@pytest.mark.parametrize("name", NAMES)
def test_names_signatures_and_masks_are_those_of_keras(name):
    ours, theirs = getattr(layers, name), getattr(keras.layers, name)
    assert ours.__name__ == theirs.__name__
    given, wanted = (inspect.signature(c.__init__).parameters for c in (ours, theirs))
    assert {n: p.default for n, p in given.items()} == {n: p.default for n, p in wanted.items()}
    gpunn.utils.clear_session()
    keras.utils.clear_session()
    sized = {n: 2 for n in ("pool_size", "output_size") if n in wanted}
    assert ours(**sized).name == theirs(**sized).name
    assert ours(**sized).supports_masking == theirs(**sized).supports_masking
    assert type(layers.deserialize({"class_name": name, "config": sized})) is ours


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_compute_dtype(kind, dtype):
    layer = getattr(layers, f"{kind}Pooling2D")(dtype=dtype, **KINDS[kind][1])
    assert layer(images(2, "channels_last")).dtype == dtype


def test_the_default_data_format_is_that_of_the_settings():
    gpunn.config.set_image_data_format("channels_first")
    for kind, (options, *_) in KINDS.items():
        layer = getattr(layers, f"{kind}Pooling2D")(**options)
        assert layer.data_format == "channels_first"
    assert layers.MaxPool2D()(np.ones((1, 3, 8, 6))).shape == (1, 3, 4, 3)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_average_over_the_steps_of_a_mask(order, keepdims):
    options = {"data_format": order, "keepdims": keepdims}
    ours = layers.GlobalAveragePooling1D(**options)
    theirs = keras.layers.GlobalAveragePooling1D(**options)
    x = images(1, order, batch=4)
    mask = RNG.uniform(size=(4, 9)) < 0.6
    mask[:, 0], mask[3] = True, False  # nothing is valid in the last sample: NaN
    with np.errstate(all="ignore"):
        y = ours(x, mask=mask)
    np.testing.assert_allclose(y.numpy(), theirs(x, mask=mask), rtol=1e-5, atol=1e-6)
    assert np.isnan(y.numpy()[3]).all()
    hidden = np.where(np.expand_dims(mask, 2 if order == "channels_last" else 1), x, np.nan)
    np.testing.assert_array_equal(ours(hidden[:3], mask=mask[:3]).numpy(), y.numpy()[:3])


def test_the_mask_of_the_input_is_used_and_ends():
    x = gpunn.ops.convert_to_tensor(images(1, "channels_last"))
    mask = np.arange(9) < np.array([[3], [9]])
    x._keras_mask = gpunn.ops.convert_to_tensor(mask)
    y = layers.GlobalAveragePooling1D()(x)
    np.testing.assert_allclose(y.numpy()[0], x.numpy()[0, :3].mean(axis=0), rtol=1e-5)
    assert y._keras_mask is None


def stack(library):
    of = library.layers
    return library.Sequential(
        [
            of.Input((9, 8, 3)),
            of.Dense(4, activation="tanh"),
            of.MaxPooling2D(3, strides=2, padding="same"),
            of.Dense(5, activation="tanh"),
            of.AveragePooling2D(2, strides=1),
            of.AdaptiveMaxPooling2D((3, 2)),
            of.Dense(4),
            of.GlobalAveragePooling2D(),
            of.Dense(3),
        ]
    )


def compiled(library, weights, **options):
    model = stack(library)
    model.set_weights(weights)
    model.compile(library.optimizers.SGD(0.1), "mean_squared_error", **options)
    return model


def weights_and_data():
    weights = [RNG.normal(0, 0.5, w.shape).astype("float32") for w in stack(gpunn).weights]
    x = RNG.standard_normal((5, 8, 9, 8, 3)).astype("float32")
    return weights, x, RNG.standard_normal((5, 8, 3)).astype("float32")


def test_training_steps_are_those_of_keras():
    weights, xs, ys = weights_and_data()
    ours, theirs = compiled(gpunn, weights), compiled(keras, weights)
    for x, y in zip(xs, ys, strict=True):
        assert float(ours.train_on_batch(x, y)) == pytest.approx(
            float(theirs.train_on_batch(x, y)), rel=1e-4
        )
    for found, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_recorded_steps_are_those_of_eager_training():
    weights, xs, ys = weights_and_data()
    models = [compiled(gpunn, weights, jit_compile=jit) for jit in (False, True)]
    losses = [[float(m.train_on_batch(x, y)) for x, y in zip(xs, ys)] for m in models]
    assert losses[0] == losses[1]
    for eager, replayed in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(eager, replayed)
    recorded = models[1]._step.recordings["train"]
    assert all(step.program is not None for step in recorded.steps.values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MaxPooling2D(0), "MaxPooling2D: pool_size must be a positive .* 2 of them"),
        (lambda: layers.MaxPooling3D((2, 2)), "MaxPooling3D: pool_size .* 3 of them"),
        (lambda: layers.AveragePooling1D(2, 0), "AveragePooling1D: strides .* received 0"),
        (
            lambda: layers.AvgPool1D(2, padding="vaild"),
            "of AveragePooling1D: 'vaild'. Did",
        ),
        (lambda: layers.MaxPool2D(data_format="channel_last"), "data_format: 'channel_last'. Did"),
        (lambda: layers.GlobalMaxPool1D("last"), "Unknown data_format: 'last'"),
        (lambda: layers.AdaptiveMaxPooling2D(2.0), "AdaptiveMaxPooling2D: output_size .* 2.0"),
        (lambda: layers.AdaptiveAveragePooling1D((2, 3)), "output_size must be a positive int"),
        (lambda: layers.GlobalMaxPooling2D(keepdim=True), "argument of GlobalMaxPooling2D"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_rank(kind):
    layer = getattr(layers, f"{kind}Pooling2D")(name="pool", **KINDS[kind][1])
    with pytest.raises(ShapeError, match="'pool' is incompatible .* expected ndim=4, found ndim=3"):
        layer(np.ones((2, 8, 3), "float32"))


def test_a_window_that_does_not_fit():
    with pytest.raises(ShapeError, match="max_pool: a window of 4 .* axis of length 3"):
        layers.MaxPooling1D(4).compute_output_shape((None, 3, 1))
