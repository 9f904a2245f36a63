"""Checks of plain arguments: numbers, True or False, functions, shapes."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from numbers import Integral, Real
from typing import Any

from gpunn.errors import ShapeError


def is_whole(value: Any, least: float = -inf) -> bool:
    """Whether a value is a whole number of at least `least`; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: Any) -> bool:
    """Whether a value is a real number, of Python or of NumPy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """The value as an int, if it is a whole number of at least `least`."""
    if not is_whole(value, least):
        kind = "a positive integer" if least == 1 else f"an integer of at least {least}"
        raise ValueError(f"{name} must be {kind}, received {value!r}.")
    return int(value)


def true_or_false(name: str, value: Any) -> bool:
    """The value as a bool, if it is Python's or NumPy's: "no" would count as true."""
    if type(value).__name__ not in ("bool", "bool_"):  # NumPy's, which is not imported for this
        raise ValueError(f"{name} must be True or False, received {value!r}.")
    return bool(value)


def real_number(name: str, value: Any) -> float:
    """The value, if it is a number and not True or False."""
    if not is_number(value):
        raise ValueError(f"{name} must be a number, received {value!r}.")
    return value


def function_of(name: str, value: Any) -> Any:
    """The value, if it can be called."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, received {value!r}.")
    return value


def as_tuple(value: Any) -> tuple:
    """The elements of an iterable, but a number or string on its own as a tuple of one."""
    is_many = isinstance(value, Iterable) and not isinstance(value, (str, bytes))
    return tuple(value) if is_many and getattr(value, "ndim", True) else (value,)


def as_shape(name: str, shape: Any, unknown: bool = False, least: int = 0) -> tuple:
    """A shape as a tuple of ints; a number is the length of one axis.

    `unknown`: lengths may be None. `least`: the lowest length, -1 where that stands for the rest.
    """
    lengths = as_tuple(shape)
    whole = [hasattr(n, "__index__") or (n is None and unknown) for n in lengths]
    if shape is None or not all(whole):
        raise TypeError(
            f"{name}: a shape is an integer or a tuple of integers, received {shape!r}."
        )
    lengths = tuple([None if n is None else n.__index__() for n in lengths])
    if any(n is not None and n < least for n in lengths):
        raise ShapeError(f"{name}: a length cannot be below {least}, received the shape {lengths}.")
    return lengths
