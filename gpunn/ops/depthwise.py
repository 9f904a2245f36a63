"""Depthwise and separable convolution: y[o, c·m + j] = Σ over taps t of x[o·s + t·d, c] w[t, c, j].

x (N, *sizes, C), w (*kernel, C, m) with m filters a channel, y (N, *out, C·m). CUDA twins:
kernels/depthwise.cu. On the CPU `einsum` walks over strided views, chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.autodiff.op import Joint, grad_like, op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import blocks, contiguous, raw
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.threads import parallel
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.columns import Gather, chunks, gathered, mirrored, overlap, widened
from gpunn.ops.conv import channels_last, check_images, checked_options, conv, in_order
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.rules import result_dtype
from gpunn.ops.windows import Windows, launch_geometry, windowed_sizes, windows

CHUNK = 1 << 20  # bytes of a chunk's result

# --- kernels ---


def _launch(a: Array, w: Array, out: Array, windows: Windows) -> Any:
    """One thread an element of the result."""
    if a.size == 0 or out.size == 0 or not contiguous(a, w, out):
        return NotImplemented
    numbers = (np.int32(a.shape[0]), np.int32(w.shape[-2]), np.int32(w.shape[-1]))
    return (blocks(out.size),), (256,), (a, w, out, *numbers, *launch_geometry(windows)), 0


def _launch_kernel(x: Array, dy: Array, dw: Array, windows: Windows) -> Any:
    if x.size == 0 or dy.size == 0 or not contiguous(x, dy, dw):
        return NotImplemented
    channels, m = dw.shape[-2:]
    taps = dw.size // (channels * m)
    numbers = (np.int32(x.shape[0]), np.int32(channels), np.int32(m))
    arguments = (x, dy, dw, *numbers, *launch_geometry(windows))
    return (-(-channels * m // 32), taps), (32, 8), arguments, 0


def _cases() -> list[tuple[Windows, int, int]]:
    """(windows, C, m)"""
    return [
        (windows("depthwise", (6, 7), (3, 3), (1, 1), (1, 1), "same"), 5, 1),
        (windows("depthwise", (7, 8), (3, 2), (2, 2), (1, 1), "valid"), 3, 2),
        (windows("depthwise", (9, 7), (2, 3), (1, 1), (2, 1), "same"), 34, 1),
        (windows("depthwise", (9,), (3,), (2,), (1,), "same"), 4, 1),
    ]


def _examples(shapes: Callable[[Windows, int, int], tuple]) -> Callable:
    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for geometry, c, m in _cases():
            *given, out = shapes(geometry, c, m)
            arrays = [normal(rng, shape, dtype) for shape in given]
            yield (*arrays, unwritten(out, dtype)), {"windows": geometry}

    return examples


def _depthwise(name: str, launch: Callable, shapes: Callable) -> Callable[[Callable], Kernel]:
    return kernel(cuda=raw("depthwise.cu", name, launch), examples=_examples(shapes))


def _x(g: Windows, c: int, m: int) -> tuple[int, ...]:
    return (2, *g.sizes, c)


def _w(g: Windows, c: int, m: int) -> tuple[int, ...]:
    return (*g.kernel, c, m)


def _y(g: Windows, c: int, m: int) -> tuple[int, ...]:
    return (2, *g.out, c * m)


def _along_rows(xp: Any, w: Array, length: int) -> Array:
    """w (*kernel, C, m) for each window of a row: NumPy then loops over whole rows."""
    return xp.repeat(w[..., None, :, :], length, axis=-3)


def _contract(xp: Any, subscripts: str, a: Array, b: Array, out: Array) -> None:
    """out = Σ a b: one pass over `out` for each term, where a product and a sum are two."""
    if xp is np:
        np.einsum(subscripts, a, b, out=out)
    else:
        out[...] = xp.einsum(subscripts, a, b)


def _subscripts(d: int) -> tuple[str, str, str]:
    """Those of windows (n, *out, *kernel, c), of w (*kernel, c) and of y (n, *out, c)."""
    out, taps = "opq"[:d], "tuv"[:d]
    return f"n{out}{taps}c", f"{taps}c", f"n{out}c"


def _by_rows(xp: Any, view: Array, w: Array, y: Array) -> tuple[Array, ...]:
    """Windows, w and y with rows and channels as one axis, on which einsum then loops.

    Windows (n, *out, *kernel, c), next to each other in memory along the last axis of `out`.
    """
    d = w.ndim - 1
    n, *out = view.shape[: d + 1]
    strides = (*view.strides[:d], 0, *view.strides[d + 1 : -1], view.itemsize)  # c may be 1
    shape = (n, *out[:-1], 1, *view.shape[d + 1 : -1], out[-1] * w.shape[-1])
    rows = xp.lib.stride_tricks.as_strided(view, shape, strides)
    wide = xp.repeat(w[..., None, :], out[-1], axis=-2).reshape(*w.shape[:-1], -1)
    return rows, wide, y.reshape(n, *out[:-1], 1, -1)


def _shared(xp: Any, x: Array, windows: Windows, work: Callable[[Gather], Any]) -> list[Any]:
    """What `work` returns for each thread's share of the windows of x."""
    return gathered(xp, x, windows, 1, x.shape[-1] * x.dtype.itemsize, CHUNK, work)


