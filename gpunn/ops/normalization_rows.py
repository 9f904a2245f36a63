"""Kernels of layer and RMS normalization: each row of x (rows, n) has its own mean and deviation.

`mean` is None for RMS normalization, whose deviation is that from 0. Statistics and parameters are
float32 for halves, else of x's dtype. CUDA twins: kernels/normalization.cu.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.backend.cuda import contiguous, raw
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.normalization_statistics import (
    column_sums,
    ones,
    part_count,
    part_rows,
    parts,
    scratch,
    statistics_dtype,
)


def _launch(*arrays: Array | None, **options: float) -> Any:
    x: Any = arrays[0]
    if x.size == 0 or not contiguous(*[a for a in arrays if a is not None]):
        return NotImplemented
    rows, n = x.shape
    numbers = [np.float64(v) for v in options.values()]
    return (rows,), (32 if n <= 64 else 256,), (*arrays, np.int32(n), *numbers), 0


def _examples(make: Callable[..., Any]) -> Callable:
    """Examples of `make(x, dy, gamma, beta, mean, inverse)`, with and without a mean."""

    def examples(rng: np.random.Generator, dtype: str) -> Any:
        wide = statistics_dtype(dtype)
        for rows, n in ((1, 1), (5, 7), (70, 40), (3, 300), (1100, 64)):
            x, dy = np.asarray(rng.normal(3, 1, (rows, n)), dtype), normal(rng, (rows, n), dtype)
            gamma, beta = rng.uniform(0.5, 2, (2, n)).astype(wide)
            mean, inverse = rng.normal(3, 0.1, rows), rng.uniform(0.1, 0.3, rows)
            yield from make(x, dy, gamma, beta, mean.astype(wide), inverse.astype(wide))

    return examples


def _row_sums(xp: Any, x: Array) -> Array:
    """Σ x of each row, as a column"""
    if xp is np:
        return np.dot(x, ones(x.shape[1], x.dtype))[:, None]
    return xp.sum(x, axis=1, keepdims=True)


def _forward_examples(x: Array, dy: Array, gamma: Array, beta: Array, *_: Array) -> Any:
    y, stat = unwritten(x.shape, x.dtype), unwritten(x.shape[:1], gamma.dtype)
    for a, b, mean in ((gamma, beta, stat), (None, None, stat), (gamma, None, None)):
        yield (x, a, b, y, mean, stat), {"epsilon": 1e-3}


@kernel(
    cuda=raw("normalization.cu", "row_norm_forward", _launch), examples=_examples(_forward_examples)
)
def row_norm_forward(
    xp: Any, x: Array, gamma: Array | None, beta: Array | None, y: Array, mean: Array | None,
    inverse: Array, epsilon: float,
) -> None:  # fmt: skip
    """y = (x - mean) · inverse · γ + β with inverse = 1 / √(Σ (x - mean)² / n + ε)"""
    n = x.shape[1]
    squares = scratch(xp, x, inverse.dtype)
    work = None if y.dtype == inverse.dtype else scratch(xp, x, inverse.dtype)
    for rows in parts(xp, *x.shape):
        s = squares[: len(x[rows])]
        t = y[rows] if work is None else work[: len(s)]
        center = _centered(xp, x[rows], mean, rows, t)
        xp.multiply(center, center, out=s)
        factor = 1 / xp.sqrt(_row_sums(xp, s) / n + inverse.dtype.type(epsilon))
        inverse[rows] = factor[:, 0]
        xp.multiply(center, factor, out=t)
        if gamma is not None:
            t *= gamma
        if beta is not None:
            t += beta
        if work is not None:
            y[rows] = t


def _centered(xp: Any, x: Array, mean: Array | None, rows: slice, out: Array) -> Array:
    """x - mean of some rows, whose mean is noted; x itself for RMS. May use `out`."""
    if x.dtype != out.dtype:
        xp.copyto(out, x)
        x = out
    if mean is None:
        return x
    center = _row_sums(xp, x) / x.shape[1]
    mean[rows] = center[:, 0]
    return xp.subtract(x, center, out=out)


def _distance(xp: Any, x: Array, mean: Array | None, rows: slice, out: Array) -> Array:
    """x - mean of some rows, with the means given."""
    if mean is not None:
        return xp.subtract(x[rows], mean[rows, None], out=out)
    xp.copyto(out, x[rows])
    return out


def _backward_examples(
    x: Array, dy: Array, gamma: Array, beta: Array, mean: Array, inverse: Array
) -> Any:
    for a, m in ((gamma, mean), (None, mean), (gamma, None)):
        yield (x, dy, a, m, inverse, unwritten(x.shape, x.dtype)), {}


@kernel(
    cuda=raw("normalization.cu", "row_norm_backward", _launch),
    examples=_examples(_backward_examples),
)
def row_norm_backward(
    xp: Any, x: Array, dy: Array, gamma: Array | None, mean: Array | None, inverse: Array, dx: Array
) -> None:
    """dx = inverse (g - Σg/n - x̂ Σ(g·x̂)/n), g = dy · γ, x̂ = (x - mean) · inverse; RMS: no Σg"""
    n = x.shape[1]
    distance, flow, work = (scratch(xp, x, inverse.dtype) for _ in range(3))
    for rows in parts(xp, *x.shape):
        t, g, s = (a[: len(x[rows])] for a in (distance, flow, work))
        _distance(xp, x, mean, rows, t)
        if gamma is None:
            xp.copyto(g, dy[rows])
        else:
            xp.multiply(dy[rows], gamma, out=g)
        xp.multiply(t, g, out=s)
        factor = inverse[rows, None]
        t *= _row_sums(xp, s) / n * factor**2
        if mean is not None:
            t += _row_sums(xp, g) / n
        g -= t
        xp.multiply(g, factor, out=dx[rows])


def _sums_examples(
    x: Array, dy: Array, gamma: Array, beta: Array, mean: Array, inverse: Array
) -> Any:
    sums = unwritten((2, part_count(*x.shape), x.shape[1]), gamma.dtype)
    yield (x, dy, mean, inverse, sums), {}
    yield (x, dy, None, inverse, sums), {}


def _launch_sums(x: Array, dy: Array, mean: Array | None, inverse: Array, sums: Array) -> Any:
    if x.size == 0 or not contiguous(x, dy, inverse, sums):
        return NotImplemented
    rows, n = x.shape
    sizes = [np.int32(v) for v in (rows, n, part_rows(n))]
    return (
        (-(-n // 32), sums.shape[1]),
        (32, 8),
        (x, dy, mean, inverse, sums, *sizes),
        0,
    )


@kernel(
    cuda=raw("normalization.cu", "row_norm_sums", _launch_sums), examples=_examples(_sums_examples)
)
def row_norm_sums(
    xp: Any, x: Array, dy: Array, mean: Array | None, inverse: Array, sums: Array
) -> None:
    """sums = (Σ dy, Σ dy · x̂) over each part of the rows: dβ and dγ"""
    work, step = scratch(xp, x, sums.dtype), part_rows(x.shape[1])
    for i in range(sums.shape[1]):
        rows = slice(i * step, (i + 1) * step)
        t = _distance(xp, x, mean, rows, work[: len(x[rows])])
        t *= dy[rows]
        column_sums(xp, dy[rows], sums[0, i])
        xp.dot(inverse[rows], t, out=sums[1, i])
