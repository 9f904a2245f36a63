"""Rows that share a number are reduced to one, in the order in which they come: no atomics.

A row whose number is `limit`, the count of results, belongs to none: it is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import is_float
from gpunn.autodiff.tape import accumulate
from gpunn.backend.devices import empty
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import fill
from gpunn.ops.embedding import group_rows, sum_rows
from gpunn.ops.examples import normal, unwritten

_COMBINE = {"add": "add", "mul": "multiply", "max": "maximum", "min": "minimum"}

# --- kernels ---


def _place_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, wraps in (((4,), True), ((3, 5), True), ((3, 5), False), ((), True)):
        indices = rng.integers(-7, 7, (20, len(shape))).astype(dtype)
        yield (indices, unwritten((20,), "int32")), {"shape": shape, "wraps": wraps}


@kernel(examples=_place_examples, dtypes=("int32", "int64"))
def flat_places(xp: Any, indices: Array, out: Array, shape: tuple, wraps: bool) -> None:
    """out = the place of indices (n, axes) in a flattened array; its size for those outside.

    `wraps`: -1 stands for the last element.
    """
    place = xp.zeros(len(indices), np.int64)
    inside = xp.ones(len(indices), np.bool_)
    for axis, length in enumerate(shape):
        i = indices[:, axis].astype(np.int64)
        i = xp.where(i < 0, i + length, i) if wraps else i
        inside &= (i >= 0) & (i < length)
        place = place * length + i
    xp.copyto(out, xp.where(inside, place, int(np.prod(shape))), casting="unsafe")


def lowest(dtype: Any, sign: int = -1) -> Any:
    """What is not larger (sign 1: smaller) than any value of a dtype."""
    if is_float(dtype):
        return sign * float("inf")
    if dtype.kind == "b":
        return sign > 0
    limits = np.iinfo(dtype)
    return limits.min if sign < 0 else limits.max


def _nothing(dtype: Any, how: str) -> Any:
    """The result of no rows."""
    if how in ("max", "min"):
        return lowest(dtype, -1 if how == "max" else 1)
    return 1 if how == "mul" else 0


def _reduce_examples(rng: np.random.Generator, dtype: str) -> Any:
    for n, limit, width in ((0, 2, 3), (1, 1, 1), (9, 4, 1), (70, 5, 3)):
        ids = rng.integers(0, limit + 1, n).astype("int32")
        order = np.argsort(ids, kind="stable").astype("int32")
        rows = np.round(normal(rng, (n, width), dtype) * 2)
        base = normal(rng, (limit, width), dtype)
        for how in ("add", "mul", "max", "min", "last"):
            for start in (None, base):
                arrays = rows if n < 70 else np.sign(rows), order, ids, start
                yield (*arrays, unwritten((limit, width), dtype)), {"how": how}


@kernel(examples=_reduce_examples)
def reduce_groups(
    xp: Any, rows: Array, order: Array, ids: Array, base: Array | None, out: Array, how: str
) -> None:
    """out_r = base_r ∘ rows_i ∘ rows_j ∘ ..., of the i, j, ... whose id is r; "last": the last

    `order` sorts the ids, stable. The scan is Hillis' and Steele's: log₂ n passes, each of which
    doubles how far a row reaches back within its group.
    """
    if base is None:
        out.fill(_nothing(out.dtype, how))
    else:
        xp.copyto(out, base)
    n, limit = len(ids), len(out)
    if not n or not out.size:
        return
    ids, rows = ids[order], rows[order]
    combine = getattr(xp, _COMBINE.get(how, "add"))
    step = n if how == "last" else 1
    while step < n:
        together = (ids[step:] == ids[:-step])[:, None]
        if xp is np and not together.any():
            break
        rows[step:] = xp.where(together, combine(rows[:-step], rows[step:]), rows[step:])
        step *= 2
    ends = xp.searchsorted(ids, xp.arange(limit, dtype=ids.dtype), side="right")
    last = xp.maximum(ends - 1, 0)
    named = ((ends > 0) & (ids[last] == xp.arange(limit)))[:, None]
    found = rows[last] if base is None or how == "last" else combine(out, rows[last])
    xp.copyto(out, xp.where(named, found, out))


def _share_examples(rng: np.random.Generator, dtype: str) -> Any:
    ids = rng.integers(0, 5, 9).astype("int32")
    rows, best = np.round(normal(rng, (9, 3), dtype)), np.round(normal(rng, (4, 3), dtype))
    dy, ties = normal(rng, (4, 3), dtype), np.asarray(rng.integers(1, 4, (4, 3)), dtype)
    for arrays in ((None,) * 3, (rows, best, None), (rows, best, ties)):
        yield (dy, ids, *arrays, unwritten((9, 3), dtype)), {}
    yield (dy, ids, rows[:, :1], best[:, :1], None, unwritten((9, 3), dtype)), {}


@kernel(examples=_share_examples)
def share_rows(
    xp: Any, dy: Array, ids: Array, rows: Array | None, best: Array | None, ties: Array | None,
    out: Array,
) -> None:  # fmt: skip
    """out_i = dy_r / ties_r, r the id of i, where rows_i is best_r (None: everywhere), else 0"""
    if not len(dy):
        out.fill(0)
        return
    at = xp.minimum(ids, len(dy) - 1)
    share = dy[at] if ties is None else dy[at] / xp.maximum(ties[at], 1)
    wins = (ids < len(dy))[:, None]
    wins = wins if best is None else wins & (rows == best[at])
    xp.copyto(out, xp.where(wins, share, 0))


# --- functions of arrays ---


def reduced(rows: Array, ids: Array, limit: int, how: str, base: Array | None = None) -> Array:
    """`reduce_groups`, and by the faster kernels of tables where there is one."""
    n, width = rows.shape
    order, named, starts, count = (empty((k,), "int32", rows) for k in (n, n, n + 1, 1))
    group_rows(ids, order, named, starts, count, limit=limit + 1)
    if how == "add" and rows.dtype.name in FLOATS:
        sums = empty((limit + 1, width), rows.dtype, rows)
        fill(sums, value=0)
        sum_rows(rows, order, starts, count, named, sums)
        if base is not None:
            accumulate(base, sums[:limit], sums[:limit])
        return sums[:limit]
    out = empty((limit, width), rows.dtype, rows)
    reduce_groups(rows, order, ids, base, out, how=how)
    return out


def places(indices: Array, shape: tuple[int, ...], wraps: bool = True) -> Array:
    """The flat place in an array of this shape of each of the indices (..., axes)."""
    n = int(np.prod(indices.shape[:-1]))
    out = empty((n,), "int32", indices)
    flat_places(indices.reshape(n, len(shape)), out, shape=shape, wraps=wraps)
    return out
