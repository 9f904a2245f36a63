"""Routes of convolution through cublasLt's products: 1 x 1 kernels, and columns chunk by chunk.

    pointwise   Y = X W           dX = dY Wᵀ                  dW = Xᵀ dY
    columns     Y = columns(x) W  dX = columns(dy) W', or     dW = Σ columns(x)ᵀ dY over the chunks
                                  dx = scatter(dY Wᵀ)

X, Y: one row a pixel; W (taps · C, K). W' (taps · K, C) is W mirrored: it serves stride 1, where
columns of dy are as few as those of x. Both know one group only: the matrices of several lie
interleaved in y and w, and would have to be copied apart and together; the implicit product of
conv.cu reads them where they are. docs/convolution-routes.md
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from gpunn import config
from gpunn.backend import cublaslt
from gpunn.backend.cuda import contiguous
from gpunn.backend.devices import empty
from gpunn.backend.kernel import Kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, packed
from gpunn.ops.column_kernels import gather_columns, scatter_columns
from gpunn.ops.columns import mirrored
from gpunn.ops.gemm import gemm
from gpunn.ops.windows import Windows

_LONGEST = 2**31 - 1  # elements of the columns of a chunk
_EVEN = 128  # rows of a product's tile: chunks are multiples of it


class _Products:
    """One of the three products of a convolution, for one group of packed arrays."""

    name: str

    def __init__(self, mode: str):
        self.mode = mode  # FORWARD, BACKWARD_INPUT or BACKWARD_KERNEL

    def applies(self, windows: Windows, arrays: list[Array]) -> bool:
        """Whether this route can compute it."""
        raise NotImplementedError

    def compute(self, windows: Windows, arrays: tuple, relu: bool) -> None:
        """Launch it."""
        raise NotImplementedError

    def __call__(self, kernel: Kernel, arrays: tuple, options: dict) -> Any:
        given = [a for a in arrays if a is not None]
        windows = options["windows"]
        if (
            options["groups"] > 1
            or cublaslt.library() is None
            or any(a.size == 0 for a in given)
            or not contiguous(*given)
            or not self.applies(windows, given)
        ):
            return NotImplemented
        self.compute(windows, arrays, options.get("relu", False))
        return None


def _multiply(a: Array, b: Array, out: Array, bias: Array | None = None, **options: bool) -> None:
    """A plain product. It is a part of a kernel's route, so recorders are not told of it."""
    if cublaslt.gemm(gemm, (a, b, bias, out), options) is NotImplemented:
        raise TypeError(f"cublasLt has no product of {a.dtype} and {b.dtype} arrays.")


def _rows(images: Array) -> Array:
    """(N, *sizes, C) as (pixels of the batch, C)"""
    return images.reshape(-1, images.shape[-1])


class Pointwise(_Products):
    """1 x 1 kernels: the images themselves are the columns. Any batch, stride 1, no padding."""

    name = "pointwise"

    def applies(self, windows: Windows, arrays: list[Array]) -> bool:
        return windows.are_pixels

    def compute(self, windows: Windows, arrays: tuple, relu: bool) -> None:
        if self.mode == "FORWARD":
            x, w, bias, y = arrays
            _multiply(_rows(x), _rows(w), _rows(y), bias, relu=relu)
        elif self.mode == "BACKWARD_INPUT":
            dy, w, dx = arrays
            _multiply(_rows(dy), _rows(w), _rows(dx), transpose_b=True)
        else:
            x, dy, dw = arrays
            _multiply(_rows(x), _rows(dy), _rows(dw), transpose_a=True)


