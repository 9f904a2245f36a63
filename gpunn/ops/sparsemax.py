"""Sparsemax along an axis. CUDA twin: kernels/sparsemax.cu, one block a row.

Source: Martins and Astudillo, From softmax to sparsemax, arXiv:1602.02068.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.op import op, same
from gpunn.backend.cuda import contiguous, raw
from gpunn.backend.devices import empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import moveaxis

SHAPES = ((1, 1), (5, 10), (3, 300), (2, 3, 33))


def _forward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in SHAPES:
        yield (normal(rng, shape, dtype), unwritten(shape, dtype)), {}
    tied = np.array([[2, 2, 0, 2], [-9, 0, 0, -9], [7, 1, 1, 0]], dtype)
    yield (tied, unwritten(tied.shape, dtype)), {}


def _backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in SHAPES:
        y = np.maximum(normal(rng, shape, dtype), 0)
        y[..., 0] = 1  # at least one element is in the support
        yield (y, normal(rng, shape, dtype), unwritten(shape, dtype)), {}


def _launch(*arrays: Array) -> Any:
    x = arrays[0]
    if x.ndim == 0 or x.size == 0 or not contiguous(*arrays):
        return NotImplemented
    n = x.shape[-1]
    return (x.size // n,), (32 if n <= 64 else 256,), (*arrays, np.int32(n)), 0


@kernel(cuda=raw("sparsemax.cu", "sparsemax_forward", _launch), examples=_forward_examples)
def sparsemax_forward(xp: Any, x: Array, out: Array) -> None:
    """out = max(x - τ, 0), τ such that Σ out = 1 along the last axis.

    With x_(1) ≥ x_(2) ≥ ..., τ is τ_k = (x_(1) + ... + x_(k) - 1) / k for the largest k with
    x_(k) > τ_k.
    """
    if x.size == 0:
        return
    wide = xp.promote_types(x.dtype, "float32")
    z = x.astype(wide) - xp.max(x, axis=-1, keepdims=True)
    descending = xp.sort(z, axis=-1)[..., ::-1]
    ranks = xp.arange(1, x.shape[-1] + 1, dtype=wide)
    taus = (xp.cumsum(descending, axis=-1) - 1) / ranks
    k = xp.sum(descending > taus, axis=-1, keepdims=True)
    tau = xp.take_along_axis(taus, k - 1, axis=-1)
    xp.copyto(out, xp.maximum(z - tau, 0), casting="same_kind")


@kernel(cuda=raw("sparsemax.cu", "sparsemax_backward", _launch), examples=_backward_examples)
def sparsemax_backward(xp: Any, y: Array, dy: Array, dx: Array) -> None:
    """dx = dy - mean of dy over the support where y > 0, else 0, along the last axis"""
    support = y > 0
    xp.multiply(dy, support, out=dx)
    mean = xp.sum(dx, axis=-1, keepdims=True) / xp.sum(
        support, axis=-1, keepdims=True, dtype=y.dtype
    )
    dx -= mean
    dx *= support


@op(shape=same, promotes="float")
def _sparsemax(x: Array) -> Any:
    rows = packed(x)
    y = empty_like(rows)
    sparsemax_forward(rows, y)

    def gradient(dy: Array) -> Array:
        dx = empty_like(y)
        sparsemax_backward(y, dy, dx)
        return dx

    return y, (gradient,)


def sparsemax(x: Any, axis: int = -1) -> Any:
    """y_i = max(x_i - τ, 0) with τ such that Σ_i y_i = 1 along the axis: softmax with true zeros.

    The derivative is that of the projection onto the simplex, whose support is where y > 0.
    """
    x = convert_to_tensor(x)
    along = normalize_axis("sparsemax", axis, x.ndim)
    if along == x.ndim - 1:
        return _sparsemax(x)
    return moveaxis(_sparsemax(moveaxis(x, along, -1)), -1, along)


__all__ = ["sparsemax"]
