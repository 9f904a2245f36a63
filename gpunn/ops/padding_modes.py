"""Borders that are made of the array: its edges, its other end, statistics, ramps. Composed of ops.

Axis after axis, as NumPy does: what is added along one axis counts for the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.autodiff.symbolic import Spec
from gpunn.ops import arithmetic, creation, elementwise, reduce, shaping
from gpunn.ops.composite import composite
from gpunn.ops.gathering import take
from gpunn.ops.indexing import getitem
from gpunn.ops.ranges import arange, linspace
from gpunn.ops.sorting import sort


def _median(x: Any, axis: int) -> Any:
    n, x = x.shape[axis], sort(x, axis=axis)
    low, high = (_slab(x, axis, i) for i in ((n - 1) // 2, n // 2))
    return arithmetic.divide(arithmetic.add(low, high), 2)


def _slab(x: Any, axis: int, i: int) -> Any:
    """x at i of the axis, which stays."""
    return getitem(x, (*[slice(None)] * axis, slice(i, i + 1)))


_STATISTICS: dict[str, Callable[..., Any]] = {
    "maximum": lambda x, axis: reduce.max(x, axis=axis, keepdims=True),
    "minimum": lambda x, axis: reduce.min(x, axis=axis, keepdims=True),
    "mean": lambda x, axis: reduce.mean(x, axis=axis, keepdims=True),
    "median": _median,
}

#: Besides "constant", "reflect" and "symmetric"; "circular" is "wrap".
MODES = ("edge", "wrap", "circular", "linear_ramp", "empty", *_STATISTICS)


def _extended(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    n = x.shape[axis]
    if mode in ("edge", "wrap", "circular"):
        places = arange(-before, n + after)
        at = elementwise.clip(places, 0, n - 1) if mode == "edge" else arithmetic.mod(places, n)
        return take(x, at, axis=axis)
    if mode == "linear_ramp":
        ends = [_ramp(x, axis, before, False), _ramp(x, axis, after, True)]
    else:
        value = _STATISTICS[mode](x, axis)
        ends = [shaping.repeat(value, width, axis=axis) for width in (before, after)]
    ends = [e if is_float(x.dtype) or not is_float(e.dtype) else elementwise.rint(e) for e in ends]
    first, last = (creation.cast(e, x.dtype) for e in ends)
    return shaping.concatenate([first, x, last], axis=axis)


def _ramp(x: Any, axis: int, width: int, falls: bool) -> Any:
    """From the edge of x to 0, which is the outermost element."""
    edge = _slab(x, axis, x.shape[axis] - 1 if falls else 0)
    share = linspace(0, 1, width, endpoint=False, dtype=as_dtype(None))
    share = shaping.reshape(share, (width, *[1] * (len(x.shape) - axis - 1)))
    share = getitem(share, slice(None, None, -1)) if falls else share
    ramp = arithmetic.multiply(edge, share)
    return ramp if is_float(x.dtype) else elementwise.trunc(ramp)


def _rule(x: Any, widths: tuple, mode: str) -> Spec:
    pairs = zip(x.shape, widths, strict=True)
    return Spec(tuple(None if n is None else n + a + b for n, (a, b) in pairs), as_dtype(x.dtype))


@composite(_rule)
def pad_from_itself(x: Any, widths: tuple, mode: str) -> Any:
    """x with a border of one of the MODES, as wide as one pair (before, after) an axis says."""
    for axis, (before, after) in enumerate(widths):
        if before or after:
            x = _extended(x, axis, before, after, mode)
    return x
