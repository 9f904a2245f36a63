"""Parts of a tensor: indexing, take, split. Views where NumPy gives views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec, SymbolicShape
from gpunn.autodiff.tensor import Tensor, note_host_read
from gpunn.backend.devices import backend_of, empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, fill
from gpunn.errors import ShapeError
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import ravel

_ARRAY = "array"  # stands in a key where an index array was: kernels take arrays by position


def _with_arrays(key: tuple, arrays: tuple[Array, ...]) -> tuple:
    """The index, with its arrays in their places."""
    rest = iter(arrays)
    return tuple(next(rest) if k == _ARRAY else k for k in key)


def _gather_examples(rng: np.random.Generator, dtype: str) -> Any:
    x, i = normal(rng, (5, 4), dtype), np.array([1, 1, 3])
    yield (x, unwritten((3, 4), dtype), i), {"key": (_ARRAY,)}
    yield (x, unwritten((3,), dtype), i, i), {"key": (_ARRAY, _ARRAY)}
    yield (x, unwritten((2, 3), dtype), i), {"key": (slice(1, None, 2), _ARRAY)}


@kernel(examples=_gather_examples)
def gather(xp: Any, x: Array, out: Array, *indices: Array, key: tuple) -> None:
    """out = x[key]"""
    out[...] = x[_with_arrays(key, indices)]


def _scatter_examples(rng: np.random.Generator, dtype: str) -> Any:
    for (x, dy, *indices), options in _gather_examples(rng, dtype):
        yield (normal(rng, dy.shape, dtype), np.zeros_like(x), *indices), options


@kernel(examples=_scatter_examples)
def scatter_add(xp: Any, dy: Array, dx: Array, *indices: Array, key: tuple) -> None:
    """dx[key] += dy, where an element may be named several times"""
    if xp is np:
        np.add.at(dx, _with_arrays(key, indices), dy)
    else:  # a method of CuPy's arrays
        dx.scatter_add(_with_arrays(key, indices), dy)


def _is_basic(key: tuple) -> bool:
    return all(k is None or k is Ellipsis or type(k) in (int, slice) for k in key)


def _plain_key(key: Any) -> tuple:
    """The index as a tuple of ints, slices, None, Ellipsis and integer or bool arrays."""
    plain = []
    for k in key if isinstance(key, tuple) else (key,):
        if isinstance(k, Tensor):
            k = k.data
        elif isinstance(k, (list, np.ndarray, bool, np.bool_)):
            k = np.asarray(k, np.intp if isinstance(k, list) and not k else None)
        elif isinstance(k, np.integer):
            k = int(k)
        plain.append(k)
    return tuple(plain)


def _refuse(problem: str, x: Any, key: tuple) -> ShapeError:
    parts = (f"array {k.shape}" if hasattr(k, "shape") else repr(k) for k in key)
    return ShapeError(f"getitem: {problem} (x {tuple(x.shape)}, index [{', '.join(parts)}]).")


def _basic_shape(x: Any, key: tuple) -> SymbolicShape:
    """The shape of x[key] for ints, slices, None and Ellipsis; lengths may be unknown."""
    named = sum(k is not None and k is not Ellipsis for k in key)
    if named > len(x.shape) or key.count(Ellipsis) > 1:
        raise _refuse(f"at most {len(x.shape)} indices and one ... are possible", x, key)
    rest = (slice(None),) * (len(x.shape) - named)
    at = key.index(Ellipsis) if Ellipsis in key else len(key)
    lengths = iter(x.shape)
    shape: list[int | None] = []
    for k in (*key[:at], *rest, *key[at + 1 :]):
        if k is None:
            shape.append(1)
            continue
        n = next(lengths)
        if isinstance(k, slice):
            unknown = n is None and (k.start, k.stop, k.step) != (None, None, None)
            shape.append(None if n is None or unknown else len(range(*k.indices(n))))
        elif n is not None and not -n <= k < n:
            raise _refuse(f"index {k} is out of bounds for an axis of length {n}", x, key)
    return tuple(shape)


def _getitem_rule(x: Any, key: tuple) -> Spec:
    """With arrays, index a stand-in of the shape that holds no memory."""
    if _is_basic(key):
        return Spec(_basic_shape(x, key), as_dtype(x.dtype))
    if None in x.shape:
        raise _refuse("a tensor of unknown length takes ints, slices, None and ... only", x, key)
    stand_in = np.broadcast_to(np.zeros((), np.bool_), x.shape)
    try:
        shape = stand_in[tuple(_on_host(k) for k in key)].shape
    except IndexError as error:
        raise _refuse(str(error), x, key) from None
    return Spec(shape, as_dtype(x.dtype))


def _on_host(k: Any) -> Any:
    """What of an index decides the shape. A GPU is not asked for the values of integers."""
    if hasattr(k, "dtype") and k.dtype.kind == "b":
        note_host_read()  # a replay would not count the elements anew
        return k if isinstance(k, np.ndarray) else k.get()
    return np.broadcast_to(np.intp(0), k.shape) if hasattr(k, "get") else k


@op(shape=_getitem_rule)
def _getitem(x: Array, key: tuple) -> Any:
    if _is_basic(key):
        # With an Ellipsis, NumPy gives an array where it would give a number.
        whole = key if any(k is Ellipsis for k in key) else (*key, ...)

        def spread(dy: Array) -> Array:
            dx = empty(x.shape, x.dtype, x)
            fill(dx, value=0)
            copy_into(dy, dx[whole])
            return dx

        return x[whole], (spread,)
    backend = backend_of(x)
    indices = [backend.asarray(k) for k in key if hasattr(k, "shape")]
    places = tuple(_ARRAY if hasattr(k, "shape") else k for k in key)
    y = empty(_getitem_rule(x, key).shape, x.dtype, x)
    gather(x, y, *indices, key=places)

    def gradient(dy: Array) -> Array:
        dx = empty(x.shape, x.dtype, x)
        fill(dx, value=0)
        scatter_add(dy, dx, *indices, key=places)
        return dx

    return y, (gradient,)


def getitem(x: Any, key: Any) -> Any:
    """x[key], as in NumPy: ints, slices, None, Ellipsis, integer and bool arrays."""
    return _getitem(x, key=_plain_key(key))


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements at integer positions along an axis (None: of the flat x)."""
    x = convert_to_tensor(x)
    if axis is None:
        return getitem(ravel(x), convert_to_tensor(indices))
    along = normalize_axis("take", axis, x.ndim)
    return getitem(x, (*[slice(None)] * along, convert_to_tensor(indices)))


def flip(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The elements along the axes (None: all) in reverse."""
    x = convert_to_tensor(x)
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    flipped = {normalize_axis("flip", a, x.ndim) for a in axes}
    return getitem(x, tuple(slice(None, None, -1 if i in flipped else None) for i in range(x.ndim)))


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
    return [getitem(x, (*before, slice(a, b))) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]


def unstack(x: Any, axis: int = 0) -> list:
    """The parts along an axis, without that axis."""
    x = convert_to_tensor(x)
    along = normalize_axis("unstack", axis, x.ndim)
    if x.shape[along] is None:
        raise ShapeError(
            f"unstack: axis {axis} has an unknown length (x {tuple(x.shape)}). Give it a length."
        )
    return [getitem(x, (*[slice(None)] * along, i)) for i in range(x.shape[along])]
