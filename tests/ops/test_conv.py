"""Convolution as torch and Keras compute it, and in parts."""

from __future__ import annotations

import os
from itertools import product

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

from gpunn import GradientTape, ops
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import blas
from gpunn.ops import columns
from gpunn.ops import depthwise as depthwise_ops
from tests.ops.cases_conv import taps_of

RNG = np.random.default_rng(8)
SIZES = (7, 6, 5)
KERNEL = (3, 2, 3)


def normal(*shape):
    return RNG.standard_normal(shape)


def with_gradients(function, x, w):
    """y, dx and dw for dy = cos(0), cos(1), ..."""
    x, w = Tensor(x), Tensor(w)
    with GradientTape() as tape:
        tape.watch([x, w])
        y = function(x, w)
    dy = np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)
    return [y.numpy(), *(g.numpy() for g in tape.gradient(y, [x, w], output_gradients=dy))]


def assert_close(received, expected, tolerance=1e-10):
    assert len(received) == len(expected)
    for name, a, b in zip(("y", "dx", "dw"), received, expected):
        assert a.shape == b.shape, name
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


# --- torch ---


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def by_torch(torch, function, x, w, axes):
    """The same of a torch function of channels-first arrays; `axes` of w come first there."""
    x = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    w = torch.tensor(np.moveaxis(w, axes, (0, 1)).copy(), requires_grad=True)
    y = function(x, w).movedim(1, -1)
    y.backward(torch.cos(torch.arange(y.numel(), dtype=y.dtype)).reshape(y.shape))
    dx, dw = (a.grad.numpy() for a in (x, w))
    return [y.detach().numpy(), np.moveaxis(dx, 1, -1), np.moveaxis(dw, (0, 1), axes)]