def _chunk(rows: int, unit: int, width: int, itemsize: int) -> int:
    """Rows of a chunk: a multiple of `unit` rows, within the workspace; 0 if one is too large."""
    limit = min(config.conv_workspace() // itemsize, _LONGEST)
    most = limit // (unit * width) * unit
    if rows <= most or most == 0:
        return min(rows, most)
    even = -(-rows // -(-rows // most))  # chunks of about the same size
    step = unit if unit > 1 else _EVEN
    return min(-(-even // step) * step, most)


class Columns(_Products):
    """Columns of as many windows at once as `gpunn.config.conv_workspace` holds."""

    name = "columns"

    def applies(self, windows: Windows, arrays: list[Array]) -> bool:
        unit, width = 1, prod(windows.kernel) * arrays[0].shape[-1]
        if self.mode == "BACKWARD_INPUT" and set(windows.strides) != {1}:
            unit, width = prod(windows.out), prod(windows.kernel) * arrays[-1].shape[-1]
        return _chunk(unit, unit, width, arrays[0].dtype.itemsize) > 0

    def compute(self, windows: Windows, arrays: tuple, relu: bool) -> None:
        if self.mode == "FORWARD":
            x, w, bias, y = arrays
            _forward(x, _rows(w), bias, y, windows, relu)
        elif self.mode == "BACKWARD_KERNEL":
            x, dy, dw = arrays
            _backward_kernel(x, dy, dw, windows)
        elif set(windows.strides) == {1}:
            dy, w, dx = arrays
            _forward(dy, _rows(_turned(w)), None, dx, mirrored(windows), relu=False)
        else:
            dy, w, dx = arrays
            _backward_input(dy, w, dx, windows)


def _gathered(x: Array, windows: Windows) -> Iterator[tuple[slice, Array]]:
    """Which windows of the batch, and their columns (rows, taps · C): one buffer for all chunks."""
    rows, width = x.shape[0] * prod(windows.out), prod(windows.kernel) * x.shape[-1]
    chunk = _chunk(rows, 1, width, x.dtype.itemsize)
    buffer = empty((chunk, width), x.dtype, x)
    for first in range(0, rows, chunk):
        columns = buffer[: min(chunk, rows - first)]
        gather_columns(x, columns, windows=windows, first=first)
        yield slice(first, first + len(columns)), columns


def _forward(
    x: Array, W: Array, bias: Array | None, y: Array, windows: Windows, relu: bool
) -> None:
    Y = _rows(y)
    for rows, columns in _gathered(x, windows):
        _multiply(columns, W, Y[rows], bias, relu=relu)


def _turned(w: Array) -> Array:
    """w (*kernel, C, K) mirrored, as (*kernel, K, C)"""
    mirror = (slice(None, None, -1),) * (w.ndim - 2)
    return packed(w[mirror].swapaxes(-1, -2))


def _backward_kernel(x: Array, dy: Array, dw: Array, windows: Windows) -> None:
    """The products of all chunks, one added to the other in their order; halves in float32."""
    dY, dW = _rows(dy), _rows(dw)
    total = dW
    for rows, columns in _gathered(x, windows):
        if total is dW and dw.dtype.itemsize == 2 and rows.stop < dY.shape[0]:
            total = empty(dW.shape, np.float32, dw)
        _multiply(columns, dY[rows], total, transpose_a=True, accumulate=rows.start > 0)
    if total is not dW:
        copy_into(total, dW)


def _backward_input(dy: Array, w: Array, dx: Array, windows: Windows) -> None:
    """dx of whole images: what each window gives to each of its taps, summed pixel by pixel."""
    dY, W, windows_each = _rows(dy), _rows(w), prod(windows.out)
    chunk = _chunk(dY.shape[0], windows_each, W.shape[0], dy.dtype.itemsize)
    buffer = empty((chunk, W.shape[0]), dy.dtype, dy)
    for first in range(0, dY.shape[0], chunk):
        rows = slice(first, min(first + chunk, dY.shape[0]))
        columns = buffer[: rows.stop - first]
        _multiply(dY[rows], W, columns, transpose_b=True)
        scatter_columns(
            columns, dx[first // windows_each : rows.stop // windows_each], windows=windows
        )
