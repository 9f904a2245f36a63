"""Shapes and axes: reshape, transpose, repeat, join, pad. Views where NumPy gives views."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from gpunn.arguments import as_shape, as_tuple, whole_number
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, packed
from gpunn.errors import ShapeError
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.reduce import sum_to
from gpunn.ops.rules import (
    broadcast_shapes,
    normalize_axes,
    normalize_axis,
    reduced_shape,
    result_dtype,
)

# --- one tensor, the same elements ---


def _resolve(x: Any, shape: tuple) -> tuple:
    """The new shape without None: -1 where it is the only open length, else that of x's axis."""
    if shape.count(None) + shape.count(-1) < 2:
        return tuple(-1 if n is None else n for n in shape)
    if None in shape[len(x.shape) :]:
        raise ShapeError(
            f"reshape: a length None is that of the same axis of x, which has {len(x.shape)} axes "
            f"(x {tuple(x.shape)}, new {shape}). Use -1."
        )
    return tuple(x.shape[i] if n is None else n for i, n in enumerate(shape))


def _reshape_rule(x: Any, shape: tuple) -> Spec:
    shape = _resolve(x, shape)
    if shape.count(-1) > 1:
        raise ShapeError(f"reshape: only one length may be -1, received {shape}.")
    wanted = None if None in shape else prod(n for n in shape if n != -1)
    if None in x.shape or wanted is None:
        return Spec(tuple(None if n == -1 else n for n in shape), as_dtype(x.dtype))
    size = prod(x.shape)
    fits = (wanted and size % wanted == 0) if -1 in shape else size == wanted
    if not fits:
        raise ShapeError(
            f"reshape: {size} elements do not fill the new shape (x {tuple(x.shape)}, new "
            f"{shape}). Choose lengths whose product is {size}."
        )
    full = tuple(size // wanted if n == -1 else n for n in shape)
    return Spec(full, as_dtype(x.dtype))


@op(shape=_reshape_rule)
def _reshape(x: Array, shape: tuple) -> Any:
    return packed(x).reshape(_resolve(x, shape)), (lambda dy: packed(dy).reshape(x.shape),)


def reshape(x: Any, newshape: int | Sequence[int]) -> Any:
    """The same elements in another shape; one length may be -1.

    A length None stands for -1, or, where several are open, for the length of the same axis of x:
    `reshape(x, (*ops.shape(x)[:2], 4, 8))` works where the first two are unknown.
    """
    return _reshape(x, shape=as_shape("reshape", newshape, unknown=True, least=-1))


def _permutation(ndim: int, axes: Any) -> tuple[int, ...]:
    if axes is None:
        return tuple(reversed(range(ndim)))
    axes = as_tuple(axes)
    normal_axes = tuple(normalize_axis("transpose", a, ndim) for a in axes)
    if sorted(normal_axes) != list(range(ndim)):
        raise ShapeError(
            f"transpose: axes {axes} are not a permutation of {ndim} axes. Name each once."
        )
    return normal_axes


def _transpose_rule(x: Any, axes: Any = None) -> Spec:
    order = _permutation(len(x.shape), axes)
    return Spec(tuple(x.shape[a] for a in order), as_dtype(x.dtype))


@op(shape=_transpose_rule)
def transpose(x: Array, axes: Sequence[int] | None = None) -> Any:
    """y with its axes in the order `axes` (None: reversed)."""
    order = _permutation(x.ndim, axes)
    inverse = tuple(sorted(range(x.ndim), key=order.__getitem__))
    return x.transpose(order), (lambda dy: dy.transpose(inverse),)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Two axes change places."""
    x = convert_to_tensor(x)
    order = list(range(x.ndim))
    i, j = (normalize_axis("swapaxes", a, x.ndim) for a in (axis1, axis2))
    order[i], order[j] = j, i
    return transpose(x, axes=tuple(order))


def moveaxis(x: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Axes move to new positions, the others keep their order."""
    x = convert_to_tensor(x)
    sources, destinations = (
        [normalize_axis("moveaxis", a, x.ndim) for a in as_tuple(v)] for v in (source, destination)
    )
    if len(sources) != len(destinations):
        raise ShapeError(
            f"moveaxis: source {source} and destination {destination} name different numbers of "
            f"axes. Give each axis a destination."
        )
    order = [a for a in range(x.ndim) if a not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return transpose(x, axes=tuple(order))


def _expand_rule(x: Any, axis: int | Sequence[int]) -> Spec:
    given = as_tuple(axis)
    ndim = len(x.shape) + len(given)
    new = [normalize_axis("expand_dims", a, ndim) for a in given]
    if len(set(new)) != len(new):
        raise ShapeError(f"expand_dims: an axis is named twice in {given}. Name each once.")
    old = iter(x.shape)
    return Spec(tuple(1 if i in new else next(old) for i in range(ndim)), as_dtype(x.dtype))


@op(shape=_expand_rule)
def expand_dims(x: Array, axis: int | Sequence[int]) -> Any:
    """New axes of length 1, at these positions of the result.

    >>> gpunn.ops.expand_dims([1, 2], -1).shape  # (2, 1)
    """
    return x.reshape(_expand_rule(x, axis).shape), (lambda dy: dy.reshape(x.shape),)


def _squeeze_rule(x: Any, axes: tuple[int, ...]) -> Spec:
    for a in axes:
        if x.shape[a] not in (1, None):
            raise ShapeError(
                f"squeeze: axis {a} has length {x.shape[a]}, not 1 (x {tuple(x.shape)}). "
                f"Name axes of length 1."
            )
    return Spec(reduced_shape(x.shape, axes, False), as_dtype(x.dtype))


@op(shape=_squeeze_rule)
def _squeeze(x: Array, axes: tuple[int, ...]) -> Any:
    return x.reshape(reduced_shape(x.shape, axes, False)), (lambda dy: dy.reshape(x.shape),)


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Without axes of length 1: the named ones, or all that are known to have it."""
    x = convert_to_tensor(x)
    if axis is None:
        return _squeeze(x, axes=tuple(i for i, n in enumerate(x.shape) if n == 1))
    return _squeeze(x, axes=normalize_axes("squeeze", axis, x.ndim))


def ravel(x: Any) -> Any:
    """One axis with all elements."""
    return reshape(x, -1)


def _resolved(shape: tuple, x: Any) -> tuple:
    """The shape to broadcast to, with the lengths of x where it is None."""
    missing = len(shape) - len(x.shape)
    return tuple(x.shape[i - missing] if n is None else n for i, n in enumerate(shape))


def _broadcast_rule(x: Any, shape: tuple) -> Spec:
    wanted = _resolved(shape, x) if len(shape) >= len(x.shape) else shape
    if broadcast_shapes("broadcast_to", x.shape, wanted) != wanted:
        raise ShapeError(
            f"broadcast_to: {tuple(x.shape)} does not broadcast to {shape}. Each length of x must "
            f"be 1 or that of the new shape."
        )
    return Spec(wanted, as_dtype(x.dtype))


@op(shape=_broadcast_rule)
def _broadcast_to(x: Array, shape: tuple) -> Any:
    y = empty(_resolved(shape, x), x.dtype, x)
    copy_into(x, y)
    return y, (lambda dy: sum_to(dy, x.shape),)


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """x repeated along axes of length 1 and along new leading axes."""
    return _broadcast_to(x, shape=as_shape("broadcast_to", shape, unknown=True))


def _copies(x: Array, narrow: tuple, wide: tuple, shape: tuple) -> Any:
    """x seen as `narrow`, broadcast to `wide`, seen as `shape`; and its gradient."""
    y = empty(wide, x.dtype, x)
    copy_into(packed(x).reshape(narrow), y)
    return y.reshape(shape), (lambda dy: sum_to(packed(dy).reshape(wide), narrow).reshape(x.shape),)


def _times(n: int | None, count: int) -> int | None:
    return None if n is None else n * count


def _repeat_rule(x: Any, repeats: int, axis: int) -> Spec:
    along = normalize_axis("repeat", axis, len(x.shape))
    shape = tuple(_times(n, repeats) if i == along else n for i, n in enumerate(x.shape))
    return Spec(shape, as_dtype(x.dtype))


@op(shape=_repeat_rule)
def _repeat(x: Array, repeats: int, axis: int) -> Any:
    before, after = x.shape[: axis % x.ndim + 1], x.shape[axis % x.ndim + 1 :]
    shape = _repeat_rule(x, repeats, axis).shape
    return _copies(x, (*before, 1, *after), (*before, repeats, *after), shape)


def _flat(repeats: Any) -> list:
    """The repeats, which may be a number, as a list on the host."""
    return np.ravel(np.asarray(repeats)).tolist()


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element along the axis (None: of the flat x) `repeats` times in a row.

    `repeats`: a number, or one for each element, read on the host.

    >>> gpunn.ops.repeat([1, 2], [2, 1])  # 1 1 2
    """
    x, axis = (ravel(x), 0) if axis is None else (convert_to_tensor(x), axis)
    counts = [whole_number("repeat: repeats", n, 0) for n in _flat(repeats)]
    if len(counts) == 1:
        return _repeat(x, repeats=counts[0], axis=axis)
    from gpunn.ops.gathering import take

    n = x.shape[normalize_axis("repeat", axis, len(x.shape))]
    if n not in (None, len(counts)):
        raise ShapeError(
            f"repeat: {len(counts)} repeats for {n} elements along axis {axis} (x "
            f"{tuple(x.shape)}). Give one for each, or one for all."
        )
    return take(x, np.repeat(np.arange(len(counts), dtype="int32"), counts), axis=axis)


def _tiling(x: Any, repeats: tuple[int, ...]) -> tuple[tuple, tuple]:
    """The shape of x and the repeats, filled up with ones to one length."""
    ndim = max(len(x.shape), len(repeats))
    shape = (1,) * (ndim - len(x.shape)) + tuple(x.shape)
    return shape, (1,) * (ndim - len(repeats)) + repeats


def _tile_rule(x: Any, repeats: tuple[int, ...]) -> Spec:
    pairs = zip(*_tiling(x, repeats), strict=True)
    return Spec(tuple(_times(n, count) for n, count in pairs), as_dtype(x.dtype))


@op(shape=_tile_rule)
def _tile(x: Array, repeats: tuple[int, ...]) -> Any:
    shape, counts = _tiling(x, repeats)
    narrow = tuple(n for length in shape for n in (1, length))
    wide = tuple(n for pair in zip(counts, shape, strict=True) for n in pair)
    return _copies(x, narrow, wide, _tile_rule(x, repeats).shape)


def tile(x: Any, repeats: int | Sequence[int]) -> Any:
    """x put side by side with itself, `repeats[i]` times along axis i."""
    counts = tuple(whole_number("tile: repeats", n, 0) for n in _flat(repeats))
    return _tile(x, repeats=counts)


# --- several tensors ---


def _concatenate_rule(*xs: Any, axis: int) -> Spec:
    first = xs[0]
    along = normalize_axis("concatenate", axis, len(first.shape))
    for x in xs[1:]:
        agrees = len(x.shape) == len(first.shape) and all(
            i == along or a == b or None in (a, b)
            for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True))
        )
        if not agrees:
            shapes = ", ".join(str(tuple(v.shape)) for v in xs)
            raise ShapeError(
                f"concatenate: shapes must agree but along axis {axis} ({shapes}). "
                f"Reshape or crop the one that differs."
            )
    lengths = [x.shape[along] for x in xs]
    total = None if None in lengths else sum(lengths)
    shape = tuple(total if i == along else n for i, n in enumerate(first.shape))
    return Spec(shape, result_dtype(*xs))


