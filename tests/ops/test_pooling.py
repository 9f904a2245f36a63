"""Pooling where the op suite does not look: ties, NaN, infinities, large windows, errors."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import GradientTape, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.errors import ShapeError
from gpunn.ops import pool_kernels
from gpunn.ops.pool_windows import Axis
from tests.ops.cases_pooling import ranges

RNG = np.random.default_rng(5)
NAN, INF = np.nan, np.inf


def gradient_of(function, x):
    x = Tensor(x)
    with GradientTape() as tape:
        tape.watch(x)
        y = function(x)
        total = ops.sum(y * ops.convert_to_tensor(np.arange(1.0, 1 + y.size).reshape(y.shape)))
    return y.numpy(), tape.gradient(total, x).numpy()


def line(*values):
    return np.array(values, "float64").reshape(1, -1, 1)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(2, 2, "valid"), (3, 2, "same"), (3, 1, "same"), (2, 3, "same")]
)
def test_the_gradient_goes_to_the_first_maximum(rank, size, stride, padding):
    """Rounded inputs have ties everywhere; the oracle scans each window in order."""
    x = np.round(RNG.normal(size=(2, *(5, 4, 6)[:rank], 2)))
    y, dx = gradient_of(lambda t: ops.max_pool(t, size, stride, padding), x)
    expected = np.zeros_like(x)
    axes = [ranges(n, size, stride, padding) for n in x.shape[1:-1]]
    for number, index in enumerate(np.ndindex(*y.shape)):
        n, *spatial, c = index
        windows = [axis[i] for axis, i in zip(axes, spatial)]
        best = None
        for offset in np.ndindex(*map(len, windows)):
            place = (n, *(w[j] for w, j in zip(windows, offset)), c)
            if best is None or x[place] > x[best]:
                best = place
        assert y[index] == x[best]
        expected[best] += number + 1
    np.testing.assert_array_equal(dx, expected)


def test_adaptive_max_pooling_takes_the_first_maximum_too():
    _, dx = gradient_of(lambda t: ops.adaptive_max_pool(t, 1), np.zeros((1, 3, 4, 1)))
    assert dx[0, 0, 0, 0] == 1
    assert dx.sum() == 1
    x = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1.0]]).reshape(1, 3, 3, 1)
    _, dx = gradient_of(lambda t: ops.adaptive_max_pool(t, 1), x)
    assert dx[0, 0, 1, 0] == 1


def on_both_devices(simulated_gpu, *arrays, axes):
    """max_pool_forward of the reference and of the CUDA kernel: (y, index) twice."""
    shape = (len(arrays[0]), *(a.out for a in axes), arrays[0].shape[-1])
    results = []
    for backend in (devices.cpu, devices.gpu()):
        y, index = backend.empty(shape, "float64"), backend.empty(shape, "uint8")
        pool_kernels.max_pool_forward(backend.asarray(arrays[0]), y, index, axes=axes)
        results.append([devices.to_numpy(a) for a in (y, index)])
    return results


def test_nan_is_the_maximum_on_both_devices(simulated_gpu):
    x = line(1, NAN, 3, 2, NAN, NAN, -INF, -INF, -INF, 0).reshape(1, 1, 1, -1, 1)
    whole = Axis(1, 1, 1, 1)
    axes = (whole, whole, Axis(10, 10, 1, 3, 1, 1))
    on_cpu, on_gpu = on_both_devices(simulated_gpu, x, axes=axes)
    expected = [NAN, NAN, NAN, NAN, NAN, NAN, NAN, -INF, 0, 0]
    np.testing.assert_array_equal(on_cpu[0].ravel(), expected)
    np.testing.assert_array_equal(on_cpu[1].ravel(), [1, 0, 0, 0, 0, 0, 0, 0, 2, 1])
    for received, wanted in zip(on_gpu, on_cpu, strict=True):
        np.testing.assert_array_equal(received, wanted)


def test_values_of_nan_as_keras():
    """NaN wins wherever it stands in a window; a window of -inf is -inf, also at the border."""
    y = ops.max_pool(line(1, NAN, 3, -INF, -INF, -INF), 3, 1, "same").numpy().ravel()
    np.testing.assert_array_equal(y, [NAN, NAN, NAN, 3, -INF, -INF])


def test_a_window_of_more_than_256_elements():
    x = RNG.normal(size=(2, 40, 30, 2))
    y, dx = gradient_of(lambda t: ops.max_pool(t, (40, 15)), x)
    np.testing.assert_array_equal(y[:, 0], x.reshape(2, 40, 2, 15, 2).max(axis=(1, 3)))
    assert np.count_nonzero(dx) == 8
    assert (x[dx != 0].reshape(2, -1) >= y.min()).all()


def test_many_images_are_pooled_in_parts(monkeypatch):
    x = RNG.normal(size=(9, 8, 8, 2)).astype("float32")
    for function in (ops.max_pool, ops.average_pool):
        whole = gradient_of(lambda t, f=function: f(t, 3, 2, "same"), x)
        with monkeypatch.context() as patch:
            for size in (1, 1100):  # one image at a time, and two
                patch.setattr(pool_kernels, "CHUNK", size)
                for a, b in zip(
                    gradient_of(lambda t, f=function: f(t, 3, 2, "same"), x), whole, strict=True
                ):
                    np.testing.assert_array_equal(a, b)


def test_an_infinite_gradient_stays_where_it_belongs_by_average():
    x = Tensor(line(1, 2, 3, 4))
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.average_pool(x, 2)
    dx = tape.gradient(y, x, output_gradients=line(INF, 1)).numpy().ravel()
    np.testing.assert_array_equal(dx, [INF, INF, 0.5, 0.5])


def test_half_precision_averages_do_not_overflow():
    x = np.full((1, 64, 64, 1), 1000, "float16")
    y = ops.average_pool(x, 64)
    assert y.dtype == "float16"
    assert y.numpy().item() == 1000


def test_integers_become_floats():
    x = np.arange(6, dtype="int32").reshape(1, 6, 1)
    assert ops.max_pool(x, 2).dtype == "float32"
    np.testing.assert_array_equal(ops.average_pool(x, 2).numpy().ravel(), [0.5, 2.5, 4.5])


def test_no_images():
    empty = np.zeros((0, 4, 6, 3), "float32")
    for function in (ops.max_pool, ops.average_pool):
        y, dx = gradient_of(lambda t, f=function: f(t, 2), empty)
        assert (y.shape, dx.shape) == ((0, 2, 3, 3), (0, 4, 6, 3))
    assert ops.adaptive_max_pool(empty, 3).shape == (0, 3, 3, 3)


def test_unknown_lengths():
    x = SymbolicTensor((None, None, 7, 3), "float16")
    y = ops.max_pool(x, 2)
    assert (y.shape, y.dtype) == ((None, None, 3, 3), "float16")
    assert ops.average_pool(x, 2, 2, "same").shape == (None, None, 4, 3)
    assert ops.adaptive_average_pool(x, 5).shape == (None, 5, 5, 3)
    first = SymbolicTensor((None, 3, None, 7), "float32")
    assert ops.max_pool(first, 2, data_format="channels_first").shape == (None, 3, None, 3)
    assert ops.adaptive_max_pool(first, 7, "channels_first").shape == (None, 3, 7, 7)


X = np.ones((2, 5, 5, 3), "float32")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: ops.max_pool(x, 6), ShapeError, "max_pool: a window of 6 .* axis of length 5"),
        (lambda x: ops.max_pool(x, 0), ValueError, "max_pool: pool_size .* or 2 of them, .* 0"),
        (lambda x: ops.average_pool(x, (2, 2, 2)), ValueError, "average_pool: pool_size"),
        (lambda x: ops.max_pool(x, 2, (1, -1)), ValueError, "max_pool: strides must be a positive"),
        (
            lambda x: ops.max_pool(x, 2, padding="sme"),
            ValueError,
            "of max_pool: 'sme'. Did",
        ),
        (lambda x: ops.max_pool(x, 2, padding=1), ValueError, "Unknown padding of max_pool: 1"),
        (lambda x: ops.average_pool(x, 2, data_format="last"), ValueError, "Unknown data_format"),
        (
            lambda x: ops.max_pool(ops.expand_dims(ops.expand_dims(x, 1), 1), 2),
            ShapeError,
            r"max_pool: inputs must have a batch axis.*\(2, 1, 1, 5, 5, 3\)",
        ),
        (lambda x: ops.adaptive_max_pool(x, (2,)), ValueError, "adaptive_max_pool: output_size"),
        (lambda x: ops.adaptive_average_pool(x, 0), ValueError, "output_size must be a positive"),
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_errors(call, error, message, symbolic):
    x = SymbolicTensor(X.shape, "float32") if symbolic else ops.convert_to_tensor(X)
    with pytest.raises(error, match=message):
        call(x)


@pytest.mark.parametrize("x", [SymbolicTensor((None, 0, 5, 3)), np.ones((2, 0, 5, 3), "float32")])
def test_an_axis_without_elements(x):
    for function in (ops.max_pool, ops.adaptive_average_pool):
        with pytest.raises(ShapeError, match=r"_pool: a spatial axis has length 0 .*, 0, 5, 3\)"):
            function(x, 1)
    with pytest.raises(ShapeError, match="average_pool: a spatial axis has length 0"):
        ops.average_pool(x, 2, padding="same")
