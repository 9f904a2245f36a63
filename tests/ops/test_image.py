"""Images: resizing against Keras, cropping, padding, grey; and `pad` with its modes."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.ops.enlarge import enlarge
from gpunn.ops.resample import resample

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 5, 7, 3)).astype("float32")
METHODS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("size", "antialias"), [((10, 14), False), ((3, 20), True)])
def test_resize_as_keras(method, size, antialias):
    options = {"interpolation": method, "antialias": antialias}
    expected = np.asarray(keras.ops.image.resize(X, size, **options))
    y = ops.image.resize(X, size, **options)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("size", [(3, 4), (2, 9), (8, 3), (5, 7)])
@pytest.mark.parametrize(
    "options", [{"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True, "fill_value": -1.5}]
)
def test_aspect_ratio_as_keras(size, options):
    expected = np.asarray(keras.ops.image.resize(X, size, **options))
    y = ops.image.resize(X, size, **options)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_resize_of_integers(method, dtype):
    x = RNG.integers(0, 256, (2, 5, 7, 3)).astype(dtype)
    expected = np.asarray(keras.ops.image.resize(x, (9, 11), interpolation=method))
    y = ops.image.resize(x, (9, 11), interpolation=method)
    assert y.dtype == dtype
    assert np.abs(y.numpy().astype(int) - expected.astype(int)).max() <= 1  # of rounding
    assert (y.numpy() != expected).mean() < 0.01


def test_resize_of_one_image_and_of_channels_in_front():
    y = ops.image.resize(X, (8, 3)).numpy()
    np.testing.assert_allclose(ops.image.resize(X[0], (8, 3)).numpy(), y[0], atol=1e-6)
    first = ops.image.resize(np.moveaxis(X, -1, 1), (8, 3), data_format="channels_first").numpy()
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), y, atol=1e-6)
    gpunn.config.set_image_data_format("channels_first")
    assert ops.image.resize(X[0], (8, 3)).shape == (5, 8, 3)


def test_a_constant_image_stays_constant():
    for method in METHODS:
        y = ops.image.resize(np.ones((4, 6, 2)), (9, 2), method, antialias=True).numpy()
        np.testing.assert_allclose(y, 1, rtol=1e-12)


def test_unknown_lengths():
    symbol = SymbolicTensor((None, None, None, 3), "float32")
    assert ops.image.resize(symbol, (8, 9)).shape == (None, 8, 9, 3)
    assert ops.image.crop_images(symbol, 1, 1, 2, 2).shape == (None, None, None, 3)
    assert ops.image.pad_images(symbol, 1, 1, 2, 2).shape == (None, None, None, 3)
    assert ops.image.rgb_to_grayscale(symbol).shape == (None, None, None, 1)
    assert ops.pad(symbol, ((0, 0), (9, 9), (1, 1), (1, 1)), mode="reflect").shape[3] == 5


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_grayscale_as_keras(dtype):
    x = (RNG.uniform(0, 255, (2, 3, 4, 3))).astype(dtype)
    expected = np.asarray(keras.ops.image.rgb_to_grayscale(x))
    y = ops.image.rgb_to_grayscale(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), expected, rtol=2e-3, atol=1)
    grey = x[..., :1]
    np.testing.assert_array_equal(ops.image.rgb_to_grayscale(grey).numpy(), grey)


SIDES = [
    (1, 2, 1, 0, None, None),
    (1, None, None, 2, 3, 4),
    (None, 1, 2, None, 3, 4),
]


@pytest.mark.parametrize("sides", SIDES)
def test_crop_as_keras(sides):
    expected = np.asarray(keras.ops.image.crop_images(X, *sides))
    np.testing.assert_array_equal(ops.image.crop_images(X, *sides).numpy(), expected)


@pytest.mark.parametrize(
    "sides", [(1, 2, 1, 0, None, None), (1, None, None, 2, 9, 10), (None, 1, 2, None, 9, 11)]
)
def test_pad_images_as_keras(sides):
    for x, order in ((X, "channels_last"), (np.moveaxis(X, -1, 1), "channels_first")):
        expected = np.asarray(keras.ops.image.pad_images(x, *sides, data_format=order))
        y = ops.image.pad_images(x, *sides, data_format=order)
        np.testing.assert_array_equal(y.numpy(), expected)


@pytest.mark.parametrize("mode", ["constant", "reflect", "symmetric"])
def test_pad_as_keras(mode):
    for widths in (1, (1, 2), (2, 0), ((0, 0), (2, 1), (0, 3), (1, 1))):
        x = RNG.standard_normal((3, 4, 5, 3)).astype("float32")
        expected = np.asarray(keras.ops.pad(x, widths, mode=mode))
        np.testing.assert_array_equal(ops.pad(x, widths, mode=mode).numpy(), expected)
    numbers = ops.pad(np.arange(4, dtype="int32"), (2, 1), mode=mode)
    assert numbers.dtype == "int32"
    np.testing.assert_array_equal(numbers.numpy(), np.pad(np.arange(4), (2, 1), mode=mode))


ERRORS = [
    (lambda: ops.pad(X, 1, mode="reflekt"), "Unknown mode of pad.*Did you mean 'reflect'"),
    (lambda: ops.pad(X, 1, "reflect", constant_values=2), "goes with mode='constant' only"),
    (lambda: ops.pad(X, -1), "pad_width must be .* received -1"),
    (lambda: ops.pad(X, 1.5), "pad_width must be .* received 1.5"),
    (lambda: ops.pad(X, ((1, 2, 3),) * 4), "pad_width must be"),
    (lambda: ops.pad(X[0, 0], ((7, 0), (0, 0)), "reflect"), "mirrors at most 6 elements of axis 0"),
    (lambda: ops.pad(X[0, 0], ((0, 0), (0, 4)), "symmetric"), "mirrors at most 3 elements of axis"),
    (lambda: ops.image.resize(X, (3,)), "size must be two positive integers, received .3,."),
    (lambda: ops.image.resize(X, (3, 0)), "size must be two positive integers"),
    (lambda: ops.image.resize(X, (3, True)), "size must be two positive integers"),
    (lambda: ops.image.resize(X, 3), "size must be two positive integers, received 3"),
    (lambda: ops.image.resize(X[0, 0], (3, 3)), "rank 3 .* or 4 .* received shape .7, 3."),
    (lambda: ops.image.resize(X[:, :0], (3, 3)), "there are no pixels"),
    (lambda: resample(X, axis=1, size=0, method="bilinear"), "there must be elements to take"),
    (lambda: resample(X, axis=4, size=2, method="bilinear"), "axis 4 does not exist"),
    (lambda: enlarge(X, factors=(2, 2)), "one positive factor an axis is needed"),
    (lambda: enlarge(X, factors=(1, 0, 1, 1)), "one positive factor an axis is needed"),
    (lambda: ops.image.resize(X, (3, 3), "cubic"), "Unknown interpolation: 'cubic'. Did you mean"),
    (lambda: ops.image.resize(X, (3, 3), fill_mode="reflect"), "Unknown fill_mode of resize"),
    (
        lambda: ops.image.resize(X, (3, 3), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
        "exclude each other",
    ),
    (
        lambda: ops.image.resize(
            SymbolicTensor((None, None, 3, 3)), (3, 3), crop_to_aspect_ratio=True
        ),
        "size of the images must be known",
    ),
    (lambda: ops.image.rgb_to_grayscale(X[..., :2]), "3 channels .or 1., received 2"),
    (lambda: ops.image.crop_images(X, 1, 1), "give exactly two of top_cropping"),
    (lambda: ops.image.crop_images(X, 1, 1, 1, 1, 2), "received top_cropping=1, bottom_cropping=1"),
    (lambda: ops.image.crop_images(X, -1, 1, 1, 1), "nothing can be negative"),
    (lambda: ops.image.crop_images(X, 3, 1, 3, 1), "3 . 3 elements are more than the height has"),
    (lambda: ops.image.crop_images(X, 1, 1, target_height=6, target_width=2), "nothing can be neg"),
    (lambda: ops.image.pad_images(X, 1, 1, target_height=3, target_width=9), "nothing can be neg"),
    (
        lambda: ops.image.pad_images(SymbolicTensor((None, None, 3, 3)), 1, 1, None, 1, 9),
        "the height of the images is unknown",
    ),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
