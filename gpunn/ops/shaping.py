"""Shapes and axes: reshape, transpose, slicing, joining. Views where NumPy gives views."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.devices import backend_of, empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.errors import ShapeError
from gpunn.ops.creation import convert_to_tensor, copy_into
from gpunn.ops.examples import normal
from gpunn.ops.reduce import sum_to
from gpunn.ops.rules import broadcast_shapes, normalize_axis, result_dtype


def _contiguous(x: Array) -> Array:
    """x itself, or a C-contiguous copy."""
    if x.flags.c_contiguous:
        return x
    out = empty(x.shape, x.dtype, x)
    copy_into(x, out)
    return out


# --- one tensor, the same elements -------------------------------------------------------------


def _reshape_rule(x: Any, shape: tuple) -> Spec:
    shape = tuple(-1 if n is None else n for n in shape)
    wanted = prod(n for n in shape if n != -1)
    if shape.count(-1) > 1:
        raise ShapeError(f"reshape: only one length may be -1, received {shape}.")
    if None in x.shape:
        known = prod(n for n in x.shape if n is not None)
        if -1 in shape and wanted and known % wanted == 0 and x.shape.count(None) == 1:
            free = None  # the unknown length stays unknown
            return Spec(tuple(free if n == -1 else n for n in shape), as_dtype(x.dtype))
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
    y = _contiguous(x).reshape(tuple(-1 if n is None else n for n in shape))
    return y, (lambda dy: _contiguous(dy).reshape(x.shape),)


def reshape(x: Any, newshape: int | Sequence[int]) -> Any:
    """The same elements in another shape; one length may be -1."""
    return _reshape(x, shape=(newshape,) if isinstance(newshape, int) else tuple(newshape))


def _permutation(ndim: int, axes: Any) -> tuple[int, ...]:
    if axes is None:
        return tuple(reversed(range(ndim)))
    normal_axes = tuple(normalize_axis("transpose", a, ndim) for a in axes)
    if sorted(normal_axes) != list(range(ndim)):
        raise ShapeError(
            f"transpose: axes {tuple(axes)} are not a permutation of {ndim} axes. Name each once."
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
    order = list(range(len(x.shape)))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, axes=tuple(order))


def moveaxis(x: Any, source: int, destination: int) -> Any:
    """One axis moves, the others keep their order."""
    ndim = len(x.shape)
    order = [a for a in range(ndim) if a != normalize_axis("moveaxis", source, ndim)]
    order.insert(normalize_axis("moveaxis", destination, ndim), source % ndim)
    return transpose(x, axes=tuple(order))


def expand_dims(x: Any, axis: int) -> Any:
    """A new axis of length 1."""
    x = convert_to_tensor(x)
    position = normalize_axis("expand_dims", axis, x.ndim + 1)
    return _reaxis(x, shape=(*x.shape[:position], 1, *x.shape[position:]))


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Without axes of length 1 (the named ones, or all)."""
    x = convert_to_tensor(x)
    if axis is None:
        dropped = {i for i, n in enumerate(x.shape) if n == 1}
    else:
        axes = (axis,) if isinstance(axis, int) else axis
        dropped = {normalize_axis("squeeze", a, x.ndim) for a in axes}
    for a in dropped:
        if x.shape[a] not in (1, None):
            raise ShapeError(f"squeeze: axis {a} has length {x.shape[a]} ({x.shape}), not 1.")
    return _reaxis(x, shape=tuple(n for i, n in enumerate(x.shape) if i not in dropped))


@op(shape=lambda x, shape: Spec(shape, as_dtype(x.dtype)))
def _reaxis(x: Array, shape: tuple) -> Any:
    return x.reshape(shape), (lambda dy: dy.reshape(x.shape),)


def ravel(x: Any) -> Any:
    """One axis with all elements."""
    return reshape(x, -1)


