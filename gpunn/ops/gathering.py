"""Elements by their positions along an axis: take, take_along_axis, repeat by counts."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import DTypeError, ShapeError
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.groups import places, reduced
from gpunn.ops.indexing import gather
from gpunn.ops.rules import broadcast_shapes, normalize_axis
from gpunn.ops.shaping import ravel

# --- kernels ---


def _along_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, indices, axis in (((5,), (3,), 0), ((4, 3), (4, 7), 1), ((4, 3), (2, 1), 0)):
        i = rng.integers(-shape[axis], shape[axis], indices).astype(dtype)
        wide = list(
            np.broadcast_shapes(shape, [1 if a == axis else n for a, n in enumerate(i.shape)])
        )
        wide[axis] = indices[axis]
        yield (i, unwritten(tuple(wide), "int32")), {"shape": shape, "axis": axis}


@kernel(examples=_along_examples, dtypes=("int32", "int64"))
def places_along(xp: Any, indices: Array, out: Array, shape: tuple, axis: int) -> None:
    """out = the flat place, in an array of this shape, of the elements at the indices of an axis"""
    numbers = xp.arange(prod(shape), dtype=np.int32).reshape(shape)
    xp.copyto(out, xp.take_along_axis(numbers, indices, axis=axis))


def _put_examples(rng: np.random.Generator, dtype: str) -> Any:
    places = np.array([[3, 0, 5]], "int32")
    yield (normal(rng, (1, 3), dtype), places, unwritten((2, 3), dtype)), {}


@kernel(examples=_put_examples)
def put_elements(xp: Any, dy: Array, places: Array, dx: Array) -> None:
    """dx = 0, but dy at these places of the flat dx, none of which is named twice"""
    dx.fill(0)
    dx.reshape(-1)[places.reshape(-1)] = dy.reshape(-1)


# --- ops ---


def _check_indices(name: str, indices: Any, x: Any, axis: int) -> None:
    """They must be integers and, where their values are on the host, be inside of the axis."""
    if as_dtype(indices.dtype).kind not in "iu":
        raise DTypeError(
            f"{name}: indices must be integers, received dtype {as_dtype(indices.dtype).name}. "
            f"Cast them to 'int32'."
        )
    n, values = x.shape[axis], indices.data if isinstance(indices, Tensor) else indices
    if n is None or not isinstance(values, np.ndarray) or not values.size:
        return
    for i in (int(values.min()), int(values.max())):
        if not -n <= i < n:
            raise ShapeError(
                f"{name}: index {i} is out of bounds for an axis of length {n} (x "
                f"{tuple(x.shape)}, axis {axis}). Use {-n} to {n - 1}."
            )


def _take_rule(x: Any, indices: Any, axis: int) -> Spec:
    along = normalize_axis("take", axis, len(x.shape))
    _check_indices("take", indices, x, along)
    shape = (*x.shape[:along], *indices.shape, *x.shape[along + 1 :])
    return Spec(shape, as_dtype(x.dtype))


@op(shape=_take_rule)
def _take(x: Array, indices: Array, axis: int) -> Any:
    along = normalize_axis("take", axis, x.ndim)
    y = empty(_take_rule(x, indices, axis).shape, x.dtype, x)
    gather(x, y, indices, key=(*[slice(None)] * along, "array"))
    before, n, after = prod(x.shape[:along]), x.shape[along], prod(x.shape[along + 1 :])

    def gradient(dy: Array) -> Array:
        """The rows of dx are the elements along the axis."""
        dys = packed(dy).reshape(before, indices.size, after).transpose(1, 0, 2)
        rows = packed(dys).reshape(indices.size, before * after)
        ids = places(packed(indices).reshape(-1, 1), (n,))
        dx = reduced(rows, ids, n, "add").reshape(n, before, after)
        return packed(dx.transpose(1, 0, 2)).reshape(x.shape)

    return y, (gradient, None)


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements at integer positions along an axis (None: of the flat x).

    x (..., n, ...), indices of any shape -> their shape in the place of the axis. Negative ones
    count from the end. The gradient is summed in the order of the indices.

    >>> gpunn.ops.take([[1, 2, 3], [4, 5, 6]], [0, -1], axis=1)
    """
    if axis is None:
        return _take(ravel(x), convert_to_tensor(indices), axis=0)
    return _take(convert_to_tensor(x), convert_to_tensor(indices), axis=axis)


def _along_rule(x: Any, indices: Any, axis: int, distinct: bool = False) -> Spec:
    if len(x.shape) != len(indices.shape):
        raise ShapeError(
            f"take_along_axis: x and the indices need as many axes (x {tuple(x.shape)}, indices "
            f"{tuple(indices.shape)}). Reshape one of them, or use take()."
        )
    along = normalize_axis("take_along_axis", axis, len(x.shape))
    _check_indices("take_along_axis", indices, x, along)
    others = [(*v.shape[:along], 1, *v.shape[along + 1 :]) for v in (x, indices)]
    shape = broadcast_shapes("take_along_axis", *others)
    length = indices.shape[along]
    return Spec((*shape[:along], length, *shape[along + 1 :]), as_dtype(x.dtype))


@op(shape=_along_rule)
def _take_along_axis(x: Array, indices: Array, axis: int, distinct: bool = False) -> Any:
    """`distinct`: no element is taken twice, as by a sort."""
    along = normalize_axis("take_along_axis", axis, x.ndim)
    y = empty(_along_rule(x, indices, axis).shape, x.dtype, x)
    ids = empty(y.shape, "int32", x)
    places_along(indices, ids, shape=x.shape, axis=along)
    gather(packed(x).reshape(-1), y, ids, key=("array",))

    def gradient(dy: Array) -> Array:
        if not distinct:
            rows = packed(dy).reshape(-1, 1)
            return reduced(rows, ids.reshape(-1), x.size, "add").reshape(x.shape)
        dx = empty_like(x)
        put_elements(packed(dy), ids, dx)
        return dx

    return y, (gradient, None)


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """y[..., j, ...] = x[..., indices[..., j, ...], ...] along the axis (None: of the flat x).

    x and the indices agree, or broadcast, in their other axes. Negative indices count from the end.

    >>> gpunn.ops.take_along_axis([[1, 2], [3, 4]], [[1], [0]], axis=1)
    """
    x, indices = convert_to_tensor(x), convert_to_tensor(indices)
    if axis is None:
        return _take_along_axis(ravel(x), indices, axis=0)
    return _take_along_axis(x, indices, axis=axis)
