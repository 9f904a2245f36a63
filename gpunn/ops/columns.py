"""Convolution on the CPU: windows are gathered as columns that stay in the cache, then multiplied.

    y = columns(x) W    dW = columns(x)ᵀ dy    dx = columns(dy) Wᵀ, the kernel mirrored (stride 1)

x (N, *sizes, C), W (*kernel, C/g, K), y (N, *out, K), with one to three spatial axes and g groups.
A chunk is some images, or some rows (of the first spatial axis) of one image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

from gpunn.backend.protocol import Array
from gpunn.backend.threads import parallel, threads
from gpunn.ops.gemm import shared_product
from gpunn.ops.windows import Windows

CHUNK = 1 << 21  # bytes of columns: few calls, and still near in the caches
WORTH_A_THREAD = 1 << 17  # bytes of columns
_MANY_TIMES = 4  # the bytes of scattered columns; with more, mirrored ones take longer (measured)
_RUN = 16  # elements that lie together in a window; copying shorter runs is slow


def chunks(
    n: int, windows: Windows, window_bytes: int, limit: int, shares: int = 1
) -> list[tuple[slice, slice]]:
    """Images and rows of each chunk, of about `limit` bytes or less, as many for each share."""
    rows = windows.out[0]
    row_bytes = max(prod(windows.out[1:]) * window_bytes, 1)
    if n * rows * row_bytes < shares * WORTH_A_THREAD:
        shares = 1
    if n >= shares and limit >= rows * row_bytes:
        images, step = _even(n, limit // (rows * row_bytes), shares), rows
    else:
        images, step = 1, _even(rows, limit // row_bytes, -(-shares // max(n, 1)))
    return [
        (slice(i, min(i + images, n)), slice(r, min(r + step, rows)))
        for i in range(0, n, images)
        for r in range(0, rows, step)
    ]


def _even(n: int, most: int, shares: int) -> int:
    """The length of pieces of n, about `most`, of which each share has as many."""
    pieces = -(-n // max(1, most))
    return max(1, -(-n // (-(-pieces // shares) * shares))) if n else 1


class Gather:
    """Columns of x for some chunks: (g, m, taps · C/g) for the m windows of each."""

    def __init__(self, xp: Any, x: Array, windows: Windows, groups: int, chunks: list):
        self.xp, self.x, self.windows, self.groups = xp, x, windows, groups
        self.chunks, self.dtype = chunks, work_dtype(x)
        self.width = prod(windows.kernel) * x.shape[-1]
        run = x.shape[-1] // groups * (windows.kernel[-1] if windows.dilation[-1] == 1 else 1)
        self.by_taps = groups == 1 and run < _RUN  # copy along the image's rows instead
        self.is_plain = groups == 1 and windows.are_pixels
        self._padded: Array | None = None
        self._images: slice | None = None  # that were asked for last, and all their windows
        self._all: Any = None
        self._buffer: Array | None = None

    def __iter__(self) -> Iterator[tuple[slice, slice, Array]]:
        """Images, rows and columns; the next chunk overwrites the columns."""
        for images, rows in self.chunks:
            yield images, rows, self._columns(images, rows)

    def views(self) -> Iterator[tuple[slice, slice, Array]]:
        """Images, rows and the windows without a copy: (n, *out, *kernel, g, C/g)."""
        for images, rows in self.chunks:
            yield images, rows, self._view(images, rows)

    def _columns(self, images: slice, rows: slice) -> Array:
        if self.is_plain and self.dtype == self.x.dtype:
            return self.x[images, rows].reshape(1, -1, self.x.shape[-1])
        view = self._view(images, rows)
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

    def _view(self, images: slice, rows: slice) -> Array:
        if self._images != images:
            self._images, self._all = images, self._windows_of(self._source(images))
        return self._all[:, rows]

    def _windows_of(self, x: Array) -> Array:
        windows, channels = self.windows, x.shape[-1] // self.groups
        shape = (x.shape[0], *windows.out, *windows.kernel, self.groups, channels)
        spatial = x.strides[1:-1]
        steps = (
            x.strides[0],
            *(s * b for s, b in zip(windows.strides, spatial, strict=True)),
            *(d * b for d, b in zip(windows.dilation, spatial, strict=True)),
            x.strides[-1] * channels,
            x.strides[-1],
        )
        return self.xp.lib.stride_tricks.as_strided(x, shape, steps)

    def _source(self, images: slice) -> Array:
        """The images with their padding."""
        windows, part = self.windows, self.x[images]
        if not any(windows.before + windows.after):
            return part
        if self._padded is None or self._padded.shape[0] < part.shape[0]:
            sizes = zip(windows.before, windows.sizes, windows.after, strict=True)
            shape = (part.shape[0], *map(sum, sizes), part.shape[-1])
            self._padded = self.xp.zeros(shape, part.dtype)
        padded = self._padded[: part.shape[0]]
        inner = [slice(b, b + n) for b, n in zip(windows.before, windows.sizes, strict=True)]
        padded[(slice(None), *inner)] = part
        return padded


def _by_group(w: Array, groups: int) -> Array:
    """W (*kernel, C/g, K) as (g, taps · C/g, K/g)."""
    matrix = w.reshape(-1, groups, w.shape[-1] // groups)
    return matrix.transpose(1, 0, 2)


def work_dtype(array: Array) -> np.dtype:
    """Halves are multiplied and summed in float32."""
    return np.dtype("float32") if array.dtype.itemsize == 2 else array.dtype


def widened(array: Array) -> Array:
    """The array in its `work_dtype`."""
    return array.astype(work_dtype(array), copy=False)


def column_bytes(x: Array, windows: Windows) -> int:
    """Bytes of the columns of one window of x."""
    return prod(windows.kernel) * x.shape[-1] * work_dtype(x).itemsize


def _is_small(n: int, windows: Windows, window_bytes: int, weights: int) -> bool:
    """Whether the columns of n images have fewer bytes than the weights."""
    return 0 < n * prod(windows.out) * window_bytes < weights


def forward(
    xp: Any, x: Array, w: Array, bias: Array | None, y: Array, windows: Windows, groups: int,
    finish: Callable[[Array], None] | None = None,
) -> None:  # fmt: skip
    """y = columns(x) W + bias; `finish` gets each chunk of y while it is in the cache."""
    W = widened(_by_group(w, groups))

    def multiply(gather: Gather) -> None:
        for images, rows, columns in gather:
            part = y[images, rows]
            _multiply(xp, columns, W, part)
            if bias is not None:
                part += bias
            if finish is not None:
                finish(part)

    gathered(xp, x, windows, groups, column_bytes(x, windows), CHUNK, multiply, W.nbytes)


def _multiply(xp: Any, columns: Array, W: Array, y: Array) -> None:
    """y (images, rows, ..., K) = columns W"""
    _matmul(xp, columns, W, y.reshape(-1, W.shape[0], W.shape[2]).transpose(1, 0, 2))


def _matmul(xp: Any, a: Array, b: Array, out: Array) -> None:
    """out = a b of matrices, one for each group"""
    if out.dtype != b.dtype:
        out[...] = xp.matmul(a, b)
    elif len(out) == 1:
        shared_product(xp, a[0], b[0], out[0])
    else:
        xp.matmul(a, b, out=out)


def forward_by_images(
    xp: Any, x: Array, w: Array, windows: Windows, groups: int, use: Callable[[slice, Array], None]
) -> None:
    """columns(x) W of whole images, some after the other, each given to `use` while it is warm."""
    W, k, width = widened(_by_group(w, groups)), w.shape[-1], column_bytes(x, windows)
    most = max(1, CHUNK // max(prod(windows.out) * width, 1))

    def work(some: slice) -> None:
        gather, step = Gather(xp, x, windows, groups, []), min(most, some.stop - some.start)
        y = xp.empty((step, *windows.out, k), x.dtype)
        for start in range(some.start, some.stop, max(step, 1)):
            images = slice(start, min(start + step, some.stop))
            parts = chunks(images.stop - start, windows, width, CHUNK)
            gather.chunks = [(slice(start + i.start, start + i.stop), r) for i, r in parts]
            for i, rows, columns in gather:
                _multiply(xp, columns, W, y[i.start - start : i.stop - start, rows])
            use(images, y[: images.stop - start])

    parallel(xp, work, x.shape[0])


def gathered(
    xp: Any, x: Array, windows: Windows, groups: int, window_bytes: int, limit: int,
    work: Callable[[Gather], Any], weights: int = 0,
) -> list[Any]:  # fmt: skip
    """What `work` returns for each thread's share of the chunks of x.

    Columns with fewer bytes than the `weights` are one chunk, whose product the threads share:
    each would go through all of W else.
    """
    n = x.shape[0]
    if _is_small(n, windows, window_bytes, weights):
        parts = [(slice(0, n), slice(0, windows.out[0]))]
    else:
        parts = chunks(n, windows, window_bytes, limit, threads(xp))
    return parallel(xp, lambda some: work(Gather(xp, x, windows, groups, parts[some])), len(parts))


def backward_kernel(xp: Any, x: Array, dy: Array, dw: Array, windows: Windows, groups: int) -> None:
    """dW = Σ columns(x)ᵀ dy: for stride 1 of the columns of dy, where they are less work

    dW = (Σ columns(dy)ᵀ x)ᵀ is the mirrored kernel's. It pays where dy has at most half as many
    channels and not many more positions: as many windows as x has pixels are multiplied then.
    """
    bytes_of_x, bytes_of_dy = _bytes_of_both(x, dy, windows)
    fewer = 2 * bytes_of_dy <= bytes_of_x and prod(windows.sizes) <= 2 * prod(windows.out)
    if groups == 1 and set(windows.strides) == {1} and fewer:
        turned = xp.empty((*windows.kernel, dy.shape[-1], x.shape[-1]), dw.dtype)
        _sum_of_products(xp, dy, x, turned, mirrored(windows), 1)
        dw[...] = turned[(slice(None, None, -1),) * len(windows.kernel)].swapaxes(-1, -2)
    else:
        _sum_of_products(xp, x, dy, dw, windows, groups)


def _bytes_of_both(x: Array, dy: Array, windows: Windows) -> tuple[int, int]:
    """Bytes of an image's columns: of x, and of dy for the mirrored kernel."""
    of_x = prod(windows.out) * column_bytes(x, windows)
    return of_x, prod(windows.sizes) * column_bytes(dy, windows)


