"""What floats are beside numbers: NaN and infinities, rounding, ranges; and when two are close."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.autodiff.op import op, same
from gpunn.backend.devices import empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into
from gpunn.ops.arithmetic import maximum, minimum
from gpunn.ops.compare import all as all_true
from gpunn.ops.compare import equal, isfinite, isnan, logical_and, logical_or, where
from gpunn.ops.creation import cast, convert_to_tensor, ones_like
from gpunn.ops.elementwise import abs_, clip, rint
from gpunn.ops.operands import operands


@op(shape=same)
def copy(x: Array) -> Any:
    """y = x in memory of its own."""
    y = empty_like(x)
    copy_into(x, y)
    return y, (lambda dy: dy,)


def isposinf(x: Any) -> Any:
    """y = x is +∞, bool."""
    return equal(x, np.inf)


def isneginf(x: Any) -> Any:
    """y = x is -∞, bool."""
    return equal(x, -np.inf)


def isreal(x: Any) -> Any:
    """y = x has no imaginary part: True, for tensors are real."""
    return ones_like(x, "bool")


def isclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """z = |x1 - x2| <= atol + rtol · |x2|, bool. Infinities are close to themselves; NaN is close
    to NaN if `equal_nan`, else to nothing.
    """
    x1, x2 = operands(x1, x2, floating=True)
    finite = logical_and(isfinite(x1), isfinite(x2))
    x, y = where(finite, x1, 0.0), where(finite, x2, 0.0)  # ∞ - ∞ is no number
    near = logical_and(finite, abs_(x - y) <= abs_(y) * rtol + atol)
    close = logical_or(near, equal(x1, x2))
    return logical_or(close, logical_and(isnan(x1), isnan(x2))) if equal_nan else close


def allclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """z = all pairs of elements are close, as `isclose` says: bool of shape ()."""
    return all_true(isclose(x1, x2, rtol, atol, equal_nan))


def fmax(x1: Any, x2: Any) -> Any:
    """z = max(x1, x2), the other one where one is NaN."""
    x1, x2 = operands(x1, x2)
    return maximum(where(isnan(x1), x2, x1), where(isnan(x2), x1, x2))


def fmin(x1: Any, x2: Any) -> Any:
    """z = min(x1, x2), the other one where one is NaN."""
    x1, x2 = operands(x1, x2)
    return minimum(where(isnan(x1), x2, x1), where(isnan(x2), x1, x2))


def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """y = x with other numbers for NaN, ∞ and -∞; None: the largest and least of the dtype."""
    x = convert_to_tensor(x)
    if not is_float(x.dtype):
        return x
    low, high = _limits(x.dtype)
    y = where(isnan(x), nan, x)
    y = where(isposinf(x), high if posinf is None else posinf, y)
    return where(isneginf(x), low if neginf is None else neginf, y)


def round(x: Any, decimals: int = 0) -> Any:
    """y = x to so many decimals, halves to even; negative: to tens, hundreds, ... Derivative 0."""
    x = convert_to_tensor(x)
    if is_float(x.dtype):
        if decimals == 0:
            return rint(x)
        scale = 10.0 ** abs(decimals)
        return rint(x * scale) / scale if decimals > 0 else rint(x / scale) * scale
    if decimals >= 0:
        return x
    scale = 10.0**-decimals
    return cast(rint(cast(x, "float64") / scale) * scale, x.dtype)


def saturate_cast(x: Any, dtype: Any) -> Any:
    """x in another dtype; what lies outside of its range becomes its largest or least number.

    NaN becomes 0 in a dtype of integers.
    """
    x, target = convert_to_tensor(x), as_dtype(dtype)
    source = as_dtype(x.dtype)
    if source.kind == "b":
        return cast(x, target)
    if is_float(source) and not is_float(target):
        x = where(isnan(x), 0.0, x)
    (low, high), (least, largest) = _limits(target), _limits(source)
    if low <= least and largest <= high and not is_float(source):
        return cast(x, target)
    return cast(clip(x, *_inside(max(low, least), min(high, largest), source)), target)


def _limits(dtype: Any) -> tuple:
    """The least and the largest number of a dtype, as Python numbers."""
    dtype = as_dtype(dtype)
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return int(info.min), int(info.max)
    if dtype.name == "bfloat16":
        import ml_dtypes

        return float(ml_dtypes.finfo(dtype).min), float(ml_dtypes.finfo(dtype).max)
    return float(np.finfo(dtype).min), float(np.finfo(dtype).max)


def _inside(low: float, high: float, dtype: np.dtype) -> tuple:
    """The bounds as numbers of the dtype, rounded towards 0 where it cannot hold them."""
    if not is_float(dtype):
        return int(low), int(high)
    bounds = []
    for bound in (low, high):
        number = dtype.type(bound)
        if abs(float(number)) > abs(bound):
            number = np.nextafter(number, dtype.type(0))
        bounds.append(float(number))
    return tuple(bounds)
