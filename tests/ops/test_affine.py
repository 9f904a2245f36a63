"""Affine maps of images: against Keras, on integers, in both orders of axes; their errors."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.ops import affine_kernels
from gpunn.ops.affine_kernels import FILL_MODES

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 5, 8, 2)).astype("float32")
MAPS = np.zeros((3, 8), "float32")
MAPS[:, :6] = [1, 0, 0, 0, 1, 0] + 0.5 * RNG.standard_normal((3, 6))
MAPS[:, (2, 5)] *= 10
MAPS[0, :6] = [0, 1, -2.5, -1, 0, 11.5]  # a quarter of a turn, and half a pixel: ties
IDENTITY = [1.0, 0, 0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("mode", FILL_MODES)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_as_keras(interpolation, mode):
    options = {"interpolation": interpolation, "fill_mode": mode, "fill_value": 0.3}
    expected = np.asarray(keras.ops.image.affine_transform(X, MAPS, **options))
    y = ops.image.affine_transform(X, MAPS, **options)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_integers_as_keras(dtype):
    x = RNG.integers(0, 256, (3, 5, 8, 2)).astype(dtype)
    expected = np.asarray(keras.ops.image.affine_transform(x, MAPS, fill_value=7.9))
    y = ops.image.affine_transform(x, MAPS, fill_value=7.9)
    assert y.dtype == dtype
    assert np.abs(y.numpy().astype(int) - expected.astype(int)).max() <= 1  # of rounding
    assert (y.numpy() != expected).mean() < 0.02


def test_one_image_one_map_and_channels_in_front():
    y = ops.image.affine_transform(X, MAPS).numpy()
    np.testing.assert_array_equal(ops.image.affine_transform(X[1], MAPS[1]).numpy(), y[1])
    shared = ops.image.affine_transform(X, MAPS[1])
    assert shared.shape == X.shape
    np.testing.assert_array_equal(shared.numpy()[1], y[1])
    first = np.moveaxis(X, -1, 1)
    for order in ("channels_first", None):
        moved = ops.image.affine_transform(first, MAPS, data_format=order).numpy()
        np.testing.assert_array_equal(np.moveaxis(moved, 1, -1), y)
        gpunn.config.set_image_data_format("channels_first")
    one = ops.image.affine_transform(first[1], MAPS[1]).numpy()
    np.testing.assert_array_equal(np.moveaxis(one, 0, -1), y[1])


def test_identity_shift_and_mirror():
    np.testing.assert_array_equal(ops.image.affine_transform(X, IDENTITY).numpy(), X)
    left = ops.image.affine_transform(X, [1, 0, 2, 0, 1, 0, 0, 0], fill_value=5).numpy()
    np.testing.assert_array_equal(left[:, :, :-2], X[:, :, 2:])
    np.testing.assert_array_equal(left[:, :, -2:], 5)
    mirror = [-1, 0, 7, 0, -1, 4, 0, 0]
    np.testing.assert_array_equal(ops.image.affine_transform(X, mirror).numpy(), X[:, ::-1, ::-1])


def test_some_images_after_the_other(monkeypatch):
    dy = RNG.standard_normal(X.shape).astype("float32")
    results = []
    for chunk in (1 << 17, 100):
        monkeypatch.setattr(affine_kernels, "CHUNK", chunk)
        x = gpunn.Variable(X)
        with gpunn.GradientTape() as tape:
            y = ops.image.affine_transform(x, MAPS, fill_mode="reflect")
        results.append((y.numpy(), tape.gradient(y, x, output_gradients=dy).numpy()))
    for whole, parts in zip(*results, strict=True):
        np.testing.assert_array_equal(whole, parts)


def test_maps_to_nowhere():
    """Positions that are infinite or no numbers lie outside."""
    maps = np.array([IDENTITY] * 3, "float32")
    maps[0, 2], maps[1, 0], maps[2, 6] = np.nan, 1e38, -1  # the last divides by 1 - u
    y = ops.image.affine_transform(X, maps, fill_value=9).numpy()
    assert (y[0] == 9).all()
    assert (y[1, :, 1:] == 9).all()
    assert (y[2, :, 1] == 9).all()
    for mode in FILL_MODES:
        assert np.isfinite(ops.image.affine_transform(X, maps, fill_mode=mode).numpy()).all()


@pytest.mark.parametrize("device", ["cpu", "gpu:0"])
def test_a_map_onto_one_pixel(simulated_gpu, device):
    """All outputs show one pixel, which gets all of the gradient."""
    dy = RNG.standard_normal((2, 9, 10, 5)).astype("float32")
    with gpunn.device(device):
        x = gpunn.Variable(np.ones((2, 9, 10, 5), "float32"))
        for mode, row, column, i, j in (
            ("constant", 3, 2, 3, 2),
            ("nearest", 30, -2, 8, 0),
            ("wrap", 12, -8, 3, 2),
            ("mirror", -3, 12, 3, 6),
            ("reflect", -3, 12, 2, 7),
        ):
            with gpunn.GradientTape() as tape:
                y = ops.image.affine_transform(x, [0, 0, column, 0, 0, row, 0, 0], fill_mode=mode)
            dx = tape.gradient(y, x, output_gradients=dy).numpy().copy()
            np.testing.assert_allclose(dx[:, i, j], dy.sum((1, 2)), rtol=1e-4, atol=1e-4)
            dx[:, i, j] = 0
            assert not dx.any()


def test_shapes():
    symbol = SymbolicTensor((None, None, 8, 3), "float16")
    y = ops.image.affine_transform(symbol, SymbolicTensor((None, 8), "float32"))
    assert (y.shape, y.dtype) == ((None, None, 8, 3), "float16")
    assert ops.image.affine_transform(X[:0], MAPS[:0]).shape == (0, 5, 8, 2)
    assert ops.image.affine_transform(X[..., :0], MAPS).shape == (3, 5, 8, 0)


ERRORS = [
    (lambda: ops.image.affine_transform(X, MAPS, "bicubic"), "Unknown interpolation: 'bicubic'"),
    (
        lambda: ops.image.affine_transform(X, MAPS, fill_mode="mirrored"),
        "Unknown fill_mode: 'mirrored'. Did you mean 'mirror'",
    ),
    (lambda: ops.image.affine_transform(X[0, 0], MAPS), "received images .8, 2. and transform .3"),
    (lambda: ops.image.affine_transform(X, MAPS[None]), "transforms rank 1 or 2"),
    (lambda: ops.image.affine_transform(X, MAPS[:2]), "8 numbers an image are needed"),
    (lambda: ops.image.affine_transform(X, MAPS[:, :6]), "transform .3, 6."),
    (lambda: ops.image.affine_transform(X[:, :0], MAPS), "there are no pixels"),
    (lambda: ops.image.affine_transform(X, MAPS, data_format="first"), "Unknown data_format"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