def _filter(xp: Any, x: Array, w: Array, y: Array, windows: Windows) -> None:
    """y (n, *out, C, m) of x and w (*kernel, C, m)"""
    in_, kernel, out = _subscripts(len(windows.kernel))
    m, side_by_side = w.shape[-1], windows.strides[-1] == 1

    def multiply(gather: Gather) -> None:
        for images, rows, view in gather.views():
            for j in range(m):
                operands = view[..., 0, :], w[..., j], y[images, rows, ..., j]
                if side_by_side and m == 1:
                    operands = _by_rows(xp, *operands)
                _contract(xp, f"{in_},{kernel}->{out}", *operands)

    _shared(xp, x, windows, multiply)


@_depthwise("depthwise_forward", _launch, lambda *a: (_x(*a), _w(*a), _y(*a)))
def depthwise_forward(xp: Any, x: Array, w: Array, y: Array, windows: Windows) -> None:
    """y[o, c·m + j] = Σ x[o·s + t·d, c] w[t, c, j]"""
    x32, w32 = widened(x), widened(w)
    total = y if y.dtype == x32.dtype else xp.empty(y.shape, x32.dtype)
    _filter(xp, x32, w32, total.reshape(*y.shape[:-1], *w.shape[-2:]), windows)
    if total is not y:
        y[...] = total


@_depthwise("depthwise_backward_input", _launch, lambda *a: (_y(*a), _w(*a), _x(*a)))
def depthwise_backward_input(xp: Any, dy: Array, w: Array, dx: Array, windows: Windows) -> None:
    """dx[i, c] = Σ dy[o, c·m + j] w[t, c, j] over the windows o and taps t that read i"""
    dy32, w32 = widened(dy), widened(w)
    dy32 = dy32.reshape(*dy.shape[:-1], *w.shape[-2:])
    total = dx if dx.dtype == dy32.dtype else xp.empty(dx.shape, dy32.dtype)
    if set(windows.strides) == {1}:  # a convolution of dy with the mirrored kernel
        turned = w32[(slice(None, None, -1),) * len(windows.kernel)]
        for j in range(w.shape[-1]):
            part = total if j == 0 else xp.empty_like(total)
            channel = xp.ascontiguousarray(dy32[..., j])
            _filter(xp, channel, turned[..., j : j + 1], part[..., None], mirrored(windows))
            if j > 0:
                total += part
    else:
        _scatter(xp, dy32, w32, total, windows)
    if total is not dx:
        dx[...] = total


