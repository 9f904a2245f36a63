"""InputSpec: what a layer accepts, checked before it computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.errors import ShapeError


class InputSpec:
    """Rank and lengths that an input must have.

    `ndim`: the exact rank; `min_ndim`, `max_ndim`: its bounds; `axes`: length by axis.

    >>> InputSpec(min_ndim=2, axes={-1: 64})
    """

    def __init__(
        self,
        ndim: int | None = None,
        min_ndim: int | None = None,
        max_ndim: int | None = None,
        axes: Mapping[int, int] | None = None,
    ):
        self.ndim, self.min_ndim, self.max_ndim = ndim, min_ndim, max_ndim
        self.axes = dict(axes or {})

    def check(self, shape: SymbolicShape, layer_name: str) -> None:
        """Raise a ShapeError if `shape` does not fit."""
        problem = self._problem(shape)
        if problem:
            raise ShapeError(
                f"Input of layer '{layer_name}' is incompatible with the layer: {problem}. "
                f"Full shape received: {tuple(shape)}."
            )

    def _problem(self, shape: SymbolicShape) -> str | None:
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            return f"expected ndim={self.ndim}, found ndim={rank}"
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"expected min_ndim={self.min_ndim}, found ndim={rank}"
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"expected max_ndim={self.max_ndim}, found ndim={rank}"
        for axis, length in self.axes.items():
            if shape[axis] not in (length, None):
                return f"expected axis {axis} to have length {length}, found {shape[axis]}"
        return None

    def __repr__(self) -> str:
        given = {k: v for k, v in vars(self).items() if v}
        return f"InputSpec({', '.join(f'{k}={v}' for k, v in given.items())})"

    def __eq__(self, other: Any) -> bool:
        return type(other) is InputSpec and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]
