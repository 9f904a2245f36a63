"""Windows whose position may be data: slice, slice_update.

A window keeps its size: where it would not fit, it starts earlier.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec, SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, fill
from gpunn.errors import DTypeError, ShapeError
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.shaping import stack

#: The first index along each axis: of a window whose position is known on the host, else None.
Corner = tuple[int, ...] | None

# --- kernels ---


def _window(xp: Any, shape: tuple, size: tuple, start: Array | None, corner: Corner) -> tuple:
    """The index of a window of this size in an array of this shape."""
    if start is not None and xp is not np:
        axes = []
        for axis, (n, length) in enumerate(zip(shape, size, strict=True)):
            first = xp.where(start[axis] < 0, start[axis] + n, start[axis])
            numbers = xp.clip(first, 0, n - length) + xp.arange(length)
            axes.append(numbers.reshape((-1,) + (1,) * (len(shape) - axis - 1)))
        return tuple(axes) or (...,)
    given: Sequence[int] = (corner or ()) if start is None else start.tolist()
    firsts = [
        min(max(i + n if i < 0 else i, 0), n - length)
        for i, n, length in zip(given, shape, size, strict=True)
    ]
    return (*(builtins.slice(i, i + k) for i, k in zip(firsts, size, strict=True)), ...)


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, size, corner in (
        ((7,), (3,), (2,)), ((4, 5), (2, 5), (-1, 3)), ((2, 3), (1, 0), (9, 0)), ((), (), ()),
    ):  # fmt: skip
        for start in (None, np.array(corner, "int32")):
            known = corner if start is None else None
            yield (normal(rng, shape, dtype), start, size), {"corner": known}


def _read_examples(rng: np.random.Generator, dtype: str) -> Any:
    for (x, start, size), options in _examples(rng, dtype):
        yield (x, start, unwritten(size, dtype)), options


@kernel(examples=_read_examples)
def read_window(xp: Any, x: Array, start: Array | None, out: Array, corner: Corner) -> None:
    """out = the window of x at `start` (at `corner`, where that is None)"""
    out[...] = x[_window(xp, x.shape, out.shape, start, corner)]


def _write_examples(rng: np.random.Generator, dtype: str) -> Any:
    for (x, start, size), options in _examples(rng, dtype):
        yield (normal(rng, size, dtype), start, x), options


@kernel(examples=_write_examples)
def write_window(xp: Any, values: Array, start: Array | None, out: Array, corner: Corner) -> None:
    """the window of out at `start` (at `corner`, where that is None) = values"""
    out[_window(xp, out.shape, values.shape, start, corner)] = values


# --- ops ---


def _check(name: str, x: Any, start: Any, corner: Corner, size: tuple) -> None:
    axes = len(x.shape)
    if start is not None and as_dtype(start.dtype).kind not in "iu":
        raise DTypeError(
            f"{name}: start_indices must be integers, received dtype {as_dtype(start.dtype).name}. "
            f"Cast them to 'int32'."
        )
    given = (len(corner),) if start is None and corner is not None else tuple(start.shape)
    if given != (axes,) or len(size) != axes:
        raise ShapeError(
            f"{name}: one start index and one length an axis are needed (x {tuple(x.shape)}, "
            f"start_indices of shape {given}, window {size})."
        )
    if any(n is not None and k is not None and k > n for n, k in zip(x.shape, size, strict=True)):
        raise ShapeError(
            f"{name}: the window is larger than x (window {size}, x {tuple(x.shape)}). Make it "
            f"smaller."
        )


def _size(x: Any, size: tuple, corner: Corner) -> tuple:
    """The lengths of a window; -1 stands for all that comes from its first index on."""
    if corner is None or -1 not in size:
        return size
    return tuple(
        k if k != -1 else None if n is None else max(n - (i + n if i < 0 else i), 0)
        for k, n, i in zip(size, x.shape, corner, strict=True)
    )


def _slice_rule(x: Any, start: Any, corner: Corner, size: tuple) -> Spec:
    _check("slice", x, start, corner, size)
    if corner is None and -1 in size:
        raise ShapeError(
            f"slice: a length of -1 needs start_indices that are integers, not a tensor, "
            f"(shape {size}). Give the length."
        )
    return Spec(_size(x, size, corner), as_dtype(x.dtype))


@op(shape=_slice_rule)
def _slice(x: Array, start: Array | None, corner: Corner, size: tuple) -> Any:
    y = empty(_size(x, size, corner), x.dtype, x)
    read_window(x, start, y, corner=corner)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        fill(dx, value=0)
        write_window(dy, start, dx, corner=corner)
        return dx

    return y, (gradient, None)


def _update_rule(x: Any, start: Any, updates: Any, corner: Corner) -> Spec:
    _check("slice_update", x, start, corner, tuple(updates.shape))
    return Spec(tuple(x.shape), as_dtype(x.dtype))


@op(shape=_update_rule)
def _slice_update(x: Array, start: Array | None, updates: Array, corner: Corner) -> Any:
    y = empty_like(x)
    copy_into(x, y)
    write_window(updates, start, y, corner=corner)

    def gradients(dy: Array, needed: Sequence[bool]) -> tuple:
        dx = d_updates = None
        if needed[0]:
            dx, nothing = empty_like(x), empty_like(updates)
            copy_into(dy, dx)
            fill(nothing, value=0)
            write_window(nothing, start, dx, corner=corner)
        if needed[2]:
            d_updates = empty_like(updates)
            read_window(dy, start, d_updates, corner=corner)
        return dx, None, d_updates

    return y, Joint(gradients)


# --- functions ---


def _position(start_indices: Any) -> tuple[Any, Corner]:
    """The first indices as a tensor, if they are (in) one, else as numbers."""
    if isinstance(start_indices, (Tensor, SymbolicTensor)):
        return start_indices, None
    if any(isinstance(i, (Tensor, SymbolicTensor)) for i in start_indices):
        return stack([cast(i, "int32") for i in start_indices]), None
    return None, tuple(int(i) for i in start_indices)


def slice_(inputs: Any, start_indices: Any, shape: Any) -> Any:
    """y = inputs[i : i + k, j : j + l, ...] for start_indices (i, j, ...), shape (k, l, ...).

    One start index and one length an axis. start_indices may be a tensor: its values are not read
    on the host. A window that does not fit starts earlier. A length -1 is all that remains; it
    needs start indices that are integers. Differentiates by `inputs`.

    >>> gpunn.ops.slice([[1, 2, 3], [4, 5, 6]], [0, 1], [2, 2])
    """
    start, corner = _position(start_indices)
    size = tuple(-1 if n is None else int(n) for n in shape)
    return _slice(convert_to_tensor(inputs), start, corner=corner, size=size)


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """y = inputs, but `updates`, cast to its dtype, in the window that starts at start_indices.

    updates have as many axes as inputs. Start indices as in `slice`. Differentiates by both.

    >>> gpunn.ops.slice_update([[0, 0], [0, 0]], [1, 0], [[7, 8]])
    """
    inputs = convert_to_tensor(inputs)
    start, corner = _position(start_indices)
    return _slice_update(inputs, start, cast(updates, inputs.dtype), corner=corner)
