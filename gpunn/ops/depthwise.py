"""Depthwise and separable convolution: y[o, c·m + j] = Σ over taps t of x[o·s + t·d, c] w[t, c, j].

x (N, *sizes, C), w (*kernel, C, m) with m filters a channel, y (N, *out, C·m). CUDA twins:
kernels/depthwise.cu. On the CPU each tap is one product of a strided view, chunk by chunk.
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
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.columns import Gather, chunks, overlap
from gpunn.ops.conv import channels_last, check_images, checked_options, conv, in_order
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.rules import result_dtype
from gpunn.ops.windows import Windows, launch_geometry, windowed_sizes, windows

CHUNK = 1 << 18  # bytes of a chunk's result: it and two operands share the second-level cache

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


def _in_float32(array: Array) -> Array:
    """Halves are summed in float32."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 else array


def _along_rows(xp: Any, w: Array, length: int) -> Array:
    """w (*kernel, C, m) for each window of a row: NumPy then loops over whole rows."""
    return xp.repeat(w[..., None, :, :], length, axis=-3)


@_depthwise("depthwise_forward", _launch, lambda *a: (_x(*a), _w(*a), _y(*a)))
def depthwise_forward(xp: Any, x: Array, w: Array, y: Array, windows: Windows) -> None:
    """y[o, c·m + j] = Σ x[o·s + t·d, c] w[t, c, j]"""
    x32, w32 = _in_float32(x), _in_float32(w)
    total = y if y.dtype == x32.dtype else xp.empty(y.shape, x32.dtype)
    gather, wide = Gather(xp, x32, windows, 1), _along_rows(xp, w32, windows.out[-1])
    m, bytes_ = w.shape[-1], y.shape[-1] * total.dtype.itemsize
    for images, rows in chunks(x.shape[0], windows, bytes_, CHUNK):
        part = total[images, rows]
        part = part.reshape(*part.shape[:-1], -1, m)
        view = gather.view(images, rows)
        product = None
        for tap in np.ndindex(*windows.kernel):
            pixels = view[(slice(None),) * (len(tap) + 1) + tap][..., 0, :, None]
            if product is None:
                xp.multiply(pixels, wide[tap], out=part)
                product = xp.empty(part.shape, part.dtype)
            else:
                xp.multiply(pixels, wide[tap], out=product)
                part += product
    if total is not y:
        y[...] = total


@_depthwise("depthwise_backward_input", _launch, lambda *a: (_y(*a), _w(*a), _x(*a)))
def depthwise_backward_input(xp: Any, dy: Array, w: Array, dx: Array, windows: Windows) -> None:
    """dx[i, c] = Σ dy[o, c·m + j] w[t, c, j] over the windows o and taps t that read i"""
    dy32, w32 = _in_float32(dy), _in_float32(w)
    total = dx if dx.dtype == dy32.dtype else xp.empty(dx.shape, dy32.dtype)
    total.fill(0)
    wide = _along_rows(xp, w32, windows.out[-1])
    m, bytes_ = w.shape[-1], dy.shape[-1] * total.dtype.itemsize
    for images, rows in chunks(dy.shape[0], windows, bytes_, CHUNK):
        part = dy32[images, rows]
        part = part.reshape(*part.shape[:-1], -1, m)
        for tap in np.ndindex(*windows.kernel):
            read, written = overlap(windows, tap, rows)
            product = part[(slice(None), *written)] * wide[tap][written[-1]]
            target = total[(images, *read)]
            target += product[..., 0] if m == 1 else product.sum(axis=-1)
    if total is not dx:
        dx[...] = total


@_depthwise("depthwise_backward_kernel", _launch_kernel, lambda *a: (_x(*a), _y(*a), _w(*a)))
def depthwise_backward_kernel(xp: Any, x: Array, dy: Array, dw: Array, windows: Windows) -> None:
    """dw[t, c, j] = Σ x[o·s + t·d, c] dy[o, c·m + j] over all windows o"""
    x32, dy32 = _in_float32(x), _in_float32(dy)
    total = xp.zeros(dw.shape, x32.dtype)
    gather = Gather(xp, x32, windows, 1)
    m, bytes_ = dw.shape[-1], dy.shape[-1] * total.dtype.itemsize
    for images, rows in chunks(x.shape[0], windows, bytes_, CHUNK):
        part = dy32[images, rows]
        part = part.reshape(*part.shape[:-1], -1, m)
        view = gather.view(images, rows)
        for tap in np.ndindex(*windows.kernel):
            pixels = view[(slice(None),) * (len(tap) + 1) + tap][..., 0, :, None]
            product = (pixels * part).reshape(-1, dw.shape[-2] * m)
            total[tap] += (xp.ones(len(product), product.dtype) @ product).reshape(-1, m)
    dw[...] = total


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
