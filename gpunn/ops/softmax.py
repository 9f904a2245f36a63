"""Softmax along an axis. CUDA twin: kernels/softmax.cu, one block a row."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.op import op, same
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import contiguous, raw
from gpunn.backend.devices import empty_like
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.normalization_statistics import statistics_dtype
from gpunn.ops.rules import normalize_axes

_BLOCK = 1 << 15  # elements

# Kernels see the softmax axis last: `_rows` brings it there.


def _forward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in ((1, 1), (5, 10), (3, 300), (2, 3, 33)):
        yield (normal(rng, shape, dtype) * 3, unwritten(shape, dtype)), {}


def _backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in ((5, 10), (3, 300)):
        y = rng.uniform(0.1, 1, shape)
        y = np.asarray(y / y.sum(-1, keepdims=True), dtype)
        yield (y, normal(rng, shape, dtype), unwritten(shape, dtype)), {}


def _launch(*arrays: Array) -> Any:
    x = arrays[0]
    if x.ndim == 0 or x.size == 0 or not contiguous(*arrays):
        return NotImplemented
    n = x.shape[-1]
    threads = 32 if n <= 64 else 256
    return (x.size // n,), (threads,), (*arrays, np.int32(n)), 0


def _in_blocks(xp: Any, work: Callable[..., None], *arrays: Array) -> None:
    """work(*rows of the arrays), block by block on the CPU, so that a block stays in the cache."""
    first = arrays[0]
    if xp is not np or first.size <= _BLOCK or first.ndim < 2 or not contiguous(*arrays):
        work(*arrays)
        return
    flat = [a.reshape(-1, a.shape[-1]) for a in arrays]
    step = max(1, _BLOCK // first.shape[-1])
    for start in range(0, len(flat[0]), step):
        work(*[a[start : start + step] for a in flat])


def row_sums(xp: Any, x: Array) -> Array:
    """Σ x along the last axis; of halves in float32"""
    return xp.sum(x, axis=-1, keepdims=True, dtype=statistics_dtype(x.dtype))


def exp_shifted(xp: Any, x: Array, out: Array) -> Array:
    """out = e^(x - max x) along the last axis; returns its sums."""
    xp.subtract(x, xp.max(x, axis=-1, keepdims=True), out=out)
    xp.exp(out, out=out)
    return row_sums(xp, out)


@kernel(cuda=raw("softmax.cu", "softmax_forward", _launch), examples=_forward_examples)
def softmax_forward(xp: Any, x: Array, out: Array) -> None:
    """out = e^(x - max x) / Σ e^(x - max x) along the last axis"""

    def rows(x: Array, out: Array) -> None:
        out /= exp_shifted(xp, x, out)

    _in_blocks(xp, rows, x, out)


@kernel(cuda=raw("softmax.cu", "softmax_backward", _launch), examples=_backward_examples)
def softmax_backward(xp: Any, y: Array, dy: Array, dx: Array) -> None:
    """dx = y · (dy - Σ y · dy) along the last axis"""

    def rows(y: Array, dy: Array, dx: Array) -> None:
        xp.multiply(y, dy, out=dx)
        xp.subtract(dy, row_sums(xp, dx), out=dx)
        dx *= y

    _in_blocks(xp, rows, y, dy, dx)


@kernel(cuda=raw("softmax.cu", "log_softmax_forward", _launch), examples=_forward_examples)
def log_softmax_forward(xp: Any, x: Array, out: Array) -> None:
    """out = x - max x - log Σ e^(x - max x) along the last axis"""
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    xp.subtract(shifted, xp.log(row_sums(xp, xp.exp(shifted))), out=out)


@kernel(cuda=raw("softmax.cu", "log_softmax_backward", _launch), examples=_backward_examples)
def log_softmax_backward(xp: Any, y: Array, dy: Array, dx: Array) -> None:
    """dx = dy - e^y · Σ dy along the last axis"""
    xp.multiply(xp.exp(y), row_sums(xp, dy), out=dx)
    xp.subtract(dy, dx, out=dx)


def _along_axes(x: Array, axis: Any, forward: Kernel, backward: Kernel) -> Any:
    axes = normalize_axes("softmax", axis, x.ndim)
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    back = [order.index(i) for i in range(x.ndim)]
    moved = [x.shape[i] for i in order]  # with the axes last, which then become one
    shape = (*moved[: x.ndim - len(axes)], prod(x.shape[i] for i in axes))

    def rows(a: Array) -> Array:
        return packed(a.transpose(order)).reshape(shape)

    def unrowed(a: Array) -> Array:
        return a.reshape(moved).transpose(back)

    X = rows(x)
    y = empty_like(X)
    forward(X, y)

    def gradient(dy: Array) -> Array:
        dx = empty_like(y)
        backward(y, rows(dy), dx)
        return unrowed(dx)

    return unrowed(y), (gradient,)


def _rule(x: Any, axis: Any = -1) -> Spec:
    normalize_axes("softmax", axis, len(x.shape))
    return same(x)


@op(shape=_rule, promotes="float")
def softmax(x: Array, axis: Any = -1) -> Any:
    """y_i = e^(x_i) / Σ_j e^(x_j) along an axis, or several; the sum of y is 1."""
    return _along_axes(x, axis, softmax_forward, softmax_backward)


@op(shape=_rule, promotes="float")
def log_softmax(x: Array, axis: Any = -1) -> Any:
    """y_i = x_i - log Σ_j e^(x_j) along an axis, or several, without overflow."""
    return _along_axes(x, axis, log_softmax_forward, log_softmax_backward)
