"""Kernels of statistics: mean, variance and other sums of the columns of X, in two passes.

X (R, W) is x (rows, channels) with k = W / channels neighbouring rows taken together, so that the
columns of narrow x fill vectors and warps. Sums over rows are made in parts of about PART elements,
which stay in the cache of a CPU and give a GPU enough blocks; then the parts are combined.
Statistics and parameters (channels,) are float32 for halves, else of x's dtype.
CUDA twins: kernels/normalization.cu.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from gpunn.backend.cuda import THREADS, contiguous, raw
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import normal, unwritten

PART = 1 << 16  # elements
_WIDE = 1024  # elements of a row of X that holds several narrow rows


def statistics_dtype(dtype: Any) -> np.dtype:
    """float32 for halves, else the dtype itself."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32) if dtype.itemsize < 4 else dtype


@lru_cache(maxsize=256)
def together(rows: int, channels: int) -> int:
    """How many neighbouring rows X takes together: a divisor of `rows`."""
    most = min(rows, _WIDE // channels) if channels else 1
    return next((k for k in range(most, 1, -1) if rows % k == 0), 1)


def part_rows(width: int) -> int:
    """The rows of a part; the last part may have fewer."""
    return max(16, PART // max(width, 1))


def part_count(rows: int, width: int) -> int:
    """How many parts there are."""
    return -(-rows // part_rows(width))


def parts(xp: Any, rows: int, width: int) -> Iterator[slice]:
    """The rows of each part; all at once on a GPU."""
    step = part_rows(width) if xp is np else max(rows, 1)
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))


@lru_cache(maxsize=64)
def ones(n: int, dtype: Any) -> np.ndarray:
    return np.ones(n, dtype)


def column_sums(xp: Any, x: Array, out: Array) -> None:
    """out = Σ x over the rows"""
    if xp is np and x.dtype == out.dtype:
        np.dot(ones(len(x), x.dtype), x, out=out)  # a GEMV of BLAS is faster than np.sum
    else:
        xp.sum(x, axis=0, dtype=out.dtype, out=out)


def scratch(xp: Any, x: Array, dtype: Any) -> Array:
    """A temporary as large as the largest part of x."""
    rows, width = x.shape
    return xp.empty((min(rows, part_rows(width)) if xp is np else rows, width), dtype)


def widened(xp: Any, vector: Array | None, width: int) -> Array | None:
    """The vector of channels as often as X has them side by side."""
    if vector is None or len(vector) == width:
        return vector
    return xp.tile(vector, width // len(vector))


# --- statistics ---

_SHAPES = ((1, 1, 1), (7, 5, 5), (9, 66, 3), (40, 70, 70), (1400, 50, 10), (200, 1024, 64))


def wide_examples(make: Callable[..., tuple]) -> Callable:
    """Examples of `make(rng, X, channels) -> (arrays, options)` for some shapes of X."""

    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for rows, width, channels in _SHAPES:
            if dtype != "float16" or rows < 1000:
                x = np.asarray(rng.normal(3, 1, (rows, width)), dtype)
                yield from make(rng, x, channels)

    return examples


def _columns(width: int, *more: int) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Grid and block of a kernel that reduces columns."""
    return (-(-width // 32), *more), (32, 8)


def _moments_examples(rng: np.random.Generator, x: Array, channels: int) -> Any:
    shape = part_count(*x.shape), x.shape[1]
    outs = [unwritten(shape, statistics_dtype(x.dtype)) for _ in range(2)]
    yield (x, *outs), {}


def _launch_moments(x: Array, means: Array, squares: Array) -> Any:
    if x.size == 0 or not contiguous(x, means, squares):
        return NotImplemented
    sizes = [np.int32(n) for n in (*x.shape, part_rows(x.shape[1]))]
    return *_columns(x.shape[1], len(means)), (x, means, squares, *sizes), 0


@kernel(
    cuda=raw("normalization.cu", "moments_of_parts", _launch_moments),
    examples=wide_examples(_moments_examples),
)
def moments_of_parts(xp: Any, x: Array, means: Array, squares: Array) -> None:
    """means = Σ x / n, squares = Σ (x - means)², for each part of the rows of X"""
    work = scratch(xp, x, means.dtype)
    step = part_rows(x.shape[1])
    for i in range(len(means)):
        part = x[i * step : (i + 1) * step]
        t = work[: len(part)]
        mean, square = means[i], squares[i]
        column_sums(xp, part, mean)
        mean /= len(part)
        xp.subtract(part, mean, out=t)
        column_sums(xp, t, square)
        error = square / len(part)  # of the mean, by rounding
        xp.multiply(t, t, out=t)
        column_sums(xp, t, square)
        square -= len(part) * error**2
        mean += error


def _combine_examples(rng: np.random.Generator, dtype: str) -> Any:
    for rows, width, channels in _SHAPES:
        means, squares = rng.uniform(1, 2, (2, part_count(rows, width), width)).astype(dtype)
        outs = [unwritten((channels,), dtype) for _ in range(2)]
        yield (means, squares, *outs), {"rows": rows}


def _launch_combine(means: Array, squares: Array, mean: Array, variance: Array, rows: int) -> Any:
    if means.size == 0 or not contiguous(means, squares, mean, variance):
        return NotImplemented
    width, channels = means.shape[1], len(mean)
    sizes = means.size // channels, channels, width // channels, rows, part_rows(width)
    arguments = means, squares, mean, variance, *[np.int32(n) for n in sizes]
    return *_columns(channels), arguments, 0


@kernel(
    cuda=raw("normalization.cu", "combine_moments", _launch_combine),
    examples=_combine_examples,
    dtypes=("float32", "float64"),
)
def combine_moments(
    xp: Any, means: Array, squares: Array, mean: Array, variance: Array, rows: int
) -> None:
    """mean = Σ n m / Σ n, variance = Σ (s + n (m - mean)²) / Σ n over parts.  Chan et al. 1979"""
    count, width = means.shape
    counts = xp.full((count, 1, 1), part_rows(width), means.dtype)
    counts[-1:] = rows - part_rows(width) * (count - 1)
    total = rows * (width // len(mean))
    shape = count, width // len(mean), len(mean)
    m, s = means.reshape(shape), squares.reshape(shape)
    first = m[0, 0] if count else xp.nan  # what is added are small distances from it
    xp.sum((m - first) * counts, axis=(0, 1), out=mean)
    mean /= total
    mean += first
    xp.sum(s + counts * (m - mean) ** 2, axis=(0, 1), out=variance)
    variance /= total


def vectors(rng: np.random.Generator, dtype: Any, channels: int, count: int) -> list[Array]:
    """A mean, a variance, and further vectors of parameters."""
    wide = statistics_dtype(dtype)
    mean, variance = rng.normal(3, 0.1, channels), rng.uniform(0.5, 2, channels)
    more = rng.uniform(0.5, 2, (count, channels))
    return [np.asarray(v, wide) for v in (mean, variance, *more)]


def _sums_examples(rng: np.random.Generator, x: Array, channels: int) -> Any:
    shape = 2, part_count(*x.shape), x.shape[1]
    mean, _ = vectors(rng, x.dtype, channels, 0)
    yield (x, normal(rng, x.shape, x.dtype), mean, unwritten(shape, mean.dtype)), {}


def _launch_sums(x: Array, dy: Array, mean: Array, sums: Array) -> Any:
    if x.size == 0 or not contiguous(x, dy, mean, sums):
        return NotImplemented
    sizes = [np.int32(n) for n in (*x.shape, len(mean), part_rows(x.shape[1]))]
    return *_columns(x.shape[1], sums.shape[1]), (x, dy, mean, sums, *sizes), 0


@kernel(
    cuda=raw("normalization.cu", "channel_sums", _launch_sums),
    examples=wide_examples(_sums_examples),
)
def channel_sums(xp: Any, x: Array, dy: Array, mean: Array, sums: Array) -> None:
    """sums = (Σ dy, Σ dy · (x - mean)), for each part of the rows of X"""
    work, mean = scratch(xp, x, sums.dtype), widened(xp, mean, x.shape[1])
    step = part_rows(x.shape[1])
    for i in range(sums.shape[1]):
        rows = slice(i * step, (i + 1) * step)
        t = work[: len(x[rows])]
        column_sums(xp, dy[rows], sums[0, i])
        xp.subtract(x[rows], mean, out=t)
        xp.multiply(t, dy[rows], out=t)
        column_sums(xp, t, sums[1, i])


def _average_examples(rng: np.random.Generator, dtype: str) -> Any:
    for n in (1, 300):
        value, statistic = rng.uniform(0, 1, (2, n)).astype(dtype)
        yield (value, statistic.astype(statistics_dtype(dtype))), {"momentum": 0.9}


def _launch_average(value: Array, statistic: Array, momentum: float) -> Any:
    if value.size == 0 or not contiguous(value, statistic):
        return NotImplemented
    arguments = value, statistic, np.int32(value.size), np.float64(momentum)
    return (-(-value.size // THREADS),), (THREADS,), arguments, 0


@kernel(
    cuda=raw(
        "normalization.cu",
        "moving_average",
        _launch_average,
        lambda value, statistic, **_: (value.dtype, statistic.dtype),
    ),
    examples=_average_examples,
)
def moving_average(xp: Any, value: Array, statistic: Array, momentum: float) -> None:
    """value = momentum · value + (1 - momentum) · statistic"""
    kept = value.astype(statistic.dtype)
    kept *= statistic.dtype.type(momentum)
    kept += statistic * statistic.dtype.type(1 - momentum)
    xp.copyto(value, kept, casting="same_kind")
