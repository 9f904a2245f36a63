"""Arrangements of whole tensors: append, stacks, grids, turns and shifts. Composed of other ops."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec, SymbolicShape
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.indexing import flip
from gpunn.ops.reduce import sum_to
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import concatenate, expand_dims, ravel, swapaxes


def append(x1: Any, x2: Any, axis: int | None = None) -> Any:
    """x2 behind x1 along an axis (None: of the flat tensors).

    >>> gpunn.ops.append([1, 2], [3])
    """
    if axis is None:
        return concatenate([ravel(x1), ravel(x2)])
    return concatenate([convert_to_tensor(x1), convert_to_tensor(x2)], axis=axis)


def _with_axes(x: Any, axes: int) -> Any:
    """x with axes of length 1 in front, and behind as the third, as NumPy's stacks want it."""
    x = convert_to_tensor(x)
    while len(x.shape) < min(axes, 2):
        x = expand_dims(x, 0)
    return expand_dims(x, -1) if axes == 3 and len(x.shape) == 2 else x


def vstack(xs: Sequence[Any]) -> Any:
    """The tensors below each other: along the first axis, vectors as rows.

    >>> gpunn.ops.vstack([[1, 2], [3, 4]])
    """
    return concatenate([_with_axes(x, 2) for x in xs], axis=0)


def hstack(xs: Sequence[Any]) -> Any:
    """The tensors beside each other: along the second axis, vectors along their only one.

    >>> gpunn.ops.hstack([[1, 2], [3]])
    """
    tensors = [_with_axes(x, 1) for x in xs]
    return concatenate(tensors, axis=0 if all(len(x.shape) == 1 for x in tensors) else 1)


def dstack(xs: Sequence[Any]) -> Any:
    """The tensors behind each other: along the third axis, (n,) as (1, n, 1), (n, m) as (n, m, 1).

    >>> gpunn.ops.dstack([[1, 2], [3, 4]])
    """
    return concatenate([_with_axes(x, 3) for x in xs], axis=2)


def fliplr(x: Any) -> Any:
    """The elements along the second axis in reverse.

    >>> gpunn.ops.fliplr([[1, 2], [3, 4]])
    """
    return flip(x, axis=1)


def flipud(x: Any) -> Any:
    """The elements along the first axis in reverse.

    >>> gpunn.ops.flipud([[1, 2], [3, 4]])
    """
    return flip(x, axis=0)


def rot90(array: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """x turned k times by 90°, from the first towards the second of two axes.

    >>> gpunn.ops.rot90([[1, 2], [3, 4]])
    """
    x = convert_to_tensor(array)
    if len(x.shape) < 2 or len(axes) != 2:
        raise ShapeError(f"rot90: two axes are needed (x {tuple(x.shape)}, axes {axes}).")
    a, b = (normalize_axis("rot90", axis, len(x.shape)) for axis in axes)
    if a == b:
        raise ValueError(f"rot90: the axes {axes} are the same. Name two.")
    k = k % 4
    if k == 2:
        return flip(x, axis=(a, b))
    x = flip(x, axis=b) if k == 1 else x
    x = swapaxes(x, a, b) if k else x
    return flip(x, axis=b) if k == 3 else x


# --- roll ---


def _roll_examples(rng: Any, dtype: str) -> Any:
    for shifts, axes in (((2,), (0,)), ((-1, 5), (1, 0)), ((7,), None)):
        yield (
            (normal(rng, (3, 4), dtype), unwritten((3, 4), dtype)),
            {"shifts": shifts, "axes": axes},
        )


@kernel(examples=_roll_examples, dtypes=(*FLOATS, "int32"))
def roll_elements(xp: Any, x: Array, out: Array, shifts: tuple, axes: tuple | None) -> None:
    """out = x, moved on by `shifts` along the axes (None: of the flat x); the last come first"""
    xp.copyto(out, xp.roll(x, shifts[0] if axes is None else shifts, axes))


@op(shape=lambda x, shifts, axes: Spec(tuple(x.shape), as_dtype(x.dtype)))
def _roll(x: Array, shifts: tuple[int, ...], axes: tuple[int, ...] | None) -> Any:
    y = empty_like(x)
    roll_elements(x, y, shifts=shifts, axes=axes)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        roll_elements(dy, dx, shifts=tuple(-s for s in shifts), axes=axes)
        return dx

    return y, (gradient,)


def roll(x: Any, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Any:
    """y_i = x_{i - shift} along the axis (None: of the flat x); what leaves comes in again.

    Several shifts go with several axes, one shift with any.

    >>> gpunn.ops.roll([1, 2, 3], 1)  # 3 1 2
    """
    x = convert_to_tensor(x)
    shifts = tuple(int(s) for s in shift) if isinstance(shift, Sequence) else (int(shift),)
    if axis is None:
        return _roll(x, shifts=(sum(shifts),), axes=None)
    given = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    axes = tuple(normalize_axis("roll", a, len(x.shape)) for a in given)
    if len(shifts) not in (1, len(axes)):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes. Give one for each.")
    return _roll(x, shifts=shifts if len(shifts) == len(axes) else shifts * len(axes), axes=axes)


# --- grids ---


def _grid_shape(xs: Sequence[Any], indexing: str) -> SymbolicShape:
    lengths = [x.shape[0] for x in xs]
    if indexing == "xy" and len(lengths) > 1:
        lengths[:2] = lengths[1::-1]
    return tuple(lengths)


def _grid_rule(*xs: Any, indexing: str) -> tuple[Spec, ...]:
    for x in xs:
        if len(x.shape) != 1:
            raise ShapeError(f"meshgrid: x must be vectors, received {tuple(x.shape)}. Flatten it.")
    return tuple(Spec(_grid_shape(xs, indexing), as_dtype(x.dtype)) for x in xs)


@op(shape=_grid_rule)
def _meshgrid(*xs: Array, indexing: str) -> Any:
    shape = _grid_shape(xs, indexing)
    swap = {0: 1, 1: 0} if indexing == "xy" and len(xs) > 1 else {}
    narrow = [
        tuple(len(x) if swap.get(i, i) == axis else 1 for axis in range(len(xs)))
        for i, x in enumerate(xs)
    ]
    ys = []
    for x, lengths in zip(xs, narrow, strict=True):
        y = empty(shape, x.dtype, x)
        copy_into(x.reshape(lengths), y)
        ys.append(y)

    def gradients(dys: Sequence[Array | None], needed: Sequence[bool]) -> list[Array | None]:
        return [
            sum_to(dy, lengths).reshape(prod(lengths)) if wanted and dy is not None else None
            for dy, lengths, wanted in zip(dys, narrow, needed, strict=True)
        ]

    return tuple(ys), Joint(gradients)


def meshgrid(*x: Any, indexing: str = "xy") -> list:
    """The coordinates of the points of a grid: y_i varies along an axis of its own, as x_i does.

    Vectors of lengths (m, n, p, ...) -> as many tensors of shape (n, m, p, ...), or, with indexing
    "ij", (m, n, p, ...).

    >>> columns, rows = gpunn.ops.meshgrid([0, 1, 2], [0, 1])
    """
    if indexing not in ("xy", "ij"):
        raise unknown_name("indexing of meshgrid", indexing, ("xy", "ij"))
    if not x:
        return []
    return list(_meshgrid(*(convert_to_tensor(v) for v in x), indexing=indexing))
