"""Sorting along an axis, and what follows from it. Stable; NaN counts as the largest number."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.errors import ShapeError
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.gathering import _take_along_axis
from gpunn.ops.hits import label_hits
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import ravel


def _order_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, axis, k in (((7,), 0, 7), ((5, 33), 1, 4), ((5, 3), 0, 5), ((2, 0), 1, 0)):
        x = np.round(normal(rng, shape, dtype) * 2)  # rounded, so that there are ties
        if x.dtype.kind == "f" and x.size:
            x.flat[::5] = np.nan
        out = unwritten((*shape[:axis], k, *shape[axis + 1 :]), "int32")
        for descending in (False, True):
            yield (x, out), {"axis": axis, "descending": descending}


@kernel(examples=_order_examples, dtypes=(*FLOATS, "int32"))
def order_along(xp: Any, x: Array, out: Array, axis: int, descending: bool) -> None:
    """out = where the first elements along the axis come from, in order; equal ones in turn"""
    back = (*[slice(None)] * axis, slice(None, None, -1))
    first = (*[slice(None)] * axis, slice(0, out.shape[axis]))
    found = xp.argsort(x[back] if descending else x, axis=axis, kind="stable")
    found = x.shape[axis] - 1 - found[back] if descending else found
    xp.copyto(out, found[first], casting="unsafe")


def _order_rule(x: Any, axis: int, k: int | None = None, descending: bool = False) -> Spec:
    name = "top_k" if descending else "argsort"
    along = normalize_axis(name, axis, len(x.shape))
    n = x.shape[along]
    if k is not None and n is not None and not 0 <= k <= n:
        raise ShapeError(
            f"{name}: k={k} of {n} elements along axis {axis} (x {tuple(x.shape)}). Give 0 to {n}."
        )
    shape = (*x.shape[:along], n if k is None else k, *x.shape[along + 1 :])
    return Spec(shape, np.dtype("int32"))


@op(shape=_order_rule)
def _order(x: Array, axis: int, k: int | None = None, descending: bool = False) -> Any:
    out = empty(_order_rule(x, axis, k, descending).shape, "int32", x)
    order_along(x, out, axis=normalize_axis("argsort", axis, x.ndim), descending=descending)
    return out, None


def argsort(x: Any, axis: int | None = -1) -> Any:
    """The positions, int32, that sort x along an axis (None: the flat x); equal elements in turn.

    >>> gpunn.ops.argsort([3, 1, 2])  # 1 2 0
    """
    return _order(ravel(x), axis=0) if axis is None else _order(x, axis=axis)


def sort(x: Any, axis: int | None = -1) -> Any:
    """The elements of x in ascending order along an axis (None: of the flat x).

    The gradient goes back to where each element came from.

    >>> gpunn.ops.sort([3, 1, 2])
    """
    x, axis = (ravel(x), 0) if axis is None else (convert_to_tensor(x), axis)
    return _take_along_axis(x, _order(x, axis=axis), axis=axis, distinct=True)


def argpartition(x: Any, kth: int, axis: int | None = -1) -> Any:
    """Positions, int32, by which the element at `kth` stands where sorting would put it.

    Before it are none that are larger, behind it none that are smaller; here they are sorted, too.

    >>> gpunn.ops.argpartition([3, 1, 2], kth=1)
    """
    x, axis = (ravel(x), 0) if axis is None else (convert_to_tensor(x), axis)
    along = normalize_axis("argpartition", axis, len(x.shape))
    n = x.shape[along]
    if n is not None and not -n <= kth < n:
        raise ShapeError(
            f"argpartition: kth={kth} is out of bounds for {n} elements (x {tuple(x.shape)}, axis "
            f"{axis}). Use {-n} to {n - 1}."
        )
    return _order(x, axis=along)


def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """The k largest elements along the last axis and their positions: `(values, indices)`.

    x (..., n) -> (..., k) twice, the indices int32; descending, of equal elements the left one
    first. Without `sorted` any order would do; it is the same. Differentiates by x.

    >>> values, indices = gpunn.ops.top_k([1.0, 9.0, 5.0], k=2)
    """
    x = convert_to_tensor(x)
    order = _order(x, axis=-1, k=int(k), descending=True)
    return _take_along_axis(x, order, axis=-1, distinct=True), order


def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """True where fewer than k predictions of the row are larger than the target's; bool.

    targets (...) of integers, predictions (..., classes). Targets out of range give False, and so
    does NaN as the target's prediction; elsewhere NaN counts as larger.

    >>> gpunn.ops.in_top_k([2, 0], [[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], k=1)  # False True
    """
    targets, predictions = cast(targets, "int32"), convert_to_tensor(predictions)
    return cast(label_hits(predictions, targets, k=int(k), earlier_wins=False), "bool")