def _sum_of_products(
    xp: Any, x: Array, dy: Array, dw: Array, windows: Windows, groups: int
) -> None:
    """dW = Σ columns(x)ᵀ dy; which chunks are summed first depends on the number of threads"""

    def multiply(gather: Gather) -> list[Array]:
        total: list[Array] = []
        for images, rows, columns in gather:
            part = widened(dy[images, rows])
            part = part.reshape(-1, groups, dy.shape[-1] // groups).transpose(1, 0, 2)
            product = xp.empty((groups, columns.shape[2], part.shape[2]), part.dtype)
            _matmul(xp, columns.transpose(0, 2, 1), part, product)
            _add(total, product)
        return total

    total: list[Array] = []
    width = column_bytes(x, windows)
    for part in gathered(xp, x, windows, groups, width, CHUNK, multiply, dw.nbytes):
        _add(total, *part)
    dw[...] = total[0].transpose(1, 0, 2).reshape(dw.shape) if total else 0


def _add(total: list[Array], *parts: Array) -> None:
    """Add to the one array of the list, which the first part becomes."""
    for part in parts:
        if total:
            total[0] += part
        else:
            total.append(part)


def backward_input(xp: Any, dy: Array, w: Array, dx: Array, windows: Windows, groups: int) -> None:
    """dx: for stride 1 the convolution of dy with the mirrored kernel, else scattered columns

    Columns are scattered, too, where those of dy have many times their bytes, and where the
    mirrored kernel, a copy, has more.
    """
    width = column_bytes(dx, windows)
    small = _is_small(dx.shape[0], windows, width, w.nbytes)
    bytes_of_dx, bytes_of_dy = _bytes_of_both(dx, dy, windows)
    many = bytes_of_dy > _MANY_TIMES * bytes_of_dx
    if set(windows.strides) == {1} and not small and not many:
        d = len(windows.kernel)
        flipped = w.reshape(*windows.kernel, w.shape[-2], groups, -1)[(slice(None, None, -1),) * d]
        turned = flipped.transpose(*range(d), d + 2, d + 1, d)  # (*kernel, K/g, g, C/g)
        turned = turned.reshape(*windows.kernel, w.shape[-1] // groups, -1)
        forward(xp, dy, turned, None, dx, mirrored(windows), groups)
    else:
        _scatter(xp, dy, w, dx, windows, groups, small)


def mirrored(windows: Windows) -> Windows:
    """The windows over dy that give dx, for stride 1."""
    extents = [d * (k - 1) for d, k in zip(windows.dilation, windows.kernel, strict=True)]
    before = tuple(e - b for e, b in zip(extents, windows.before, strict=True))
    lengths = zip(windows.sizes, windows.out, extents, before, strict=True)
    after = tuple(n + e - out - b for n, out, e, b in lengths)
    return Windows(
        windows.out, windows.kernel, windows.strides, windows.dilation, before, after, windows.sizes
    )


def _scatter(
    xp: Any, dy: Array, w: Array, dx: Array, windows: Windows, groups: int, small: bool
) -> None:
    """dx = Σ over taps of the columns' gradient dy Wᵀ, each added where it was read"""
    dtype, channels = work_dtype(dy), w.shape[-2]
    W = widened(_by_group(w, groups)).transpose(0, 2, 1)
    total = dx if dx.dtype == dtype else xp.empty(dx.shape, dtype)
    total.fill(0)
    by_group = total.reshape(*dx.shape[:-1], groups, channels)
    width = column_bytes(dx, windows)

    def scatter(some: slice) -> None:  # chunks of one image may overlap: a thread has whole images
        limit = w.nbytes if small else CHUNK
        for images, rows in chunks(some.stop - some.start, windows, width, limit):
            images = slice(some.start + images.start, some.start + images.stop)
            part = widened(dy[images, rows])
            matrix = part.reshape(-1, groups, w.shape[-1] // groups).transpose(1, 0, 2)
            columns = xp.empty((groups, matrix.shape[1], W.shape[2]), dtype)
            _matmul(xp, matrix, W, columns)
            columns = columns.reshape(groups, *part.shape[:-1], *windows.kernel, channels)
            for tap in np.ndindex(*windows.kernel):
                read, written = overlap(windows, tap, rows)
                source = columns[(slice(None), slice(None), *written, *tap)]
                target = by_group[(images, *read)]
                target += xp.moveaxis(source, 0, -2)

    if small:  # the threads share the product
        scatter(slice(0, dx.shape[0]))
    else:
        parallel(xp, scatter, dx.shape[0])
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
