"""Sequences of numbers: arange, linspace, logspace, geomspace. Made on the device, by kernels."""

from __future__ import annotations

from math import ceil, log
from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.autodiff.dtypes import as_dtype, is_float, to_float
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.ops import arithmetic, compare, creation, elementwise, shaping
from gpunn.ops.examples import unwritten
from gpunn.ops.rules import result_dtype

_NUMBERS = (int, float, bool, np.integer, np.floating)


def _count_examples(rng: np.random.Generator, dtype: str) -> Any:
    for n in (0, 1, 33):
        yield (unwritten((n,), dtype),), {"start": 3, "step": -2}


@kernel(examples=_count_examples, dtypes=(*FLOATS, "int32", "int64"))
def count_up(xp: Any, out: Array, start: float, step: float) -> None:
    """out_i = start + i · step"""
    exact = np.float64 if is_float(out.dtype) else np.int64
    xp.copyto(out, start + step * xp.arange(len(out), dtype=exact), casting="unsafe")


def _between_examples(rng: np.random.Generator, dtype: str) -> Any:
    for n, gaps in ((0, 1), (1, 1), (5, 4), (5, 5)):
        yield (unwritten((n,), dtype),), {"start": -2.0, "stop": 1.5, "gaps": gaps}


@kernel(examples=_between_examples, dtypes=(*FLOATS, "int32"))
def space_between(xp: Any, out: Array, start: float, stop: float, gaps: int) -> None:
    """out_i = (1 - t) · start + t · stop, t = i / gaps; rounded down to integers"""
    t = xp.arange(len(out), dtype=np.float64) / gaps
    value = (1 - t) * start + t * stop
    xp.copyto(out, value if is_float(out.dtype) else xp.floor(value), casting="unsafe")


def _new(n: int, dtype: Any) -> Array:
    return devices.current().empty((n,), as_dtype(dtype))


def _number(value: Any) -> Any:
    """A Python number of a number, an array of one element or a tensor, which is read."""
    return value.item() if hasattr(value, "item") else value


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """start, start + step, ... before stop; with one argument, from 0 to it.

    int32 of integers, floatx as soon as one of them is a float, unless `dtype` says otherwise.

    >>> gpunn.ops.arange(0, 10, 3)  # 0 3 6 9
    """
    first, stop = (0, start) if stop is None else (start, stop)
    first, stop, gap = (_number(v) for v in (first, stop, 1 if step is None else step))
    if gap == 0:
        raise ValueError("arange: step is 0. Give the distance of two numbers.")
    floating = any(isinstance(v, float) for v in (first, stop, gap))
    out = _new(max(0, ceil((stop - first) / gap)), dtype or (None if floating else "int32"))
    count_up(out, start=first, step=gap)
    return Tensor(out)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` evenly spaced numbers from start to stop, which is the last one if `endpoint`.

    y = (1 - t) · start + t · stop with t = i / (num - 1), or i / num without `endpoint`. Where
    start or stop is a tensor, the numbers lie along a new axis, at `axis`, and differentiate by
    both. Integers are rounded down. `retstep`: returns `(y, step)`.

    >>> gpunn.ops.linspace(0, 1, 5)
    """
    num = _count("linspace", num)
    gaps = num - 1 if endpoint else num
    if isinstance(start, _NUMBERS) and isinstance(stop, _NUMBERS):
        out = _new(num, dtype)
        space_between(out, start=float(start), stop=float(stop), gaps=max(gaps, 1))
        y, kind = Tensor(out), as_dtype(None)
    else:
        start, stop = creation.convert_to_tensor(start), creation.convert_to_tensor(stop)
        kind = to_float(result_dtype(start, stop))
        t = linspace(0, 1, num, endpoint, dtype=kind)
        y = (1 - t) * shaping.expand_dims(start, -1) + t * shaping.expand_dims(stop, -1)
        wanted = kind if dtype is None else as_dtype(dtype)
        y = creation.cast(y if is_float(wanted) else elementwise.floor(y), wanted)
        y = shaping.moveaxis(y, -1, axis)
    if not retstep:
        return y
    step = arithmetic.subtract(creation.cast(stop, kind), creation.cast(start, kind))
    return y, arithmetic.divide(step, gaps) if gaps > 0 else step * float("nan")


def _count(name: str, num: Any) -> int:
    num = _number(num)
    if not is_whole(num, 0):
        raise ValueError(f"{name}: num must be an integer that is not negative, received {num!r}.")
    return int(num)


def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """y = base^x for the `linspace` x from start to stop.

    >>> gpunn.ops.logspace(0, 3, 4)  # 1 10 100 1000
    """
    exponents = linspace(start, stop, num, endpoint, dtype=_inner(start, stop), axis=axis)
    return _finished(arithmetic.power(float(base), exponents), start, stop, dtype)


def geomspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` numbers from start to stop of which each is the same multiple of the one before.

    y = start · |stop / start|^t; start and stop have the same sign, and neither is 0.

    >>> gpunn.ops.geomspace(1, 8, 4)  # 1 2 4 8
    """
    inner = _inner(start, stop)
    if isinstance(start, _NUMBERS) and isinstance(stop, _NUMBERS):
        if start * stop <= 0:
            raise ValueError(
                f"geomspace: start and stop must have the same sign and not be 0, received "
                f"{start} and {stop}."
            )
        logs: Any = [log(abs(float(v))) for v in (start, stop)]
        sign: Any = 1.0 if start > 0 else -1.0
    else:
        ends = [creation.cast(v, inner) for v in (start, stop)]
        logs = [elementwise.log_(elementwise.abs_(v)) for v in ends]
        towards = elementwise.sign(arithmetic.add(ends[0], arithmetic.multiply(ends[1], 0)))
        sign = shaping.expand_dims(towards, axis)
    first, last = logs
    y = elementwise.exp(linspace(first, last, num, endpoint, dtype=inner, axis=axis))
    return _finished(arithmetic.multiply(y, sign), start, stop, dtype)


def _inner(start: Any, stop: Any) -> np.dtype:
    """The dtype of the exponents: float64 of numbers, which are exact enough for integers."""
    if isinstance(start, _NUMBERS) and isinstance(stop, _NUMBERS):
        return as_dtype("float64")
    return _kind(start, stop)


def _kind(start: Any, stop: Any) -> np.dtype:
    return to_float(result_dtype(*(creation.convert_to_tensor(v) for v in (start, stop))))


def _finished(y: Any, start: Any, stop: Any, dtype: Any) -> Any:
    """In the dtype of the result; what is an integer but for rounding becomes it."""
    kind = as_dtype(dtype) if dtype is not None else _kind(start, stop)
    if not is_float(kind):
        nearest = elementwise.rint(y)
        close = compare.less_equal(elementwise.abs_(y - nearest), 1e-6 * elementwise.abs_(y))
        y = compare.where(close, nearest, y)
    return creation.cast(y, kind)