def flip(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The elements along the axes in reverse."""
    x = convert_to_tensor(x)
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    flipped = {normalize_axis("flip", a, x.ndim) for a in axes}
    return getitem(x, tuple(slice(None, None, -1 if i in flipped else None) for i in range(x.ndim)))


def _broadcast_rule(x: Any, shape: tuple) -> Spec:
    if broadcast_shapes("broadcast_to", x.shape, shape) != tuple(shape):
        raise ShapeError(f"broadcast_to: {tuple(x.shape)} does not broadcast to {shape}.")
    return Spec(tuple(shape), as_dtype(x.dtype))


@op(shape=_broadcast_rule)
def _broadcast_to(x: Array, shape: tuple) -> Any:
    y = empty(shape, x.dtype, x)
    copy_into(x, y)
    return y, (lambda dy: sum_to(dy, x.shape),)


def broadcast_to(x: Any, shape: Sequence[int]) -> Any:
    """x repeated along axes of length 1 and along new leading axes."""
    return _broadcast_to(x, shape=tuple(shape))


def repeat(x: Any, repeats: int, axis: int) -> Any:
    """Each element along the axis `repeats` times in a row."""
    x = convert_to_tensor(x)
    along = normalize_axis("repeat", axis, x.ndim) + 1
    wide = expand_dims(x, along)
    shape = list(wide.shape)
    shape[along] = repeats
    merged = (*x.shape[: along - 1], x.shape[along - 1] * repeats, *x.shape[along:])
    return reshape(broadcast_to(wide, shape), merged)


def tile(x: Any, repeats: Sequence[int]) -> Any:
    """x put side by side with itself, `repeats[i]` times along axis i."""
    x = convert_to_tensor(x)
    shape = (1,) * (len(repeats) - x.ndim) + tuple(x.shape)
    counts = (1,) * (len(shape) - len(repeats)) + tuple(repeats)
    pairs = [n for length in shape for n in (1, length)]
    wide = [n for count, length in zip(counts, shape, strict=True) for n in (count, length)]
    merged = tuple(c * n for c, n in zip(counts, shape, strict=True))
    return reshape(broadcast_to(reshape(x, pairs), wide), merged)


# --- parts of a tensor -----------------------------------------------------------------------------


def _scatter_examples(rng: np.random.Generator, dtype: str) -> Any:
    dx = np.zeros((5, 4), dtype)
    yield (normal(rng, (3, 4), dtype), dx), {"key": (np.array([1, 1, 3]),)}


@kernel(examples=_scatter_examples)
def scatter_add(xp: Any, dy: Array, dx: Array, key: Any) -> None:
    """dx[key] += dy, where an element may be named several times"""
    if xp is np:
        np.add.at(dx, key, dy)
    else:
        import cupyx

        cupyx.scatter_add(dx, tuple(xp.asarray(k) if isinstance(k, np.ndarray) else k for k in key), dy)


def _is_basic(key: tuple) -> bool:
    return all(k is None or k is Ellipsis or isinstance(k, (int, slice)) for k in key)


def _plain_key(key: Any, x: Any) -> tuple:
    """The index as a tuple of ints, slices, None, Ellipsis and integer or bool arrays."""
    key = key if isinstance(key, tuple) else (key,)
    plain = []
    for k in key:
        if isinstance(k, Tensor):
            k = k.data
        elif isinstance(k, (list, np.ndarray)):
            k = np.asarray(k)
        elif isinstance(k, np.integer):
            k = int(k)
        plain.append(k)
    return tuple(plain)


def _getitem_rule(x: Any, key: tuple) -> Spec:
    """Index a stand-in of the shape that holds no memory; unknown lengths must stay whole."""
    stand_in = np.broadcast_to(np.zeros((), np.bool_), tuple(1 if n is None else n for n in x.shape))
    if None in x.shape and not _is_basic(key):
        raise ShapeError("getitem: a symbolic tensor takes ints, slices, None and ..., not arrays.")
    try:
        shape = stand_in[tuple(k if isinstance(k, np.ndarray) or not hasattr(k, "get") else k.get() for k in key)].shape
    except IndexError as error:
        raise ShapeError(f"getitem: {error} (x {tuple(x.shape)}, index {key}).") from None
    if x.shape and x.shape[0] is None and key[0] in (slice(None), Ellipsis):
        shape = (None, *shape[1:])
    return Spec(shape, as_dtype(x.dtype))


@op(shape=_getitem_rule)
def _getitem(x: Array, key: tuple) -> Any:
    on_host = backend_of(x).name == "numpy"
    index = key if on_host else tuple(backend_of(x).asarray(k) if isinstance(k, np.ndarray) else k for k in key)
    y = x[index]
    if not hasattr(y, "shape") or y.shape == ():
        y = x[(*index, ...)]  # NumPy would give a scalar

    def gradient(dy: Array) -> Array:
        dx = backend_of(x).zeros(x.shape, x.dtype)
        if _is_basic(key):
            copy_into(dy, dx[(*key, ...) if Ellipsis not in key else key])
        else:
            scatter_add(dy, dx, key=index)
        return dx

    return y, (gradient,)


def getitem(x: Any, key: Any) -> Any:
    """x[key], as in NumPy: ints, slices, None, Ellipsis, integer and bool arrays."""
    return _getitem(x, key=_plain_key(key, x))


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements at integer positions along an axis (None: of the flat x)."""
    x = convert_to_tensor(x)
    if axis is None:
        return getitem(ravel(x), convert_to_tensor(indices))
    along = normalize_axis("take", axis, x.ndim)
    return getitem(x, (*[slice(None)] * along, convert_to_tensor(indices)))


# --- several tensors -------------------------------------------------------------------------------


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


def concatenate(xs: Sequence[Any], axis: int = 0) -> Any:
    """The tensors one after the other along an axis."""
    if not xs:
        raise ShapeError("concatenate: received no tensors. Give at least one.")
    return _concatenate(*xs, axis=axis)


def stack(xs: Sequence[Any], axis: int = 0) -> Any:
    """The tensors side by side along a new axis."""
    return concatenate([expand_dims(x, axis) for x in xs], axis=axis)


def split(x: Any, indices_or_sections: int | Sequence[int], axis: int = 0) -> list:
    """Parts along an axis: a number of equal ones, or cut at the indices."""
    x = convert_to_tensor(x)
    along = normalize_axis("split", axis, x.ndim)
    n = x.shape[along]
    if isinstance(indices_or_sections, int):
        if n is None or n % indices_or_sections:
            raise ShapeError(
                f"split: axis {axis} of length {n} does not divide into {indices_or_sections} "
                f"equal parts ({x.shape}). Give the indices to cut at."
            )
        size = n // indices_or_sections
        cuts = [size * i for i in range(1, indices_or_sections)]
    else:
        cuts = list(indices_or_sections)
    before = (slice(None),) * along
    return [
        getitem(x, (*before, slice(a, b))) for a, b in zip([0, *cuts], [*cuts, n], strict=True)
    ]


def unstack(x: Any, axis: int = 0) -> list:
    """The parts along an axis, without that axis."""
    x = convert_to_tensor(x)
    along = normalize_axis("unstack", axis, x.ndim)
    return [getitem(x, (*[slice(None)] * along, i)) for i in range(x.shape[along])]


def _pad_examples(rng: np.random.Generator, dtype: str) -> Any:
    x = normal(rng, (2, 3), dtype)
    yield (x, np.zeros((4, 6), dtype)), {"widths": ((1, 1), (2, 1)), "value": 0.5}


@kernel(examples=_pad_examples)
def pad_into(xp: Any, x: Array, out: Array, widths: tuple, value: float) -> None:
    """out = x with a border of `value`"""
    out.fill(value)
    out[tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape, strict=True))] = x


def _pad_rule(x: Any, widths: tuple, value: float = 0.0) -> Spec:
    if len(widths) != len(x.shape):
        raise ShapeError(
            f"pad: one pair (before, after) an axis is needed (x {tuple(x.shape)}, received "
            f"{widths})."
        )
    shape = tuple(None if n is None else n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
    return Spec(shape, as_dtype(x.dtype))


@op(shape=_pad_rule)
def _pad(x: Array, widths: tuple, value: float = 0.0) -> Any:
    y = empty(_pad_rule(x, widths).shape, x.dtype, x)
    pad_into(x, y, widths=widths, value=value)
    inside = tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape, strict=True))
    return y, (lambda dy: dy[inside],)


def pad(x: Any, pad_width: Any, constant_values: float = 0.0) -> Any:
    """x with a border: `pad_width` is a number, a pair, or a pair (before, after) an axis."""
    ndim = len(convert_to_tensor(x).shape)
    if isinstance(pad_width, int):
        pad_width = ((pad_width, pad_width),) * ndim
    elif isinstance(pad_width[0], int):
        pad_width = (tuple(pad_width),) * ndim
    return _pad(x, widths=tuple(tuple(w) for w in pad_width), value=constant_values)
