"""RowGradient: the gradient of a table of which few rows were read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.backend.protocol import Array


class RowGradient:
    """A gradient that is zero but for the rows ``rows[:count]``, where it is ``sums[:count]``.

    `rows` (n,) int32, ascending, -1 from `count` on; `sums` (n, width); `count` (1,) int32: its
    value stays on the device, and n does not depend on it. `dense` gives the whole gradient.
    """

    __slots__ = ("count", "dense", "rows", "sums")

    def __init__(self, rows: Array, sums: Array, count: Array, dense: Callable[[], Array]):
        self.rows, self.sums, self.count, self.dense = rows, sums, count, dense


def densely(gradient: Any) -> Array:
    """A gradient as an array, whatever it was."""
    return gradient.dense() if type(gradient) is RowGradient else gradient