def _scatter(xp: Any, dy: Array, w: Array, dx: Array, windows: Windows) -> None:
    """dx[i] = Σ dy[o] w[t], each product added where the tap read"""
    dx.fill(0)
    m, filters = w.shape[-1], _along_rows(xp, w, windows.out[-1])
    bytes_ = dy.shape[-2] * m * dx.dtype.itemsize

    def scatter(some: slice) -> None:  # chunks of one image may overlap: a thread has whole images
        mine, target = dy[some], dx[some]
        for images, rows in chunks(len(mine), windows, bytes_, CHUNK):
            part = mine[images, rows]
            for tap in np.ndindex(*windows.kernel):
                read, written = overlap(windows, tap, rows)
                product = part[(slice(None), *written)] * filters[tap][written[-1]]
                place = target[(images, *read)]
                place += product[..., 0] if m == 1 else product.sum(axis=-1)

    parallel(xp, scatter, len(dy))


@_depthwise("depthwise_backward_kernel", _launch_kernel, lambda *a: (_x(*a), _y(*a), _w(*a)))
def depthwise_backward_kernel(xp: Any, x: Array, dy: Array, dw: Array, windows: Windows) -> None:
    """dw[t, c, j] = Σ x[o·s + t·d, c] dy[o, c·m + j] over all windows o"""
    x32, dy32 = widened(x), widened(dy)
    dy32 = dy32.reshape(*dy.shape[:-1], *dw.shape[-2:])
    in_, kernel, out = _subscripts(len(windows.kernel))

    def multiply(gather: Gather) -> Any:
        total = xp.zeros((dw.shape[-1], *windows.kernel, x.shape[-1]), x32.dtype)
        part = xp.empty(total.shape[1:], x32.dtype)
        for images, rows, view in gather.views():
            for j, sums in enumerate(total):
                _contract(
                    xp, f"{in_},{out}->{kernel}", view[..., 0, :], dy32[images, rows, ..., j], part
                )
                sums += part
        return total

    dw[...] = xp.moveaxis(sum(_shared(xp, x32, windows, multiply)), 0, -1)


# --- ops ---


def _rule(
    x: Any, w: Any, *, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str
) -> Spec:
    check_images("depthwise_conv", x, w)
    if x.shape[-1] != w.shape[-2]:
        raise ShapeError(
            f"depthwise_conv: the inputs have {x.shape[-1]} channels, the kernel (*kernel, channels"
            f", multiplier) is for {w.shape[-2]} (channels-last inputs {tuple(x.shape)}, kernel "
            f"{tuple(w.shape)})."
        )
    sizes = windowed_sizes(
        "depthwise_conv", x.shape[1:-1], w.shape[:-2], strides, dilation, padding
    )
    return Spec((x.shape[0], *sizes, w.shape[-2] * w.shape[-1]), result_dtype(x, w))


@op(shape=_rule, promotes="common")
def depthwise_convolution(
    x: Array, w: Array, *, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str
) -> Any:
    """y[o, c·m + j] = Σ x[o·s + t·d, c] w[t, c, j], channels-last"""
    geometry = windows("depthwise_conv", x.shape[1:-1], w.shape[:-2], strides, dilation, padding)
    x, w = packed(x), packed(w)
    y = empty((x.shape[0], *geometry.out, w.shape[-2] * w.shape[-1]), x.dtype, x)
    depthwise_forward(x, w, y, windows=geometry)

    def gradients(dy: Array, needed: tuple[bool, bool]) -> tuple[Array | None, Array | None]:
        dy, dx, dw = packed(dy), None, None
        if needed[1]:
            dw = grad_like(w)
            depthwise_backward_kernel(x, dy, dw, windows=geometry)
        if needed[0]:
            dx = empty_like(x)
            depthwise_backward_input(dy, w, dx, windows=geometry)
        return dx, dw

    return y, Joint(gradients)


def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """Each channel has filters of its own: kernel (*kernel, channels, multiplier).

    >>> gpunn.ops.depthwise_conv(images, kernel, padding="same").shape
    """
    order, options = checked_options(
        "depthwise_conv", kernel, strides, padding, data_format, dilation_rate
    )
    return in_order(depthwise_convolution(channels_last(inputs, order), kernel, **options), order)


def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """A depthwise convolution, then a 1 x 1 convolution that mixes the channels.

    >>> gpunn.ops.separable_conv(images, depthwise_kernel, pointwise_kernel).shape
    """
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, 1, "valid", data_format)
