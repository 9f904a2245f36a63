"""Optimizer updates of the rows that a `RowGradient` names. CUDA twins: kernels/embedding.cu.

For methods only in which a gradient of zeros changes neither weights nor slots: what they do to the
other rows of a table is nothing, and so is done for all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.backend.cuda import blocks, contiguous, raw
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.embedding import as_items, in_parts
from gpunn.ops.examples import normal

_BLOCK = 1 << 11  # rows, which stay near in the caches
_DTYPES = ("float32", "float64")


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    """w (limit, width), g (n, width), a > 0 like w, rows, count, rate"""
    for n, limit, width, found in ((1, 1, 1, 1), (5, 9, 7, 3), (300, 700, 33, 300), (4, 5, 2, 0)):
        rows = np.full(n, -1, "int32")
        rows[:found] = np.sort(rng.choice(limit, found, replace=False))
        w, g = normal(rng, (limit, width), dtype), normal(rng, (n, width), dtype)
        a = np.asarray(rng.uniform(0.1, 1, w.shape), dtype)
        yield w, g, a, rows, np.array([found], "int32"), np.full(1, 0.05, dtype)


def _launch(w: Array, g: Array, *others: Array, **options: float) -> Any:
    if not g.size or not contiguous(w, g, *others):
        return NotImplemented
    numbers = [w.dtype.type(v) for v in options.values()]
    return (blocks(g.size),), (256,), (w, g, *others, np.int32(g.shape[1]), *numbers), 0


def _walk(xp: Any, rows: Array, count: Array, g: Array, work: Any) -> None:
    """work(rows, gradients) for blocks of the rows that there are"""
    if xp is not np:
        return  # of an empty batch, that is: all else has a kernel
    found = int(count[0])

    def blockwise(part: slice) -> None:
        for start in range(part.start, part.stop, _BLOCK):
            block = slice(start, min(start + _BLOCK, part.stop))
            work(rows[block], g[block])

    in_parts(blockwise, found, found * g.shape[1])


@kernel(
    cuda=raw("embedding.cu", "sgd_rows", _launch),
    examples=lambda rng, dtype: (((w, g, *rest), {}) for w, g, _, *rest in _examples(rng, dtype)),
    dtypes=_DTYPES,
)
def sgd_rows(xp: Any, w: Array, g: Array, rows: Array, count: Array, rate: Array) -> None:
    """w_{rows k} -= η g_k"""

    def descend(at: Array, gradients: Array) -> None:
        moved = w.take(at, axis=0)
        moved -= rate * gradients
        as_items(w)[at] = as_items(moved)

    _walk(xp, rows, count, g, descend)


@kernel(
    cuda=raw("embedding.cu", "adagrad_rows", _launch),
    examples=lambda rng, dtype: ((arrays, {"epsilon": 1e-7}) for arrays in _examples(rng, dtype)),
    dtypes=_DTYPES,
)
def adagrad_rows(
    xp: Any, w: Array, g: Array, a: Array, rows: Array, count: Array, rate: Array, epsilon: float
) -> None:
    """a_{rows k} += g_k²; w_{rows k} -= η g_k / √(a_{rows k} + ε)"""

    def descend(at: Array, gradients: Array) -> None:
        sums, moved = a.take(at, axis=0), w.take(at, axis=0)
        sums += gradients * gradients
        moved -= rate * (gradients / np.sqrt(sums + epsilon))
        as_items(a)[at], as_items(w)[at] = as_items(sums), as_items(moved)

    _walk(xp, rows, count, g, descend)
