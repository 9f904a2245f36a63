"""Layers that pad, crop and enlarge, against Keras on the same inputs."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
FIRST = {"data_format": "channels_first"}
CASES = [
    ("ZeroPadding1D", {}, (2, 4, 3)),
    ("ZeroPadding1D", {"padding": (2, 0)}, (2, 4, 3)),
    ("ZeroPadding1D", {"padding": (2, 1), **FIRST}, (2, 3, 4)),
    ("ZeroPadding2D", {}, (2, 4, 5, 3)),
    ("ZeroPadding2D", {"padding": 2}, (2, 4, 5, 3)),
    ("ZeroPadding2D", {"padding": (1, 0)}, (2, 4, 5, 3)),
    ("ZeroPadding2D", {"padding": ((1, 0), (2, 3)), **FIRST}, (2, 3, 4, 5)),
    ("ZeroPadding3D", {}, (2, 2, 3, 2, 2)),
    ("ZeroPadding3D", {"padding": ((0, 1), (2, 0), (1, 1)), **FIRST}, (2, 2, 3, 2, 2)),
    ("Cropping1D", {}, (2, 4, 3)),
    ("Cropping1D", {"cropping": (0, 2)}, (2, 4, 3)),
    ("Cropping2D", {}, (2, 4, 5, 3)),
    ("Cropping2D", {"cropping": 1}, (2, 4, 5, 3)),
    ("Cropping2D", {"cropping": (1, 2)}, (2, 4, 5, 3)),
    ("Cropping2D", {"cropping": ((1, 0), (0, 2)), **FIRST}, (2, 3, 4, 5)),
    ("Cropping3D", {}, (2, 4, 3, 5, 2)),
    ("Cropping3D", {"cropping": ((0, 1), (2, 0), (1, 1)), **FIRST}, (2, 2, 3, 4, 3)),
    ("UpSampling1D", {}, (2, 4, 3)),
    ("UpSampling1D", {"size": 3}, (2, 4, 3)),
    ("UpSampling2D", {}, (2, 3, 4, 2)),
    ("UpSampling2D", {"size": 3}, (2, 3, 4, 2)),
    ("UpSampling2D", {"size": (1, 2), **FIRST}, (2, 3, 4, 2)),
    ("UpSampling2D", {"interpolation": "bilinear"}, (2, 3, 4, 2)),
    ("UpSampling2D", {"size": (3, 2), "interpolation": "bicubic"}, (2, 3, 4, 2)),
    ("UpSampling2D", {"interpolation": "lanczos3", **FIRST}, (2, 2, 4, 3)),
    ("UpSampling2D", {"interpolation": "lanczos5"}, (1, 3, 3, 1)),
    ("UpSampling3D", {}, (1, 2, 3, 2, 2)),
    ("UpSampling3D", {"size": (1, 2, 3), **FIRST}, (1, 2, 3, 2, 2)),
]
every_case = pytest.mark.parametrize(
    ("name", "options", "shape"), CASES, ids=[f"{n}-{o}" for n, o, _ in CASES]
)


def pair(name, options):
    return getattr(layers, name)(name="a", **options), getattr(keras.layers, name)(
        name="a", **options
    )


@every_case
def test_value_and_shape(name, options, shape):
    ours, theirs = pair(name, options)
    x = RNG.standard_normal(shape).astype("float32")
    np.testing.assert_allclose(ours(x).numpy(), np.asarray(theirs(x)), rtol=1e-5, atol=1e-5)
    unknown = shape if "interpolation" in options else (None,) * len(shape)
    for given in (shape, (None, *shape[1:]), unknown):
        assert ours.compute_output_shape(given) == tuple(theirs.compute_output_shape(given))
    empty = np.zeros((0, *shape[1:]), "float32")
    assert ours(empty).shape == (0, *ours(x).shape[1:])


@every_case
def test_config_and_masks(name, options, shape):
    ours, theirs = pair(name, options)
    config, expected = ours.get_config(), theirs.get_config()
    assert set(config) == set(expected) - {"quantization_config"}
    for key in ("padding", "cropping", "size", "interpolation", "data_format"):
        assert config.get(key) == expected.get(key)
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == config
    assert ours.supports_masking == theirs.supports_masking


@every_case
def test_gradients(name, options, shape):
    """The layers are linear: <layer(x), c> = <x, gradient>, and any other x gives the same."""
    layer = getattr(layers, name)(dtype="float64", **options)
    x = gpunn.Variable(RNG.standard_normal(shape), dtype="float64")
    c = RNG.standard_normal(layer(x).shape)
    with gpunn.GradientTape() as tape:
        loss = ops.sum(layer(x) * c)
    gradient = tape.gradient(loss, x).numpy()
    for _ in range(4):
        other = RNG.standard_normal(shape)
        assert (layer(other).numpy() * c).sum() == pytest.approx((other * gradient).sum(), rel=1e-9)


def test_default_data_format():
    gpunn.config.set_image_data_format("channels_first")
    x = RNG.standard_normal((1, 2, 3, 4)).astype("float32")
    assert layers.ZeroPadding2D()(x).shape == (1, 2, 5, 6)
    assert layers.UpSampling2D()(x).shape == (1, 2, 6, 8)
    assert layers.Cropping2D(1)(x).shape == (1, 2, 1, 2)


ERRORS = [
    (lambda x: layers.ZeroPadding2D((1, 2, 3)), "ZeroPadding2D: padding must be .* 2 integers"),
    (lambda x: layers.ZeroPadding2D(-1), "must be a non-negative integer .* received -1"),
    (lambda x: layers.ZeroPadding1D((1,)), "or a pair .before, after., received .1,."),
    (lambda x: layers.Cropping2D(1.5), "Cropping2D: cropping must be"),
    (lambda x: layers.Cropping3D(((1, 1), (1, 1))), "3 integers or 3 pairs"),
    (lambda x: layers.Cropping2D((2, 0), name="a")(x), "'a': cropping .* leaves nothing"),
    (lambda x: layers.Cropping1D()(x), "expected ndim=3, found ndim=4"),
    (lambda x: layers.UpSampling2D(0), "UpSampling2D: size must be a positive integer or 2"),
    (lambda x: layers.UpSampling1D((2, 2)), "UpSampling1D: size must be"),
    (lambda x: layers.UpSampling2D(interpolation="bilinera"), "Did you mean 'bilinear'"),
    (lambda x: layers.UpSampling2D(interpolation=None), "interpolation of UpSampling2D"),
    (lambda x: layers.ZeroPadding2D(data_format="first"), "Unknown data_format: 'first'"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.zeros((1, 4, 4, 2), "float32"))


def model_of(framework):
    make = framework.layers
    return framework.Sequential(
        [
            framework.Input((4, 4, 2)),
            make.ZeroPadding2D(((1, 0), (0, 2))),
            make.Dense(4, activation="tanh"),
            make.UpSampling2D((2, 1)),
            make.Cropping2D(((1, 1), (0, 1))),
            make.UpSampling2D(2, interpolation="bilinear"),
            make.Dense(3),
            make.UpSampling2D(2, interpolation="bicubic"),
            make.Flatten(),
            make.Dense(2),
        ]
    )


def batches(count):
    rng = np.random.default_rng(4)
    for _ in range(count):
        yield rng.normal(size=(6, 4, 4, 2)).astype("f"), rng.normal(size=(6, 2)).astype("f")


def test_training_as_keras():
    ours, theirs = model_of(gpunn), model_of(keras)
    theirs.set_weights([np.asarray(w) for w in ours.get_weights()])
    ours.compile(gpunn.optimizers.SGD(0.02), "mse")
    theirs.compile(keras.optimizers.SGD(0.02), "mse")
    for x, y in batches(4):
        ours.train_on_batch(x, y)
        theirs.train_on_batch(x, y)
    for mine, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-5)


def test_recorded_equals_eager():
    weights = []
    for jit_compile in (False, True):
        gpunn.utils.set_random_seed(1)
        model = model_of(gpunn)
        model.compile("sgd", "mse", jit_compile=jit_compile)
        for x, y in batches(6):
            model.train_on_batch(x, y)
        weights.append(model.get_weights())
    (step,) = [s for r in model._step.recordings.values() for s in r.steps.values()]
    assert step.program is not None
    for eager, recorded in zip(*weights, strict=True):
        np.testing.assert_array_equal(eager, recorded)