@op(shape=_concatenate_rule, promotes="common")
def _concatenate(*xs: Array, axis: int) -> Any:
    spec = _concatenate_rule(*xs, axis=axis)
    along = normalize_axis("concatenate", axis, xs[0].ndim)
    y = empty(spec.shape, spec.dtype, xs[0])
    parts, start = [], 0
    for x in xs:
        part = (*[slice(None)] * along, slice(start, start + x.shape[along]))
        copy_into(x, y[part])
        parts.append(part)
        start += x.shape[along]
    return y, tuple(lambda dy, part=part: dy[part] for part in parts)


def concatenate(xs: Sequence[Any], axis: int | None = 0) -> Any:
    """The tensors one after the other along an axis (None: of the flat tensors)."""
    parts = [ravel(x) for x in xs] if axis is None else list(xs)
    if not parts:
        raise ShapeError("concatenate: received no tensors. Give at least one.")
    return _concatenate(*parts, axis=0 if axis is None else axis)


def stack(x: Sequence[Any], axis: int = 0) -> Any:
    """The tensors side by side along a new axis."""
    tensors = [convert_to_tensor(part) for part in x]
    if len({len(part.shape) for part in tensors}) > 1:
        shapes = ", ".join(str(tuple(part.shape)) for part in tensors)
        raise ShapeError(f"stack: the tensors need as many axes as each other ({shapes}).")
    return concatenate([expand_dims(part, axis) for part in tensors], axis=axis)
