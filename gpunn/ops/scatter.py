"""Updates at positions that are data: scatter, segment sums. Deterministic, also on GPUs.

All are one op: y = x, and y[indices] ∘= updates, where ∘ may be +, ·, max, min or "replaces".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec, SymbolicShape, SymbolicTensor
from gpunn.autodiff.tape import accumulate
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import fill, packed
from gpunn.errors import DTypeError, ShapeError, unknown_name
from gpunn.ops.arithmetic import multiply_kernel
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.groups import places, reduced, share_rows
from gpunn.ops.ranges import count_up

_REDUCTIONS = ("add", "max", "min", "mul")

# --- kernels of gradients ---


def _split_examples(rng: np.random.Generator, dtype: str) -> Any:
    x = np.round(normal(rng, (7, 3), dtype))
    yield (x, unwritten(x.shape, dtype), unwritten(x.shape, dtype)), {}


@kernel(examples=_split_examples)
def split_zeros(xp: Any, x: Array, factors: Array, zeros: Array) -> None:
    """factors = x, but 1 where it is 0; zeros = 1 there, else 0"""
    xp.copyto(factors, xp.where(x == 0, x.dtype.type(1), x))
    xp.copyto(zeros, x == 0, casting="unsafe")


def _others_examples(rng: np.random.Generator, dtype: str) -> Any:
    x = np.round(normal(rng, (7, 3), dtype))
    share = [normal(rng, x.shape, dtype), np.asarray(rng.integers(0, 2, x.shape), dtype)]
    yield (x, *share, unwritten(x.shape, dtype)), {}


@kernel(examples=_others_examples)
def product_of_others(xp: Any, x: Array, product: Array, zeros: Array, out: Array) -> None:
    """out = Π of a group but for x, given that of its factors which are not 0, and how many are"""
    zero = x == 0
    xp.copyto(out, xp.where(zeros == zero, product / xp.where(zero, x.dtype.type(1), x), 0))


# --- op ---


def _rule(
    inputs: Any, indices: Any, updates: Any, reduction: str | None, shape: tuple | None = None,
    wraps: bool = True, name: str = "scatter_update",
) -> Spec:  # fmt: skip
    full: SymbolicShape = tuple(inputs.shape) if shape is None else shape
    if as_dtype(indices.dtype).kind not in "iu":
        raise DTypeError(
            f"{name}: indices must be integers, received dtype {as_dtype(indices.dtype).name}. "
            f"Cast them to 'int32'."
        )
    depth = indices.shape[-1] if indices.shape else None
    if depth is None or depth > len(full):
        raise ShapeError(
            f"{name}: the last axis of indices names axes of the result (indices "
            f"{tuple(indices.shape)}, result {full}). Give it at most {len(full)} entries."
        )
    expected = (*indices.shape[:-1], *full[depth:])
    fits = len(updates.shape) == len(expected) and all(
        a == b or None in (a, b) for a, b in zip(updates.shape, expected, strict=True)
    )
    if not fits:
        raise ShapeError(
            f"{name}: updates do not fit (updates {tuple(updates.shape)}, indices "
            f"{tuple(indices.shape)}, result {full}). They need the shape {expected}."
        )
    return Spec(full, as_dtype(updates.dtype))


@op(shape=_rule)
def _scatter_update(
    inputs: Array | None, indices: Array, updates: Array, reduction: str | None,
    shape: tuple | None = None, wraps: bool = True, name: str = "scatter_update",
) -> Any:  # fmt: skip
    full = _rule(inputs, indices, updates, reduction, shape).shape
    depth = indices.shape[-1]
    ids = places(packed(indices), full[:depth], wraps)
    limit, width = prod(full[:depth]), prod(full[depth:])
    base = None if inputs is None else packed(inputs).reshape(limit, width)
    rows = packed(updates).reshape(len(ids), width)
    y = reduced(rows, ids, limit, reduction or "last", base)

    def gradients(dy: Array, needed: Sequence[bool]) -> tuple:
        flat = packed(dy).reshape(limit, width)
        d_base, d_rows = _GRADIENTS[reduction or "last"](flat, ids, base, rows, y)
        dx = d_base().reshape(full) if needed[0] else None
        return dx, None, d_rows().reshape(updates.shape) if needed[2] else None

    return y.reshape(full), Joint(gradients)


def _numbers(n: int, like: Array) -> Array:
    """0, 1, ..., n - 1"""
    out = empty((n,), "int32", like)
    count_up(out, start=0, step=1)
    return out


def _shared(
    dy: Array, ids: Array, rows: Any = None, best: Any = None, ties: Any = None
) -> Array:  # fmt: skip
    out = empty((len(ids), dy.shape[1]), dy.dtype, dy)
    share_rows(dy, ids, rows, best, ties, out)
    return out


def _of_sums(dy: Array, ids: Array, base: Any, rows: Array, y: Array) -> tuple:
    return lambda: dy, lambda: _shared(dy, ids)


def _of_extremes(dy: Array, ids: Array, base: Any, rows: Array, y: Array) -> tuple:
    """All that are equal to the extreme share its gradient."""
    ones = empty_like(dy)
    fill(ones, value=1)
    ties = reduced(_shared(ones, ids, rows, y), ids, len(dy), "add")
    every = _numbers(len(dy), dy)
    if base is not None:
        accumulate(ties, _shared(ones, every, base, y), ties)
    return lambda: _shared(dy, every, base, y, ties), lambda: _shared(dy, ids, rows, y, ties)


def _of_products(dy: Array, ids: Array, base: Any, rows: Array, y: Array) -> tuple:
    def of_base() -> Array:
        out = empty_like(dy)
        multiply_kernel(dy, reduced(rows, ids, len(dy), "mul"), out)
        return out

    def of_rows() -> Array:
        factors, zeros, others, out = (empty_like(rows) for _ in range(4))
        split_zeros(rows, factors, zeros)
        product = reduced(factors, ids, len(dy), "mul", base)
        count = reduced(zeros, ids, len(dy), "add")
        product_of_others(rows, _shared(product, ids), _shared(count, ids), others)
        multiply_kernel(_shared(dy, ids), others, out)
        return out

    return of_base, of_rows


def _of_replacements(dy: Array, ids: Array, base: Any, rows: Array, y: Array) -> tuple:
    """Of the rows with one id the last one counts; where there is none, the base."""
    order = _numbers(len(ids), dy)[:, None]
    none = empty((len(dy), 1), "int32", dy)
    fill(none, value=-1)
    last = reduced(order, ids, len(dy), "last", none)
    every = _numbers(len(dy), dy)
    return lambda: _shared(dy, every, none, last), lambda: _shared(dy, ids, order, last)


_GRADIENTS: dict[str, Callable[..., tuple]] = {
    "add": _of_sums,
    "max": _of_extremes,
    "min": _of_extremes,
    "mul": _of_products,
    "last": _of_replacements,
}

# --- functions ---


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Any:
    """y = inputs, but y[indices_i] = updates_i, or, with a reduction, y[indices_i] ∘= updates_i.

    indices `(..., k)` name elements by their position along the first k axes (from the end where
    negative; others are left out), updates are `(..., *inputs.shape[k:])`, of the dtype of
    `inputs`. reduction: "add", "max", "min", "mul"; None: of updates with one index the last one
    counts. Differentiates by both; equal extremes share the gradient.

    >>> gpunn.ops.scatter_update([0.0, 1.0, 2.0], [[1], [1]], [5.0, 6.0], reduction="add")
    """
    if reduction is not None and reduction not in _REDUCTIONS:
        raise unknown_name("reduction of scatter_update", reduction, _REDUCTIONS)
    inputs = convert_to_tensor(inputs)
    updates = cast(updates, inputs.dtype)
    return _scatter_update(inputs, convert_to_tensor(indices), updates, reduction=reduction)


def scatter(indices: Any, values: Any, shape: Any) -> Any:
    """y[indices_i] = Σ of the values_i with this index, 0 where there is none: of shape `shape`.

    Indices and values as in `scatter_update`.

    >>> gpunn.ops.scatter([[0], [2], [2]], [1.0, 2.0, 3.0], (4,))
    """
    full = tuple(int(n) for n in shape)
    values = convert_to_tensor(values)
    return _scatter_update(
        None, convert_to_tensor(indices), values, reduction="add", shape=full, name="scatter"
    )


def _segments(name: str, reduction: str, equation: str) -> Callable[..., Any]:
    def function(
        data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False
    ) -> Any:
        data, ids = convert_to_tensor(data), convert_to_tensor(segment_ids)
        if len(ids.shape) != 1 or not data.shape:
            raise ShapeError(
                f"{name}: segment_ids need one axis, the first of the data (segment_ids "
                f"{tuple(ids.shape)}, data {tuple(data.shape)}). Flatten both."
            )
        if num_segments is None:
            num_segments = _count(name, ids)
        shape = (int(num_segments), *data.shape[1:])
        if None in shape:
            raise ShapeError(f"{name}: only the first length of the data may be unknown ({shape}).")
        return _scatter_update(
            None, ids[:, None], data, reduction=reduction, shape=shape, wraps=False, name=name
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""{equation}, over the rows i of `data` whose segment_ids_i is k.

    data (n, ...), segment_ids (n,) of integers -> (num_segments, ...); ids outside of it are left
    out. Without `num_segments` it is the largest id + 1, which reads the ids on the host.
    `sorted`, a promise that they ascend, makes no difference here.

    >>> gpunn.ops.{name}([1.0, 2.0, 3.0], [0, 0, 2], num_segments=3)
    """
    return function


def _count(name: str, ids: Any) -> int:
    if isinstance(ids, SymbolicTensor):
        raise ValueError(
            f"{name}: num_segments must be given for symbolic tensors, which have no ids yet."
        )
    return int(Tensor.numpy(ids).max(initial=-1)) + 1


segment_sum = _segments("segment_sum", "add", "y_k = Σ data_i")
segment_prod = _segments("segment_prod", "mul", "y_k = Π data_i (1 of none)")
segment_max = _segments("segment_max", "max", "y_k = max data_i (the lowest value of none)")
segment_min = _segments("segment_min", "min", "y_k = min data_i (the highest value of none)")
