"""Quantiles: the values below which given shares of the elements lie.

Of n elements in ascending order, x_0 .. x_{n-1}, the q-quantile stands at the position p = q (n-1).
Between two elements `method` decides: "linear", (1 - w) x_⌊p⌋ + w x_⌈p⌉ with w = p - ⌊p⌋; "lower",
"higher", "midpoint", "nearest" (from the middle the lower one).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.arithmetic import maximum
from gpunn.ops.compare import any as any_true
from gpunn.ops.compare import equal, isnan, logical_not, where
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.elementwise import ceil, floor
from gpunn.ops.gathering import take_along_axis
from gpunn.ops.operands import as_float
from gpunn.ops.reduce import sum
from gpunn.ops.rules import normalize_axes
from gpunn.ops.shaping import expand_dims, moveaxis, reshape, squeeze, transpose
from gpunn.ops.sorting import sort

#: What is made of the elements around p, and of w.
_METHODS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "linear": lambda low, high, w: low * (1 - w) + high * w,
    "lower": lambda low, high, w: low,
    "higher": lambda low, high, w: high,
    "midpoint": lambda low, high, w: (low + high) * 0.5,
    "nearest": lambda low, high, w: where(w <= 0.5, low, high),
}


def quantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """The q-quantiles over the axes (None: all), 0 <= q <= 1; NaN where there is a NaN.

    q: a number, or several (k,), which make a new first axis. Integers are taken in floatx.

    >>> gpunn.ops.quantile([1.0, 2.0, 4.0], [0.25, 0.5])  # 1.5 2
    """
    x = as_float(x)
    axes = normalize_axes("quantile", axis, len(x.shape))
    y = _quantiles(x, _shares("quantile", q, 1), axes, method, keepdims)
    return where(any_true(isnan(x), axis=axes, keepdims=keepdims), np.nan, y)


def nanquantile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """`quantile` of the elements that are not NaN; NaN where there are no others."""
    x = as_float(x)
    axes = normalize_axes("nanquantile", axis, len(x.shape))
    return _quantiles(x, _shares("nanquantile", q, 1), axes, method, keepdims)


def percentile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """`quantile` with q in percent, 0 <= q <= 100."""
    return quantile(x, _shares("percentile", q, 100), axis, method, keepdims)


def nanpercentile(
    x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False
) -> Any:
    """`nanquantile` with q in percent, 0 <= q <= 100."""
    return nanquantile(x, _shares("nanpercentile", q, 100), axis, method, keepdims)


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The middle element, or the mean of the two, over the axes (None: all); NaN if one is NaN."""
    return quantile(x, 0.5, axis, keepdims=keepdims)


def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """`median` of the elements that are not NaN; NaN where there are no others."""
    return nanquantile(x, 0.5, axis, keepdims=keepdims)


def _shares(name: str, q: Any, whole: float) -> Any:
    """q / whole, a number or a tensor (k,). Values that are not tensors are checked."""
    if not isinstance(q, Tensor):
        values = np.asarray(q)
        if ((values < 0) | (values > whole)).any():
            raise ValueError(f"{name}: q must lie between 0 and {whole}, received {q}.")
        if values.ndim == 0:
            return float(values) / whole
        q = convert_to_tensor(values, "float64")
    if len(q.shape) > 1:
        raise ShapeError(f"{name}: q must be a number or several, (k,), received {q.shape}.")
    return q / whole if whole != 1 else q


def _quantiles(x: Any, q: Any, axes: tuple[int, ...], method: str, keepdims: bool) -> Any:
    if method not in _METHODS:
        raise unknown_name("method of quantiles", method, _METHODS)
    rows = _rows(x, axes)
    ordered = sort(rows, axis=-1)  # NaN comes last
    count = sum(cast(logical_not(isnan(rows)), "int32"), axis=-1, keepdims=True)
    work = "float64" if as_dtype(x.dtype).itemsize == 8 else "float32"
    position = maximum(cast(count, work) - 1.0, 0.0) * (cast(q, work) if _is_tensor(q) else q)
    below = floor(position)
    low, high = (
        take_along_axis(ordered, cast(place, "int32"), axis=-1) for place in (below, ceil(position))
    )
    y = _METHODS[method](low, high, cast(position - below, x.dtype))
    y = where(equal(count, 0), np.nan, y)
    several = _is_tensor(q) and len(q.shape) == 1
    y = moveaxis(y, -1, 0) if several else squeeze(y, -1)
    for axis in axes if keepdims else ():
        y = expand_dims(y, axis + several)
    return y


def _is_tensor(q: Any) -> bool:
    return not isinstance(q, float)


def _rows(x: Any, axes: tuple[int, ...]) -> Any:
    """x with the elements of the axes along one axis, the last."""
    kept = [a for a in range(len(x.shape)) if a not in axes]
    lengths = [x.shape[a] for a in axes]
    together = -1 if None in lengths else prod(lengths)
    if not kept:
        return reshape(x, (-1,))
    moved = transpose(x, axes=(*kept, *axes))
    return moved if len(axes) == 1 else reshape(moved, (*(x.shape[a] for a in kept), together))