def padded_by_torch(torch, x, geometry, padding):
    """As much as the windows need, in front and behind; torch names the last axis first."""
    widths = []
    for axis in reversed([taps_of(*numbers, padding) for numbers in geometry]):
        n = geometry[len(geometry) - 1 - len(widths) // 2][0]
        widths += [-axis[0][0], max(axis[-1][-1] - n + 1, 0)]
    return torch.nn.functional.pad(x, widths)


CROSS = [
    (rank, padding, channels)
    for rank in (1, 2, 3)
    for padding in ("valid", "same", "causal")[: 3 if rank == 1 else 2]
    for channels in ((4, 6), (20, 3))  # short and long runs of memory
]


@pytest.mark.parametrize(("rank", "padding", "channels"), CROSS)
def test_conv_is_that_of_torch(torch, rank, padding, channels):
    function = getattr(torch.nn.functional, f"conv{rank}d")
    c, k = channels
    for stride, dilation, groups in product((1, 2, 3), (1, 2), (1, 2) if k % 2 == 0 else (1,)):
        sizes = SIZES[:rank] if stride < 3 else SIZES[-rank:]
        x, w = normal(2, *sizes, c), normal(*KERNEL[:rank], c // groups, k)
        geometry = [(n, t, stride, dilation) for n, t in zip(sizes, KERNEL)]
        received = with_gradients(
            lambda x, w, a=(stride, padding, None, dilation): ops.conv(x, w, *a), x, w
        )
        expected = by_torch(
            torch,
            lambda x, w, g=geometry, a=(None, stride, 0, dilation, groups): function(
                padded_by_torch(torch, x, g, padding), w, *a
            ),
            x, w, (-1, -2),
        )  # fmt: skip
        assert_close(received, expected)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_transpose_is_that_of_torch(torch, rank):
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    for stride, dilation in product((1, 2, 3), (1, 2)):
        x, w = normal(2, *(4, 3, 5)[:rank], 3), normal(*KERNEL[:rank], 2, 3)
        more = stride - 1
        received = with_gradients(
            lambda x, w, a=(stride, "valid", more, None, dilation): ops.conv_transpose(x, w, *a),
            x, w,
        )  # fmt: skip
        expected = by_torch(
            torch,
            lambda x, w, s=stride, m=more, d=dilation: function(
                x, w, stride=s, output_padding=m, dilation=d
            ),
            x, w, (-1, -2),
        )  # fmt: skip
        assert_close(received, expected)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_depthwise_conv_is_that_of_torch(torch, rank):
    function = getattr(torch.nn.functional, f"conv{rank}d")
    for stride, dilation, padding, m in product((1, 2), (1, 2), ("valid", "same"), (1, 3)):
        sizes, kernel, c = SIZES[:rank], KERNEL[:rank], 5
        x, w = normal(2, *sizes, c), normal(*kernel, c, m)
        geometry = [(n, t, stride, dilation) for n, t in zip(sizes, kernel)]
        received = with_gradients(
            lambda x, w, a=(stride, padding, None, dilation): ops.depthwise_conv(x, w, *a), x, w
        )
        y, dx, dw = by_torch(
            torch,
            lambda x, w, g=geometry, p=padding, a=(None, stride, 0, dilation, 5): function(
                padded_by_torch(torch, x, g, p), w, *a
            ),
            x, w.reshape(*kernel, 1, -1), (-1, -2),
        )  # fmt: skip
        assert_close(received, [y, dx, dw.reshape(w.shape)])


# --- Keras ---


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def geometries(rank):
    """(strides, dilation, padding)"""
    steps = [(1, 1), (2, 1), (1, 2)] if rank < 3 else [(2, 1)]
    return [(s, d, p) for (s, d), p in product(steps, ("valid", "same"))]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_conv_is_that_of_keras(keras, rank):
    x = normal(2, *SIZES[:rank], 4).astype("float32")
    dense, grouped, channelwise = (
        normal(*KERNEL[:rank], *cs).astype("float32") for cs in ((4, 6), (2, 6), (4, 2))
    )
    for i, (strides, dilation, padding) in enumerate(geometries(rank)):
        order = ("channels_last", "channels_first")[i % 2]
        images = x if order == "channels_last" else np.moveaxis(x, -1, 1)
        arguments = strides, padding, order, dilation
        named = [("conv", grouped if i % 2 else dense)]
        named += [("depthwise_conv", channelwise)] if rank < 3 and strides == 1 else []
        for name, w in named:
            y = getattr(ops, name)(images, w, *arguments)
            expected = getattr(keras.ops, name)(images, w, *arguments)
            assert_close([y.numpy()], [np.asarray(expected)], 1e-4)


def test_separable_conv_is_that_of_keras(keras):
    x, w, mix = (normal(*s).astype("float32") for s in ((2, 7, 6, 3), (3, 2, 3, 2), (1, 1, 6, 4)))
    for arguments in ((2, "same"), (1, "valid", None, 2)):
        y = ops.separable_conv(x, w, mix, *arguments)
        assert_close(
            [y.numpy()], [np.asarray(keras.ops.separable_conv(x, w, mix, *arguments))], 1e-4
        )


def test_conv_transpose_is_that_of_keras(keras):
    """Every extent from 1 to 4, even and odd, with every output_padding."""
    for k, stride, padding in product((1, 2, 3, 4), (1, 2, 3), ("valid", "same")):
        x, w = normal(1, 4, 2).astype("float32"), normal(k, 3, 2).astype("float32")
        for more in (None, *range(stride)):
            y = ops.conv_transpose(x, w, stride, padding, more)
            expected = keras.ops.conv_transpose(x, w, stride, padding, more)
            assert_close([y.numpy()], [np.asarray(expected)], 1e-4)


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_conv_transpose_of_more_axes_is_that_of_keras(keras, order):
    for rank, strides, padding, more, dilation in (
        (2, (2, 1), "same", (1, 0), 1), (2, 1, "same", None, (2, 1)), (3, 2, "valid", None, 1),
    ):  # fmt: skip
        x = normal(2, *(4, 3, 2)[:rank], 3).astype("float32")
        x = x if order == "channels_last" else np.moveaxis(x, -1, 1)
        w = normal(*(3, 2, 4)[:rank], 2, 3).astype("float32")
        arguments = strides, padding, more, order, dilation
        expected = keras.ops.conv_transpose(x, w, *arguments)
        assert_close([ops.conv_transpose(x, w, *arguments).numpy()], [np.asarray(expected)], 1e-4)


# --- chunks ---


FUNCTIONS = {
    "conv": (lambda x, w: ops.conv(x, w, padding="same"), (3, 2, 3, 4)),
    "conv, long runs": (lambda x, w: ops.conv(x, w, padding="same"), (3, 6, 3, 4)),
    "conv, strides": (lambda x, w: ops.conv(x, w, (2, 3), "same"), (3, 2, 3, 4)),
    "conv, gaps": (lambda x, w: ops.conv(x, w, 3), (2, 1, 3, 4)),
    "conv, dilation": (lambda x, w: ops.conv(x, w, dilation_rate=2), (3, 2, 3, 4)),
    "conv, 1 x 1": (lambda x, w: ops.conv(x, w), (1, 1, 3, 4)),
    "conv_transpose": (lambda x, w: ops.conv_transpose(x, w, 2, "same"), (3, 2, 4, 3)),
    "conv_transpose, strides of 1": (lambda x, w: ops.conv_transpose(x, w), (3, 2, 4, 3)),
    "depthwise_conv": (lambda x, w: ops.depthwise_conv(x, w, padding="same"), (3, 2, 3, 1)),
    "depthwise_conv, strides": (lambda x, w: ops.depthwise_conv(x, w, (2, 1)), (3, 2, 3, 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float64", "float16"])
@pytest.mark.parametrize("threads", [1, 3])
def test_rows_and_images_in_parts(monkeypatch, name, dtype, threads):
    """One row at a time, a few rows, a few images, on one thread or more: as all at once."""
    function, shape = FUNCTIONS[name]
    x, w = normal(5, 8, 7, 3).astype(dtype), normal(*shape).astype(dtype)
    whole = with_gradients(function, x, w)
    seen = set()

    def chunks(n, windows, size, limit, threads=1, original=columns.chunks):
        found = original(n, windows, size, limit, threads)
        seen.add((found[0][0].stop, len(found)))
        rows = [(i, r) for images, part in found for i in range(images.start, images.stop)
                for r in range(part.start, part.stop)]  # fmt: skip
        assert rows == list(product(range(n), range(windows.out[0])))
        return found

    monkeypatch.setattr(blas, "threads", lambda: threads)
    monkeypatch.setattr(columns, "WORTH_A_THREAD", 1)
    for module in (columns, depthwise_ops):
        monkeypatch.setattr(module, "chunks", chunks)
    for limit in (1, 1500, 6000, 20000, 60000):
        monkeypatch.setattr(columns, "CHUNK", limit)
        monkeypatch.setattr(depthwise_ops, "CHUNK", limit)
        tolerance = 1e-12 if dtype == "float64" else 2e-3
        for a, b in zip(with_gradients(function, x, w), whole, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * abs(b).max())
    images, parts = zip(*seen)
    assert max(parts) > 5  # images were split
    assert 1 in images
    assert max(images) > 1  # several at once


def test_a_line_is_split_into_its_windows(monkeypatch):
    x, w = normal(2, 50, 3), normal(5, 3, 2)
    whole = with_gradients(lambda x, w: ops.conv(x, w, 1, "causal", None, 2), x, w)
    monkeypatch.setattr(columns, "CHUNK", 500)
    assert_close(with_gradients(lambda x, w: ops.conv(x, w, 1, "causal", None, 2), x, w), whole)
