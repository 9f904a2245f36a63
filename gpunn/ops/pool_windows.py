"""The windows of pooling, along three axes: where they lie, and strided views of their elements."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np


class Axis(NamedTuple):
    """Windows along an axis: i covers [⌊i·step/parts⌋ - before, ⌈(i·step + extent)/parts⌉ - before)
    without what lies outside of [0, n). Where parts is 1, they have one size and one stride.
    """

    n: int
    out: int  # how many windows
    step: int
    extent: int
    parts: int = 1
    before: int = 0

    def start(self, i: Any) -> Any:
        """The first position of window i, or of an array of them; it may lie outside."""
        return i * self.step // self.parts - self.before

    def end(self, i: Any) -> Any:
        """The position behind window i, or an array of them."""
        return -(-(i * self.step + self.extent) // self.parts) - self.before

    @property
    def width(self) -> int:
        """The size of the largest window, or a little more."""
        return (self.extent + 2 * self.parts - 2) // self.parts

    def views(self, offset: int) -> Iterator[tuple[slice, slice]]:
        """(some windows, their element at this offset), as slices with a step, for all windows.

        Every `parts`-th window starts `step` further. Left out: what lies outside of the image.
        """
        for i in range(min(self.parts, self.out)):
            at = self.start(i) + offset
            if at >= self.end(i):
                continue
            first = max(0, -(at // self.step))
            last = min((self.n - 1 - at) // self.step, (self.out - 1 - i) // self.parts)
            if first <= last:
                windows = slice(i + first * self.parts, i + last * self.parts + 1, self.parts)
                yield windows, slice(at + first * self.step, at + last * self.step + 1, self.step)


Axes = tuple[Axis, Axis, Axis]
_ALL = slice(None)


@lru_cache(maxsize=256)
def views_of(axes: Axes) -> list[list[tuple[tuple, tuple]]]:
    """For each offset in a window, in order: (index of pooled elements, index of what they read).

    The indices are of arrays (N, *three axes, C).
    """
    found = []
    for offset in product(*(range(a.width) for a in axes)):
        along = [list(a.views(j)) for a, j in zip(axes, offset, strict=True)]
        found.append(
            [
                ((_ALL, *(windows for windows, _ in views)), (_ALL, *(x for _, x in views)))
                for views in product(*along)
            ]
        )
    return found


@lru_cache(maxsize=256)
def elements_of(axes: Axes, dtype: Any) -> np.ndarray:
    """How many elements of the image each window has, to broadcast with the pooled images."""
    counts = np.ones((1, 1, 1, 1, 1), dtype)
    for d, axis in enumerate(axes):
        i = np.arange(axis.out)
        along = np.minimum(axis.end(i), axis.n) - np.maximum(axis.start(i), 0)
        counts = counts * along.astype(dtype).reshape(-1, *(1,) * (3 - d))
    return counts if counts.min() < counts.max() else counts.reshape(-1)[:1]


def are_disjoint(axes: Axes) -> bool:
    """Whether no two windows share an element."""
    return all(a.out == 1 or (a.parts == 1 and a.step >= a.extent) for a in axes)


def cover(axes: Axes) -> bool:
    """Whether disjoint windows leave no element of the image out."""
    return all(
        (a.out == 1 or a.step == a.extent) and a.start(0) <= 0 and a.end(a.out - 1) >= a.n
        for a in axes
    )
