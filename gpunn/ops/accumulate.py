"""Running sums in place: the state of metrics, scalars of shape (). CUDA twin: kernels/metrics.cu.

Nothing is read on the host, so a training step that contains them can be recorded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.tensor import Tensor
from gpunn.backend.cuda import contiguous, raw
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.arithmetic import binary
from gpunn.ops.examples import normal

_LONG = 1 << 18  # one block of threads is too slow for more elements than this

# --- kernels ---


def _launch(*arrays: Array, **options: float) -> Any:
    first, values = arrays[0], arrays[-1]
    if any(a.dtype != first.dtype for a in arrays) or not contiguous(*arrays):
        return NotImplemented
    if values.size > _LONG:
        return NotImplemented
    numbers = tuple(np.float64(v) for v in options.values())
    return (1,), (1024,), (*arrays, np.int32(values.size), *numbers), 0


def _launch_weighted(*arrays: Array, scale: float) -> Any:
    values, weights = arrays[2:]
    return _launch(*arrays, scale=scale) if values.shape == weights.shape else NotImplemented


def _state(rng: np.random.Generator, dtype: str) -> Array:
    return np.asarray(rng.uniform(1, 2), dtype)


def _sum_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in ((), (0, 3), (7,), (5, 300)):
        yield (_state(rng, dtype), normal(rng, shape, dtype)), {}


@kernel(cuda=raw("metrics.cu", "add_sum", _launch), examples=_sum_examples)
def add_sum(xp: Any, total: Array, values: Array) -> None:
    """total += Σ values"""
    total += xp.sum(values)


def _mean_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in ((), (0, 3), (7,), (5, 300)):
        state = _state(rng, dtype), _state(rng, dtype)
        yield (*state, normal(rng, shape, dtype)), {"scale": 1 / 3, "rows": 5.0}


@kernel(cuda=raw("metrics.cu", "add_mean", _launch), examples=_mean_examples)
def add_mean(xp: Any, total: Array, count: Array, values: Array, scale: float, rows: float) -> None:
    """total += scale · Σ values; count += rows"""
    total += xp.sum(values) * total.dtype.type(scale)
    count += count.dtype.type(rows)


def _weighted_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, weights in (((), ()), ((0, 3), (0, 3)), ((7,), (7,)), ((5, 30), (5, 30)),
                           ((5, 30), (5, 1)), ((5, 30), (1, 1))):  # fmt: skip
        state = _state(rng, dtype), _state(rng, dtype)
        w = np.asarray(rng.uniform(0, 1, weights), dtype)
        yield (*state, normal(rng, shape, dtype), w), {"scale": 1 / 3}


@kernel(cuda=raw("metrics.cu", "add_weighted_mean", _launch_weighted), examples=_weighted_examples)
def add_weighted_mean(
    xp: Any, total: Array, count: Array, values: Array, weights: Array, scale: float
) -> None:
    """total += scale · Σ v w; count += scale · Σ w, the weights broadcast to the values"""
    repeats = values.size / max(weights.size, 1)
    total += xp.sum(values * weights) * total.dtype.type(scale)
    count += xp.sum(weights) * count.dtype.type(scale * repeats)


# --- for tensors: the state changes, there is no result ---


def accumulate_sum(total: Tensor, values: Tensor) -> None:
    """total += Σ values, in place. Both of one dtype; total of shape ()."""
    add_sum(total.data, values.data)


def accumulate_mean(
    total: Tensor, count: Tensor, values: Tensor, scale: float, rows: float
) -> None:
    """total += scale · Σ values and count += rows, in place."""
    add_mean(total.data, count.data, values.data, scale=scale, rows=rows)


def accumulate_weighted_mean(
    total: Tensor, count: Tensor, values: Tensor, weights: Tensor, scale: float
) -> None:
    """total += scale · Σ v w and count += scale · Σ w, in place; w broadcasts to v."""
    add_weighted_mean(total.data, count.data, values.data, weights.data, scale=scale)


# --- quotients of such sums ---


def _over(xp: Any, x: Any, y: Any, out: Array) -> None:
    """out = x / y, 0 where y is 0"""
    xp.divide(x, xp.where(xp.equal(y, 0), 1, y), out=out, casting="unsafe")
    out *= xp.not_equal(y, 0)


def _over_grad_y(xp: Any, x: Any, y: Any, dz: Array, out: Array) -> None:
    """dy = -dz · x / y², 0 where y is 0"""
    _over(xp, -dz * x, xp.multiply(y, y), out)


divide_no_nan = binary(
    "divide_no_nan",
    "z = x / y, 0 where y is 0",
    _over,
    lambda xp, x, y, dz, out: _over(xp, dz, y, out),
    _over_grad_y,
    promotes="float",
    domain=(0.5, 3.0),
)
