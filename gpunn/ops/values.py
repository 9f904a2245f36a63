"""Which values there are, and where: unique, isin, nonzero.

The shape of what unique and nonzero return depends on values: they read the host, and are eager.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, dtype_name
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec, SymbolicTensor
from gpunn.autodiff.tensor import Tensor, note_host_read
from gpunn.backend.devices import backend_of, empty
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.errors import DTypeError, ShapeError
from gpunn.ops.arithmetic import floor_divide, mod
from gpunn.ops.compare import where
from gpunn.ops.composite import later
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.elementwise import clip
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.rules import normalize_axis


def _values(x: Any) -> tuple[np.ndarray, Array]:
    """The values on the host, and the array, whose device the result shall have."""
    array = asarray(x)
    note_host_read()
    return backend_of(array).to_numpy(array), array


def nonzero(x: Any) -> tuple:
    """The positions of the elements that are not 0: an int32 vector for each axis.

    >>> rows, columns = gpunn.ops.nonzero([[0, 1], [2, 0]])
    """
    if isinstance(x, SymbolicTensor):
        like = tuple(SymbolicTensor((None,), "int32") for _ in x.shape)
        return later(nonzero, (x,), {}, like)
    values, array = _values(x)
    backend = backend_of(array)
    return tuple(Tensor(backend.asarray(i.astype(np.int32))) for i in np.nonzero(values))


def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different elements of the flat x, ascending, or its different parts along an axis.

    Also returns, as asked for and in this order: where each one comes first, which one each element
    of x is, and how often each one comes (int32). `size`: exactly so many, the smallest, or filled
    up with `fill_value` (None: the smallest; it counts 0 times). Without `sorted` any order would
    do; it is the same. No derivative.

    >>> values, counts = gpunn.ops.unique([3, 1, 3], return_counts=True)
    """
    asked = return_index, return_inverse, return_counts
    if isinstance(x, SymbolicTensor):
        options: dict[str, Any] = dict(
            zip(("return_index", "return_inverse", "return_counts"), asked, strict=True)
        )
        options |= {"axis": axis, "size": size, "fill_value": fill_value}
        return later(unique, (x,), options, _unique_specs(x, asked, axis, size))
    values, array = _values(x)
    if axis is not None:
        axis = normalize_axis("unique", axis, values.ndim)
    found, index, inverse, counts = np.unique(
        values, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(values.shape if axis is None else -1)
    if size is not None:
        along = 0 if axis is None else axis
        found, index, counts = _sized(found, index, counts, along, size, fill_value)
    wanted = zip((index, inverse, counts), asked, strict=True)
    parts = [found, *(part.astype(np.int32) for part, is_asked in wanted if is_asked)]
    backend = backend_of(array)
    tensors = tuple(Tensor(backend.asarray(part)) for part in parts)
    return tensors if len(tensors) > 1 else tensors[0]


def _unique_specs(x: Any, asked: tuple, axis: int | None, size: int | None) -> Any:
    """What `unique` gives of a symbolic tensor."""
    along = None if axis is None else normalize_axis("unique", axis, len(x.shape))
    values = (size,) if along is None else (*x.shape[:along], size, *x.shape[along + 1 :])
    shapes = (size,), tuple(x.shape) if along is None else (x.shape[along],), (size,)
    pairs = zip(shapes, asked, strict=True)
    wanted = [SymbolicTensor(shape, "int32") for shape, is_asked in pairs if is_asked]
    found = SymbolicTensor(values, x.dtype)
    return (found, *wanted) if wanted else found


def _sized(
    found: np.ndarray, index: np.ndarray, counts: np.ndarray, axis: int, size: int, value: Any
) -> tuple[np.ndarray, ...]:
    """The first `size` values, or as many more copies of a value."""
    n = found.shape[axis]
    if n < size and n == 0 and value is None:
        raise ShapeError("unique: x has no elements to fill up with. Give a fill_value.")
    kept = np.minimum(np.arange(size), max(n - 1, 0))
    missing = np.arange(size) >= n
    kept[missing] = 0
    widths = [(0, int(missing.sum())) if a == axis else (0, 0) for a in range(found.ndim)]
    cut = np.take(found, np.arange(min(n, size)), axis=axis)
    if value is None:
        padded = np.take(found, kept, axis=axis)
    else:
        padded = np.pad(cut, widths, constant_values=value)
    first = index[kept] if n else kept
    return padded, first, np.where(missing, 0, counts[kept] if n else 0)


# --- isin ---


def _isin_examples(rng: np.random.Generator, dtype: str) -> Any:
    x, elements = (np.round(normal(rng, shape, dtype) * 2) for shape in ((3, 4), (5,)))
    for invert in (False, True):
        yield (x, elements, unwritten(x.shape, "bool")), {"invert": invert}


@kernel(examples=_isin_examples, dtypes=(*FLOATS, "int32"))
def find_elements(xp: Any, x: Array, elements: Array, out: Array, invert: bool) -> None:
    """out = whether x is one of the elements (`invert`: none of them)"""
    out[...] = xp.isin(x, elements, invert=invert)


@op(shape=lambda x, elements, invert: Spec(tuple(x.shape), np.dtype("bool")), promotes="common")
def _isin(x: Array, elements: Array, invert: bool) -> Any:
    out = empty(x.shape, "bool", x)
    find_elements(x, elements, out, invert=invert)
    return out, None


def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:
    """True where an element of x1 is among those of x2 (`invert`: is not); the shape of x1.

    `assume_unique`, a promise that neither repeats an element, makes no difference here.

    >>> gpunn.ops.isin([1, 2, 3], [2, 5])
    """
    return _isin(convert_to_tensor(x1), convert_to_tensor(x2), invert=bool(invert))


# --- positions ---


def unravel_index(indices: Any, shape: Any) -> tuple:
    """The positions, an axis each, of the elements with these numbers in a flat tensor of a shape.

    Negative numbers count from the end; those outside are moved to the nearest inside. The dtype is
    that of the indices. No host is read: symbolic tensors are welcome.

    >>> gpunn.ops.unravel_index([0, 5], (2, 3))  # (0 1), (0 2)
    """
    x = convert_to_tensor(indices)
    dtype = as_dtype(x.dtype)
    if dtype.kind not in "iu":
        raise DTypeError(
            f"unravel_index: indices must be integers, received dtype {dtype_name(dtype)}. Cast "
            f"them to 'int32'."
        )
    lengths = tuple(int(n) for n in shape)
    total = prod(lengths)
    wide = x if dtype.itemsize == 8 else cast(x, "int32")
    place = clip(where(wide < 0, wide + total, wide), 0, max(total - 1, 0))
    positions = []
    for n in reversed(lengths):
        positions.append(cast(mod(place, n), dtype))
        place = floor_divide(place, n)
    return tuple(reversed(positions))
