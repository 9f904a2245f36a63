"""Kernels that make columns of images, and sum columns to images. CUDA: kernels/columns.cu.

x (N, *sizes, C); columns (rows, taps · C) has a row for each of some windows of the batch.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gpunn.backend.cuda import THREADS, blocks, contiguous, cuda_type, raw
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.columns import overlap
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.windows import Windows, launch_geometry, windows

_LONGEST = 2**31 - 1  # places of an array are counted in 32 bits
_VECTOR = 16  # bytes that a thread reads and writes at once


def _cases() -> list[tuple[Windows, int]]:
    """(windows, C), where C takes vectors of all lengths"""
    return [
        (windows("conv", (7, 6), (3, 3), (1, 1), (1, 1), "same"), 4),
        (windows("conv", (9, 8), (3, 2), (2, 3), (1, 1), "valid"), 3),
        (windows("conv", (5, 7), (3, 3), (2, 2), (2, 1), "same"), 8),
        (windows("conv", (11,), (3,), (1,), (2,), "causal"), 2),
        (windows("conv", (5, 4, 6), (2, 3, 2), (2, 1, 2), (1, 1, 1), "same"), 1),
        (windows("conv", (6, 6), (1, 2), (3, 3), (1, 1), "valid"), 16),  # gaps
    ]


def _vector(channels: int, *arrays: Array) -> int:
    """How many channels a thread may handle at once: what divides C and the addresses."""
    itemsize = arrays[0].dtype.itemsize
    addresses = [0 if isinstance(a, np.ndarray) else a.data.ptr for a in arrays]  # 0: examples
    n = _VECTOR // itemsize
    while n > 1 and (channels % n or any(ptr % (n * itemsize) for ptr in addresses)):
        n //= 2
    return n


class _Columns(raw):
    """A kernel of columns.cu: one thread for each vector of the array `result`."""

    def __init__(self, function: str, images: int, result: int):
        super().__init__("columns.cu", function, self._plan, self._types)
        self.images, self.result = images, result

    def _channels(self, arrays: tuple) -> int:
        return arrays[self.images].shape[-1]

    def _types(self, *arrays: Array, **_: Any) -> tuple[str, str]:
        return cuda_type(arrays[0].dtype), str(self._lanes(arrays))

    def _lanes(self, arrays: tuple) -> int:
        return _vector(self._channels(arrays), *arrays)

    def _plan(self, *arrays: Array, windows: Windows, first: int | None = None) -> Any:
        channels, lanes = self._channels(arrays), self._lanes(arrays)
        total = arrays[self.result].size // lanes
        if not contiguous(*arrays) or not 0 < total <= _LONGEST:
            return NotImplemented
        numbers = (np.uint32(total), np.uint32(channels))
        start = () if first is None else (np.int64(first),)
        arguments = (*arrays, *numbers, *start, *launch_geometry(windows))
        return (blocks(total),), (THREADS,), arguments, 0


def _gather_examples(rng: np.random.Generator, dtype: str) -> Any:
    for geometry, channels in _cases():
        x = normal(rng, (3, *geometry.sizes, channels), dtype)
        width, count = prod(geometry.kernel) * channels, prod(geometry.out)
        for first, rows in ((0, 3 * count), (count - 1, count + 1)):
            yield (x, unwritten((rows, width), dtype)), {"windows": geometry, "first": first}


@kernel(cuda=_Columns("gather_columns", images=0, result=1), examples=_gather_examples)
def gather_columns(xp: Any, x: Array, columns: Array, windows: Windows, first: int) -> None:
    """columns[r, t] = x[what tap t of window first + r of the batch reads], 0 in the padding"""
    at = first + xp.arange(columns.shape[0])
    image, window = at // prod(windows.out), at % prod(windows.out)
    o: list[Array] = []
    for length in reversed(windows.out):
        o.insert(0, window % length)
        window = window // length
    pixels = x.reshape(x.shape[0], -1, x.shape[-1])
    by_taps = columns.reshape(columns.shape[0], -1, x.shape[-1])
    for number, tap in enumerate(np.ndindex(*windows.kernel)):
        pixel, inside = xp.zeros_like(at), at >= 0
        for axis, n in enumerate(windows.sizes):
            i = o[axis] * windows.strides[axis] + tap[axis] * windows.dilation[axis]
            i = i - windows.before[axis]
            inside &= (i >= 0) & (i < n)
            pixel = pixel * n + i
        values = pixels[image, xp.where(inside, pixel, 0)]
        by_taps[:, number] = xp.where(inside[:, None], values, xp.zeros_like(values))


def _scatter_examples(rng: np.random.Generator, dtype: str) -> Any:
    for geometry, channels in _cases():
        shape = (2 * prod(geometry.out), prod(geometry.kernel) * channels)
        dx = unwritten((2, *geometry.sizes, channels), dtype)
        yield (normal(rng, shape, dtype), dx), {"windows": geometry}


@kernel(cuda=_Columns("scatter_columns", images=1, result=1), examples=_scatter_examples)
def scatter_columns(xp: Any, columns: Array, dx: Array, windows: Windows) -> None:
    """dx[i] = Σ columns[o, t] over the windows o and taps t that read i: all windows of dx"""
    total = xp.zeros(dx.shape, np.float32 if dx.dtype.itemsize == 2 else dx.dtype)
    by_taps = columns.reshape(dx.shape[0], *windows.out, *windows.kernel, dx.shape[-1])
    for tap in np.ndindex(*windows.kernel):
        read, written = overlap(windows, tap, slice(0, windows.out[0]))
        total[(slice(None), *read)] += by_taps[(slice(None), *written, *tap)]
    dx[...] = total
