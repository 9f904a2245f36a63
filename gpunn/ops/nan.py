"""Reductions that leave NaN out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import is_float
from gpunn.ops.accumulate import divide_no_nan
from gpunn.ops.compare import all as all_true
from gpunn.ops.compare import equal, isnan, logical_not, where
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.elementwise import sqrt_, square
from gpunn.ops.operands import as_float
from gpunn.ops.reduce import argmax, argmin, max, mean, min, prod_, sum
from gpunn.ops.scans import cumprod, cumsum


def _filled(x: Any, value: float) -> Any:
    """x with `value` in the place of NaN."""
    return where(isnan(x), value, x) if is_float(x.dtype) else x


def nansum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """y = Σ x over the axes (None: all) without NaN; 0 of nothing."""
    return sum(_filled(convert_to_tensor(x), 0.0), axis=axis, keepdims=keepdims)


def nanprod(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """y = Π x over the axes (None: all) without NaN; 1 of nothing."""
    return prod_(_filled(convert_to_tensor(x), 1.0), axis=axis, keepdims=keepdims)


def nancumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """y_i = Σ_{j ≤ i} x_j along the axis (None: of the flat x), NaN counted as 0."""
    return cumsum(_filled(convert_to_tensor(x), 0.0), axis, dtype)


def nancumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """y_i = Π_{j ≤ i} x_j along the axis (None: of the flat x), NaN counted as 1."""
    return cumprod(_filled(convert_to_tensor(x), 1.0), axis, dtype)


def _mean_where(valid: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The mean of the valid elements, NaN where there are none."""
    share = mean(cast(valid, x.dtype), axis=axis, keepdims=keepdims)
    total = mean(where(valid, x, 0.0), axis=axis, keepdims=keepdims)
    return where(equal(share, 0), np.nan, divide_no_nan(total, share))


def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """y = the mean over the axes (None: all) without NaN; NaN of nothing. Integers in floatx."""
    x = as_float(x)
    return _mean_where(logical_not(isnan(x)), x, axis, keepdims)


def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """y = the mean of (x - nanmean x)² over the axes (None: all) without NaN."""
    x = as_float(x)
    valid = logical_not(isnan(x))
    center = _mean_where(valid, x, axis, True)
    return _mean_where(valid, square(where(valid, x, center) - center), axis, keepdims)


def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """y = √nanvar over the axes (None: all)."""
    return sqrt_(nanvar(x, axis, keepdims))


def _extreme(extreme: Callable, worst: float, nothing: float) -> Callable[..., Any]:
    """The reduction `extreme` without NaN, `nothing` where there is nothing else."""

    def reduced(x: Any, axis: Any, keepdims: bool) -> Any:
        x = convert_to_tensor(x)
        found = extreme(_filled(x, worst), axis=axis, keepdims=keepdims)
        if not is_float(x.dtype):
            return found
        return where(all_true(isnan(x), axis=axis, keepdims=keepdims), nothing, found)

    return reduced


_max = _extreme(max, -np.inf, np.nan)
_min = _extreme(min, np.inf, np.nan)
_argmax = _extreme(argmax, -np.inf, -1)
_argmin = _extreme(argmin, np.inf, -1)


def nanmax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """y = max x over the axes (None: all) without NaN; NaN of nothing."""
    return _max(x, axis, keepdims)


def nanmin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """y = min x over the axes (None: all) without NaN; NaN of nothing."""
    return _min(x, axis, keepdims)


def nanargmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The position of nanmax along the axis (None: in the flat x), -1 if all is NaN; int32."""
    return _argmax(x, axis, keepdims)


def nanargmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The position of nanmin along the axis (None: in the flat x), -1 if all is NaN; int32."""
    return _argmin(x, axis, keepdims)
