"""Rows of a table by their indices, and a gradient of the rows that were read only.

CUDA twins: kernels/embedding.cu. Deterministic: positions are sorted by index, and the gradients
of a row are added in the order of their positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import grad_like, op
from gpunn.autodiff.rows import RowGradient
from gpunn.autodiff.symbolic import Spec
from gpunn.autodiff.tape import takes_rows
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.alarms import IndexAlarm, out_of_range
from gpunn.backend.cuda import blocks, contiguous, cuda_type, raw
from gpunn.backend.devices import backend_of, cpu, empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.threads import parallel
from gpunn.backend.transfer import fill, packed
from gpunn.errors import DTypeError, ShapeError
from gpunn.ops.examples import normal, unwritten

_PASSES = 8  # of additions over all rows; rows that come more often are added up one by one
_UNIT = 16  # bytes that a GPU's thread copies at once
_WIDE = ("int32", "int64")  # dtypes of indices; others are cast

_WORTH_SHARING = 1 << 22  # elements: with fewer, the threads of BLAS are worth more to the step

# --- kernels ---


def _index_examples(rng: np.random.Generator) -> Any:
    for n, limit in ((1, 1), (40, 7), (700, 300), (90, 2)):
        yield rng.integers(0, limit, n).astype("int64" if n == 40 else "int32"), limit


def _gather_examples(rng: np.random.Generator, dtype: str) -> Any:
    for (indices, limit), width in zip(_index_examples(rng), (1, 8, 5, 64), strict=True):
        out = unwritten((indices.size, width), dtype)
        yield (normal(rng, (limit, width), dtype), indices, None, out), {"owner": "test"}


def _unit(table: Array, indices: Array, found: Array | None, out: Array, owner: str) -> tuple:
    row = table.shape[1] * table.dtype.itemsize
    wide = row % _UNIT == 0 and all(_address(a) % _UNIT == 0 for a in (table, out))
    return "uint4" if wide else cuda_type(table.dtype), cuda_type(indices.dtype)


def _address(array: Array) -> int:
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def _gather_launch(
    table: Array, indices: Array, found: Array | None, out: Array, owner: str
) -> Any:
    if not out.size or not contiguous(table, indices, out):
        return NotImplemented
    wide = _unit(table, indices, found, out, owner)[0] == "uint4"
    width = table.shape[1] * table.dtype.itemsize // _UNIT if wide else table.shape[1]
    units = indices.size * width
    sizes = np.int64(units), np.int32(width), np.int64(len(table))
    return (blocks(units),), (256,), (table, indices, found, out, *sizes), 0


@kernel(cuda=raw("embedding.cu", "gather_rows", _gather_launch, _unit), examples=_gather_examples)
def gather_rows(
    xp: Any, table: Array, indices: Array, found: Array | None, out: Array, owner: str
) -> None:
    """out_i = table_{index i}; what is out of range raises, on a GPU later: see `IndexAlarm`"""
    if xp is not np:
        out[...] = table[indices]
        return
    check_range(indices, len(table), owner)

    def rows(part: slice) -> None:
        np.take(table, indices[part], axis=0, out=out[part], mode="clip")

    in_parts(rows, len(indices), out.size)


def in_parts(work: Any, n: int, size: int) -> None:
    """work(part) for slices of range(n), shared among threads where the size is worth it"""
    if size < _WORTH_SHARING:
        work(slice(0, n))
    else:
        parallel(np, work, n)


def check_range(indices: np.ndarray, limit: int, owner: str) -> None:
    """Raise unless all indices are in [0, limit). Negative ones are large as unsigned numbers."""
    unsigned = indices.view(f"uint{8 * indices.dtype.itemsize}")
    if unsigned.size and unsigned.max() >= limit:
        raise out_of_range(owner, int(indices.min()), int(indices.max()), limit)


def _empty_groups(n: int) -> tuple[np.ndarray, ...]:
    """order, rows, starts, count"""
    return tuple(np.full(k, -77, "int32") for k in (n, n, n + 1, 1))  # 77 may be a position


def _group_examples(rng: np.random.Generator, dtype: str) -> Any:
    for indices, limit in _index_examples(rng):
        yield (indices, *_empty_groups(indices.size)), {"limit": limit}
    yield (np.full(600, 5, "int32"), *_empty_groups(600)), {"limit": 100_000}


def _group_launch(
    indices: Array, order: Array, rows: Array, starts: Array, count: Array, limit: int
) -> Any:
    if not indices.size or not contiguous(indices):
        return NotImplemented
    passes = -(-limit.bit_length() // 4)
    sizes = np.int32(indices.size), np.int32(limit), np.int32(passes)
    return (1,), (512,), (indices, order, rows, starts, count, *sizes), 0


@kernel(
    cuda=raw("embedding.cu", "group_rows", _group_launch),
    examples=_group_examples,
    dtypes=("int32",),
)
def group_rows(
    xp: Any, indices: Array, order: Array, rows: Array, starts: Array, count: Array, limit: int
) -> None:
    """The positions of each index that occurs, side by side.

    order (n,): positions, sorted by index; rows (n,): the indices that occur, ascending, then -1;
    starts (n + 1,): where each one begins in `order`, then n; count (1,): how many occur.
    """
    n = indices.shape[0]
    if not n:
        count.fill(0), starts.fill(0)
        return
    keys = (indices.astype(np.int64) << 32) | xp.arange(n)  # unique: any sort is a stable one
    keys.sort()
    order[...] = keys & 0xFFFFFFFF
    keys >>= 32
    heads = xp.flatnonzero(xp.concatenate([keys[:1] >= 0, keys[1:] != keys[:-1]]))
    count[0] = found = len(heads)
    rows[:found], rows[found:] = keys[heads], -1
    starts[:found], starts[found:] = heads, n


def _sum_examples(rng: np.random.Generator, dtype: str) -> Any:
    for (indices, limit), width in zip(_index_examples(rng), (1, 8, 5, 64), strict=True):
        groups = _empty_groups(indices.size)
        group_rows.reference(np, indices, *groups, limit=limit)
        order, rows, starts, count = groups
        dy = normal(rng, (indices.size, width), dtype)
        yield (dy, order, starts, count, None, np.zeros_like(dy)), {}
        yield (dy, order, starts, count, rows, np.zeros((limit, width), dtype)), {}


def _sum_launch(
    dy: Array, order: Array, starts: Array, count: Array, rows: Array | None, out: Array
) -> Any:
    if not dy.size or not contiguous(dy, out):
        return NotImplemented
    n, width = dy.shape
    grid = min(-(-n // 8), 65535), -(-width // 32)
    return grid, (32, 8), (dy, order, starts, count, rows, out, np.int32(width)), 0


@kernel(cuda=raw("embedding.cu", "sum_rows", _sum_launch), examples=_sum_examples)
def sum_rows(
    xp: Any, dy: Array, order: Array, starts: Array, count: Array, rows: Array | None, out: Array
) -> None:
    """out_k (out_{rows k}, where rows are given) = Σ dy over the positions of group k"""
    if not dy.size:
        return
    found = int(count[0])

    def groups(part: slice) -> None:
        begins = starts[:found][part]
        counts = starts[1 : found + 1][part] - begins
        if rows is None:
            _add_up(dy, order, begins, counts, out[:found][part])
        else:
            sums = np.empty((len(begins), dy.shape[1]), dy.dtype)
            _add_up(dy, order, begins, counts, sums)
            as_items(out)[rows[:found][part]] = as_items(sums)

    in_parts(groups, found, dy.size)


def as_items(table: np.ndarray) -> np.ndarray:
    """A C-contiguous (n, width) array as n items, which NumPy copies as a whole."""
    return table.view(np.dtype((np.void, table.shape[1] * table.itemsize))).reshape(-1)


def _add_up(dy: Array, order: Array, begins: Array, counts: Array, out: Array) -> None:
    """out_k = Σ dy[order[begins_k + i]], i below counts_k: all k at once, then the long ones."""
    if dy.dtype.itemsize == 2:  # halves are added in float32
        wide = np.empty(out.shape, np.float32)
        _add_up(dy.astype(np.float32), order, begins, counts, wide)
        out[...] = wide
        return
    np.take(dy, order[begins], axis=0, out=out, mode="clip")
    more = np.flatnonzero(counts > 1)
    for i in range(1, _PASSES):
        if not len(more):
            return
        out[more] += dy.take(order[begins[more] + i], axis=0)
        more = more[counts[more] > i + 1]
    for k in more:
        rest = order[begins[k] + _PASSES : begins[k] + counts[k]]
        out[k] += np.add.reduce(dy.take(rest, axis=0), axis=0)


# --- op ---


def _rule(table: Any, indices: Any, owner: str = "take_rows", alarm: Any = None) -> Spec:
    if as_dtype(indices.dtype).kind not in "iu":
        raise DTypeError(
            f"{owner}: indices must be integers, received dtype {as_dtype(indices.dtype).name}. "
            f"Cast them to 'int32'."
        )
    if len(table.shape) != 2:
        raise ShapeError(
            f"{owner}: the table must be a matrix (table {tuple(table.shape)}). Reshape it to "
            f"(rows, width)."
        )
    return Spec((*indices.shape, table.shape[1]), as_dtype(table.dtype))


def alarm_for(table: Tensor, owner: str) -> IndexAlarm | None:
    """What `take_rows` takes to report indices out of range, None on the CPU, which raises."""
    backend = backend_of(table.data)
    return None if backend is cpu else IndexAlarm(backend, owner, len(table))


@op(shape=_rule)
def take_rows(
    table: Array, indices: Array, owner: str = "take_rows", alarm: IndexAlarm | None = None
) -> Any:
    """y_i = table_{index i}: table (rows, width), indices (...) of integers, y (..., width).

    An index that is negative or too large raises `IndexError` in the name of `owner`; on a GPU, of
    which it is not known without waiting for it, y is 0 there, and the error comes when the host
    next reads a value, if there is an `alarm`. The gradient is deterministic.
    """
    limit, width = table.shape
    wide = indices.dtype if indices.dtype.name in _WIDE else np.dtype("int32")
    flat = packed(indices, wide).reshape(-1)
    table = packed(table)
    y = empty((flat.size, width), table.dtype, table)
    gather_rows(table, flat, None if alarm is None else alarm.range, y, owner=owner)

    def gradient(dy: Array) -> Any:
        dy = packed(dy).reshape(-1, width)
        n = flat.size
        order, rows, starts, count = (empty((k,), "int32", dy) for k in (n, n, n + 1, 1))
        group_rows(flat, order, rows, starts, count, limit=limit)
        groups = order, starts, count

        def dense() -> Array:
            dx = grad_like(table)
            fill(dx, value=0)
            sum_rows(dy, *groups, rows, dx)
            return dx

        if n >= limit or not takes_rows(table):
            return dense()
        sums = empty(dy.shape, dy.dtype, dy)
        sum_rows(dy, *groups, None, sums)
        return RowGradient(rows, sums, count, dense)

    return y.reshape(*indices.shape, width), (gradient, None)
