"""Convolution on the CPU: windows are gathered as columns that stay in the cache, then multiplied.

    y = columns(x) W    dW = columns(x)ᵀ dy    dx = columns(dy) Wᵀ, the kernel mirrored (stride 1)

x (N, *sizes, C), W (*kernel, C/g, K), y (N, *out, K), with one to three spatial axes and g groups.
A chunk is some images, or some rows (of the first spatial axis) of one image.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from gpunn.backend.protocol import Array
from gpunn.ops.windows import Windows

CHUNK = 1 << 21  # bytes of columns: few calls, and still near in the caches

_RUN = 16  # elements that lie together in a window; copying shorter runs is slow


def chunks(
    n: int, windows: Windows, window_bytes: int, limit: int
) -> Iterator[tuple[slice, slice]]:
    """Images and rows of each chunk, of about `limit` bytes."""
    rows = windows.out[0]
    row_bytes = max(prod(windows.out[1:]) * window_bytes, 1)
    images = max(1, min(n, limit // (rows * row_bytes)))
    step = rows if images > 1 else max(1, min(rows, limit // row_bytes))
    for i in range(0, n, images):
        for r in range(0, rows, step):
            yield slice(i, min(i + images, n)), slice(r, min(r + step, rows))


class Gather:
    """Columns of x, chunk by chunk: (g, m, taps · C/g) for the m windows of a chunk."""

    def __init__(self, xp: Any, x: Array, windows: Windows, groups: int):
        self.xp, self.x, self.windows, self.groups = xp, x, windows, groups
        self.dtype = np.dtype("float32") if x.dtype.itemsize == 2 else x.dtype
        self.width = prod(windows.kernel) * x.shape[-1]
        run = x.shape[-1] // groups * (windows.kernel[-1] if windows.dilation[-1] == 1 else 1)
        self.by_taps = groups == 1 and run < _RUN  # copy along the image's rows instead
        self.is_plain = self.width == x.shape[-1] and set(windows.strides) == {1}  # 1 x 1
        self.is_plain &= groups == 1 and not any(windows.before + windows.after)
        self._padded: Array | None = None
        self._buffer: Array | None = None

    def __iter__(self) -> Iterator[tuple[slice, slice, Array]]:
        n, windows = self.x.shape[0], self.windows
        for images, rows in chunks(n, windows, self.width * self.dtype.itemsize, CHUNK):
            yield images, rows, self._columns(images, rows)

    def _columns(self, images: slice, rows: slice) -> Array:
        if self.is_plain and self.dtype == self.x.dtype:
            return self.x[images, rows].reshape(1, -1, self.x.shape[-1])
        view = self.view(images, rows)
        d = len(self.windows.kernel)
        m = prod(view.shape[: d + 1])
        out = self._space(m * self.width)
        if self.by_taps:
            taps_first = view.transpose(*range(d + 1, 2 * d + 3), *range(d + 1))
            self.xp.copyto(out.reshape(taps_first.shape), taps_first)
            return out.reshape(1, self.width, m).transpose(0, 2, 1)
        by_group = view.transpose(2 * d + 1, *range(2 * d + 1), 2 * d + 2)
        self.xp.copyto(out.reshape(by_group.shape), by_group)
        return out.reshape(self.groups, m, self.width // self.groups)

    def _space(self, size: int) -> Array:
        if self._buffer is None or self._buffer.size < size:
            self._buffer = self.xp.empty(size, self.dtype)
        return self._buffer[:size]

    def view(self, images: slice, rows: slice) -> Array:
        """The windows of a chunk without a copy: (n, *out, *kernel, g, C/g)."""
        windows, x = self.windows, self._source(images)
        start = [rows.start * windows.strides[0], *[0] * (len(windows.out) - 1)]
        corner = x[(slice(None), *[slice(s, None) for s in start])]
        out = (rows.stop - rows.start, *windows.out[1:])
        channels = x.shape[-1] // self.groups
        shape = (x.shape[0], *out, *windows.kernel, self.groups, channels)
        spatial = x.strides[1:-1]
        steps = (
            x.strides[0],
            *(s * b for s, b in zip(windows.strides, spatial, strict=True)),
            *(d * b for d, b in zip(windows.dilation, spatial, strict=True)),
            x.strides[-1] * channels,
            x.strides[-1],
        )
        return self.xp.lib.stride_tricks.as_strided(corner, shape, steps)

    def _source(self, images: slice) -> Array:
        """The images with their padding."""
        windows, part = self.windows, self.x[images]
        if not any(windows.before + windows.after):
            return part
        if self._padded is None or self._padded.shape[0] < part.shape[0]:
            sizes = zip(windows.before, windows.sizes, windows.after, strict=True)
            shape = (part.shape[0], *map(sum, sizes), part.shape[-1])
            self._padded = self.xp.zeros(shape, part.dtype)
            self._filled: Any = None
        padded = self._padded[: part.shape[0]]
        if self._filled != images:
            inner = tuple(
                slice(b, b + n) for b, n in zip(windows.before, windows.sizes, strict=True)
            )
            padded[(slice(None), *inner)] = part
            self._filled = images
        return padded


def _by_group(w: Array, groups: int) -> Array:
    """W (*kernel, C/g, K) as (g, taps · C/g, K/g)."""
    matrix = w.reshape(-1, groups, w.shape[-1] // groups)
    return matrix.transpose(1, 0, 2)


def _work(array: Array, dtype: Any) -> Array:
    return array if array.dtype == dtype else array.astype(dtype)


def forward(
    xp: Any, x: Array, w: Array, bias: Array | None, y: Array, windows: Windows, groups: int
) -> Iterator[Array]:
    """Write y chunk by chunk; yields each chunk of y while it is in the cache."""
    gather = Gather(xp, x, windows, groups)
    W = _work(_by_group(w, groups), gather.dtype)
    for images, rows, columns in gather:
        part = y[images, rows]
        out = part.reshape(-1, groups, w.shape[-1] // groups).transpose(1, 0, 2)
        if out.dtype == gather.dtype:
            xp.matmul(columns, W, out=out)
        else:
            out[...] = xp.matmul(columns, W)
        if bias is not None:
            part += bias
        yield part


def backward_kernel(xp: Any, x: Array, dy: Array, dw: Array, windows: Windows, groups: int) -> None:
    """dW = Σ columns(x)ᵀ dy"""
    gather = Gather(xp, x, windows, groups)
    total = None
    for images, rows, columns in gather:
        part = _work(dy[images, rows], gather.dtype)
        part = part.reshape(-1, groups, dy.shape[-1] // groups).transpose(1, 0, 2)
        product = xp.matmul(columns.transpose(0, 2, 1), part)
        total = product if total is None else xp.add(total, product, out=total)
    if total is None:
        dw.fill(0)
    else:
        dw[...] = total.transpose(1, 0, 2).reshape(dw.shape)


def backward_input(xp: Any, dy: Array, w: Array, dx: Array, windows: Windows, groups: int) -> None:
    """dx: for stride 1 the convolution of dy with the mirrored kernel, else scattered columns"""
    if set(windows.strides) == {1}:
        d = len(windows.kernel)
        mirrored = w.reshape(*windows.kernel, w.shape[-2], groups, -1)[(slice(None, None, -1),) * d]
        turned = mirrored.transpose(*range(d), d + 2, d + 1, d)  # (*kernel, K/g, g, C/g)
        turned = turned.reshape(*windows.kernel, w.shape[-1] // groups, -1)
        for _ in forward(xp, dy, turned, None, dx, _mirrored(windows), groups):
            pass
    else:
        _scatter(xp, dy, w, dx, windows, groups)


def _mirrored(windows: Windows) -> Windows:
    """The windows over dy that give dx, for stride 1."""
    extents = [d * (k - 1) for d, k in zip(windows.dilation, windows.kernel, strict=True)]
    before = tuple(e - b for e, b in zip(extents, windows.before, strict=True))
    lengths = zip(windows.sizes, windows.out, extents, before, strict=True)
    after = tuple(n + e - out - b for n, out, e, b in lengths)
    return Windows(
        windows.out, windows.kernel, windows.strides, windows.dilation, before, after, windows.sizes
    )


def _scatter(xp: Any, dy: Array, w: Array, dx: Array, windows: Windows, groups: int) -> None:
    """dx = Σ over taps of the columns' gradient dy Wᵀ, each added where it was read"""
    dtype = np.dtype("float32") if dy.dtype.itemsize == 2 else dy.dtype
    W = _work(_by_group(w, groups), dtype).transpose(0, 2, 1)
    channels = w.shape[-2]
    total = dx if dx.dtype == dtype else xp.empty(dx.shape, dtype)
    total.fill(0)
    by_group = total.reshape(*dx.shape[:-1], groups, channels)
    width = prod(windows.kernel) * dx.shape[-1] * dtype.itemsize
    for images, rows in chunks(dx.shape[0], windows, width, CHUNK):
        part = _work(dy[images, rows], dtype)
        columns = xp.matmul(part.reshape(-1, groups, w.shape[-1] // groups).transpose(1, 0, 2), W)
        shape = (groups, *part.shape[:-1], *windows.kernel, channels)
        columns = columns.reshape(shape)
        for tap in np.ndindex(*windows.kernel):
            read, written = overlap(windows, tap, rows)
            source = columns[(slice(None), slice(None), *written, *tap)]
            target = by_group[(images, *read)]
            target += xp.moveaxis(source, 0, -2)
    if total is not dx:
        dx[...] = total


def overlap(windows: Windows, tap: tuple[int, ...], rows: slice) -> tuple[tuple, tuple]:
    """Where a tap reads the image, and in which windows of these rows, without the padding."""
    read, written = [], []
    for axis, t in enumerate(tap):
        stride, n = windows.strides[axis], windows.sizes[axis]
        offset = t * windows.dilation[axis] - windows.before[axis]
        first, last = (rows.start, rows.stop) if axis == 0 else (0, windows.out[axis])
        low = max(first, -(offset // stride))  # the first window with o · stride + offset >= 0
        high = max(low, min(last, (n - 1 - offset) // stride + 1))
        start = low * stride + offset
        read.append(
            slice(start, start + (high - low - 1) * stride + 1 if high > low else start, stride)
        )
        written.append(slice(low - first, high - first))
    return tuple(read), tuple(written)
