"""Norms of vectors and matrices, and the rank of matrices; composed of other ops."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from gpunn.arguments import as_tuple
from gpunn.autodiff.dtypes import as_dtype, is_float, to_float
from gpunn.autodiff.symbolic import Spec
from gpunn.errors import ShapeError
from gpunn.ops import arithmetic, compare, creation, elementwise, reduce, shaping
from gpunn.ops.composite import composite, in_single
from gpunn.ops.eigen import svd
from gpunn.ops.matrices import check_matrix
from gpunn.ops.rules import normalize_axis


def _root_of_squares(x: Any, axis: Any, keepdims: bool) -> Any:
    return elementwise.sqrt_(reduce.sum(elementwise.square(x), axis=axis, keepdims=keepdims))


def _vector_norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    """(Σ |x|^ord)^(1/ord), and its limits."""
    if ord in (None, 2):
        return _root_of_squares(x, axis, keepdims)
    if not isinstance(ord, (int, float)):
        raise ValueError(f"norm: ord of a vector must be a number or None, received {ord!r}.")
    if ord == 0:
        return creation.cast(
            reduce.sum(compare.not_equal(x, 0), axis=axis, keepdims=keepdims), x.dtype
        )
    size = elementwise.abs_(x)
    if ord == 1:
        return reduce.sum(size, axis=axis, keepdims=keepdims)
    if abs(ord) == inf:
        extreme = reduce.max if ord > 0 else reduce.min
        return extreme(size, axis=axis, keepdims=keepdims)
    total = reduce.sum(arithmetic.power(size, ord), axis=axis, keepdims=keepdims)
    return arithmetic.power(total, 1 / ord)


#: The norm of matrices in the last two axes: what is done with |x| or the singular values.
_BY_SUMS = {
    1: (-2, reduce.max),
    -1: (-2, reduce.min),
    inf: (-1, reduce.max),
    -inf: (-1, reduce.min),
}
_BY_SINGULAR_VALUES: dict[Any, Callable] = {2: reduce.max, -2: reduce.min, "nuc": reduce.sum}


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    """The Frobenius norm, extreme sums of rows (±inf) or columns (±1), or of singular values."""
    if ord in (None, "fro"):
        return _root_of_squares(x, axes, keepdims)
    if ord not in _BY_SUMS and ord not in _BY_SINGULAR_VALUES:
        raise ValueError(
            f"norm: ord of a matrix must be None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, "
            f"received {ord!r}."
        )
    y = shaping.moveaxis(x, axes, (-2, -1))
    if ord in _BY_SUMS:
        summed, extreme = _BY_SUMS[ord]
        y = extreme(reduce.sum(elementwise.abs_(y), axis=summed), axis=-1)
    else:
        y = _BY_SINGULAR_VALUES[ord](svd(y, compute_uv=False), axis=-1)
    for axis in sorted(axes) if keepdims else ():
        y = shaping.expand_dims(y, axis)
    return y


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors along one axis, or of matrices in two.

    `axis`: None takes the whole x, which must have one or two axes unless `ord` is None, too (then
    it is √Σ x² over all of them). `ord` of vectors: (Σ |x|^ord)^(1/ord); None is 2, ±inf the
    extreme |x|, 0 the number of elements that are not 0. Of matrices: None or "fro" √Σ x², ±1 the
    extreme Σ |x| over a column, ±inf over a row, ±2 the extreme singular value, "nuc" their sum.

    >>> gpunn.ops.norm([3.0, 4.0])  # 5
    """
    x = creation.convert_to_tensor(x)
    if not is_float(x.dtype):
        x = creation.cast(x, to_float(x.dtype))
    if axis is None:
        if ord is None:
            return _root_of_squares(x, None, keepdims)
        axes = tuple(range(x.ndim))
    else:
        axes = tuple(normalize_axis("norm", a, x.ndim) for a in as_tuple(axis))
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ShapeError(
            f"norm: axis must name one axis for vectors or two for matrices, received {axis!r} for "
            f"x {tuple(x.shape)}."
        )
    return _matrix_norm(x, ord, (axes[0], axes[1]), keepdims)


def _rank_rule(x: Any, tol: float | None) -> Spec:
    check_matrix("matrix_rank", x)
    return Spec(x.shape[:-2], as_dtype("int32"))


@composite(_rank_rule)
def _matrix_rank(x: Any, tol: float | None) -> Any:
    values = svd(x, compute_uv=False)
    limit: Any = tol
    if tol is None:
        eps = float(np.finfo(values.data.dtype).eps)
        limit = reduce.max(values, axis=-1, keepdims=True) * (max(x.shape[-2:]) * eps)
    return reduce.sum(creation.cast(compare.greater(values, limit), "int32"), axis=-1)


@in_single
def matrix_rank(x: Any, tol: float | None = None) -> Any:
    """How many singular values of x (..., M, N) exceed `tol`, int32.

    None: the largest one · max(M, N) · eps.
    """
    return _matrix_rank(x, tol=tol)
