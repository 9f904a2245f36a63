"""Axes made longer by whole factors: each element is repeated. CUDA twin: kernels/resize.cu."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import THREADS, blocks, contiguous, raw
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, packed
from gpunn.errors import ShapeError
from gpunn.ops.examples import normal, unwritten

Factors = tuple[int, ...]
_AXES = 3  # with a factor, in the CUDA kernel

# --- kernels ---


def _merged(shape: tuple[int, ...], factors: Factors) -> tuple[list[tuple[int, int]], int]:
    """(n, factor) of the axes with a factor, each with the axes in front of it that have none; and
    how many elements the axes behind them hold.
    """
    axes, inner = [], 1
    for n, factor in zip(shape, factors, strict=True):
        inner *= n
        if factor > 1:
            axes.append((inner, factor))
            inner = 1
    return axes, inner


def _launch(dy: Array, dx: Array, factors: Factors) -> Any:
    axes, inner = _merged(dx.shape, factors)
    if len(axes) > _AXES or not contiguous(dy, dx):
        return NotImplemented
    (_, f), (b, g), (c, h) = [(1, 1)] * (_AXES - len(axes)) + axes
    sizes = [np.int32(v) for v in (f, b, g, c, h, inner)]
    return (blocks(dx.size),), (THREADS,), (dy, dx, np.int64(dx.size), *sizes), 0


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, factors in (
        ((5,), (3,)),
        ((2, 3, 4, 5), (1, 2, 3, 1)),
        ((2, 3, 4, 5), (1, 1, 2, 2)),
        ((2, 3, 2, 3, 2), (1, 2, 1, 3, 1)),
        ((2, 3, 2, 3, 2), (1, 2, 2, 3, 1)),
    ):
        long = tuple(n * f for n, f in zip(shape, factors, strict=True))
        yield (normal(rng, long, dtype), unwritten(shape, dtype)), {"factors": factors}


def _offsets(factors: Factors) -> Any:
    """The positions within a block of copies."""
    return product(*map(range, factors))


@kernel(cuda=raw("resize.cu", "sum_copies", _launch), examples=_examples)
def sum_copies(xp: Any, dy: Array, dx: Array, factors: Factors) -> None:
    """dx = Σ over the copies of each element"""
    first, *rest = (dy[tuple(map(slice, o, dy.shape, factors))] for o in _offsets(factors))
    total = xp.empty(dx.shape, np.float32) if dx.dtype.itemsize == 2 else dx
    xp.copyto(total, first)
    for part in rest:
        total += part
    if total is not dx:
        dx[...] = total


# --- op ---


def _rule(x: Any, factors: Factors) -> Spec:
    if len(factors) != len(x.shape) or any(f < 1 for f in factors):
        raise ShapeError(
            f"enlarge: one positive factor an axis is needed (x {tuple(x.shape)}, "
            f"factors {factors})."
        )
    lengths = (None if n is None else n * f for n, f in zip(x.shape, factors, strict=True))
    return Spec(tuple(lengths), as_dtype(x.dtype))


@op(shape=_rule)
def enlarge(x: Array, factors: Factors) -> Any:
    """Each element `factors[i]` times in a row along axis i.

    >>> enlarge(images, (1, 2, 2, 1))  # (N, H, W, C) -> (N, 2H, 2W, C)
    """
    narrow = tuple(n for length in x.shape for n in (length, 1))
    wide = tuple(n for pair in zip(x.shape, factors, strict=True) for n in pair)
    y = empty(wide, x.dtype, x)
    copy_into(packed(x).reshape(narrow), y)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        sum_copies(packed(dy), dx, factors=factors)
        return dx

    return y.reshape(_rule(x, factors).shape), (gradient,)
