"""Parts of a tensor by indices, as in NumPy. Views where NumPy gives views."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gpunn.arguments import as_tuple
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec, SymbolicShape, SymbolicTensor
from gpunn.autodiff.tensor import Tensor, note_host_read
from gpunn.backend.devices import backend_of, empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, fill, packed
from gpunn.errors import ShapeError
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.groups import reduced
from gpunn.ops.rules import normalize_axis

_ANY_LENGTH = 1 << 30  # of an axis that holds every index
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


def _place_examples(rng: np.random.Generator, dtype: str) -> Any:
    i = np.array([1, 1, 3])
    yield (unwritten((3,), dtype), i), {"key": (_ARRAY,), "shape": (5,)}
    yield (unwritten((3,), dtype), i, -i), {"key": (_ARRAY, _ARRAY), "shape": (5, 4)}
    yield (unwritten((2, 3), dtype), i), {"key": (slice(1, None, 2), _ARRAY), "shape": (5, 4)}


@kernel(examples=_place_examples, dtypes=("int32",))
def places_of(xp: Any, out: Array, *indices: Array, key: tuple, shape: tuple) -> None:
    """out = the flat places, in an array of this shape, of its elements at [key]"""
    numbers = xp.arange(prod(shape), dtype=np.int32).reshape(shape)
    out[...] = numbers[_with_arrays(key, indices)]


def _named_axes(key: tuple, ndim: int) -> int:
    """How many axes, from the first one on, an index names."""
    if any(k is Ellipsis for k in key):
        return ndim
    return sum(
        0 if k is None else k.ndim if hasattr(k, "dtype") and k.dtype.kind == "b" else 1
        for k in key
    )


def _is_basic(key: tuple) -> bool:
    return all(k is None or k is Ellipsis or type(k) in (int, slice) for k in key)


def _plain_key(key: Any) -> tuple:
    """The index as a tuple of ints, slices, None, Ellipsis and integer or bool arrays."""
    plain = []
    for k in key if isinstance(key, tuple) else (key,):
        if isinstance(k, SymbolicTensor):
            raise TypeError(
                f"getitem: a symbolic tensor {k.shape} cannot be an index. Use ops.take, "
                f"ops.take_along_axis or ops.slice."
            )
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
    if None not in x.shape:
        return Spec(_indexed(x, key, x.shape, key), as_dtype(x.dtype))
    shapes = [_indexed(x, key, *_with_lengths(x, key, unknown)) for unknown in (1, 2)]
    both = zip(*shapes, strict=True)
    return Spec(tuple(n if n == m else None for n, m in both), as_dtype(x.dtype))


def _indexed(x: Any, key: tuple, shape: tuple, plain: tuple) -> tuple[int, ...]:
    """The shape of x[key], by NumPy and a stand-in of this shape that holds no memory."""
    try:
        stand_in = np.broadcast_to(np.zeros((), np.bool_), shape)
        return stand_in[tuple(_on_host(k) for k in plain)].shape
    except IndexError as error:
        raise _refuse(str(error), x, key) from None


def _with_lengths(x: Any, key: tuple, unknown: int) -> tuple[tuple, tuple]:
    """The shape with `unknown` for the lengths that are not known, and the key for it.

    A slice of an unknown length has an unknown length; an axis with numbers as indices holds them.
    """
    shape, plain = list(x.shape), list(key)
    at = next((i for i, k in enumerate(key) if k is Ellipsis), len(key))
    axis = 0
    for i, k in enumerate(key):
        if i == at:
            axis = len(shape) - _named_axes(key[at + 1 :], len(shape))
        elif k is not None and axis < len(shape) and shape[axis] is None:
            if isinstance(k, slice):
                plain[i] = slice(None)
            elif getattr(getattr(k, "dtype", None), "kind", "i") == "b":
                raise _refuse("a mask needs axes of known length", x, key)
            else:
                shape[axis] = _ANY_LENGTH
        axis += 0 if i == at else _named_axes((k,), len(shape))
    return tuple(unknown if n is None else n for n in shape), tuple(plain)


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
        """Axes behind those that the key names are rows, which are summed as a whole."""
        depth = _named_axes(key, x.ndim)
        whole = x.shape[depth:]
        ids = empty(y.shape[: y.ndim - len(whole)], "int32", x)
        places_of(ids, *indices, key=places, shape=x.shape[:depth])
        rows = packed(dy).reshape(ids.size, prod(whole))
        return reduced(rows, ids.reshape(-1), prod(x.shape[:depth]), "add").reshape(x.shape)

    return y, (gradient,)


def getitem(x: Any, key: Any) -> Any:
    """x[key], as in NumPy: ints, slices, None, Ellipsis, integer and bool arrays.

    Gradients of elements that are named several times are summed in a fixed order.

    >>> gpunn.ops.get_item(x, (slice(None), 0))  # x[:, 0]
    """
    return _getitem(x, key=_plain_key(key))


get_item = getitem


def flip(x: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """The elements along the axes (None: all) in reverse."""
    x = convert_to_tensor(x)
    axes = range(x.ndim) if axis is None else as_tuple(axis)
    flipped = {normalize_axis("flip", a, x.ndim) for a in axes}
    return getitem(x, tuple(slice(None, None, -1 if i in flipped else None) for i in range(x.ndim)))
