"""How the factors of random layers are written: a number, or a pair (lowest, highest)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Range = tuple[float, float]


def _refuse(kind: str, name: str, factor: Any, bounds: str) -> ValueError:
    return ValueError(
        f"{kind}: {name} must be a number, or a pair of numbers, in the range {bounds}; received "
        f"{factor!r}."
    )


def _pair(kind: str, name: str, factor: Any, bounds: str) -> Range | None:
    """The pair, sorted; None for a number."""
    values = factor if isinstance(factor, (list, tuple)) else (factor,)
    if not all(isinstance(v, (int, float, np.integer, np.floating)) for v in values):
        raise _refuse(kind, name, factor, bounds)
    if values is not factor:
        return None
    if len(values) != 2:
        raise _refuse(kind, name, factor, bounds)
    return min(values), max(values)


def overlapping(kind: str, factor: Any, low: float, high: float, name: str = "factor") -> Range:
    """A number within the bounds: from -number (or `low`) to number; or a pair that overlaps them.

    A pair may reach beyond the bounds, as in Keras.
    """
    bounds = f"[{low}, {high}]"
    pair = _pair(kind, name, factor, bounds)
    if pair is None:
        if not low <= factor <= high:
            raise _refuse(kind, name, factor, bounds)
        return max(-abs(factor), low), abs(factor)
    if factor[0] > high or factor[1] < low:
        raise _refuse(kind, name, factor, bounds)
    return pair


def within(kind: str, name: str, factor: Any, fits: Callable[[float], bool], bounds: str) -> Range:
    """A number: from -number to number; or a pair; both within the bounds."""
    pair = _pair(kind, name, factor, bounds)
    values = (factor,) if pair is None else pair
    if not all(map(fits, values)):
        raise _refuse(kind, name, factor, bounds)
    return (-abs(factor), abs(factor)) if pair is None else pair
