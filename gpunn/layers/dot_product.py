"""The inner products of two tensors."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.errors import ShapeError
from gpunn.layers.merging import Merge


class Dot(Merge):
    """The inner products of two tensors along an axis of each: Σ_k x[..., k, ...] y[..., k, ...].

    x (N, ...), y (N, ...) give the remaining axes of x, then those of y: with axes=(1, 2),
    (N, K, A) and (N, B, K) give (N, A, B).
    `normalize`: of vectors of length 1, which gives cosines.

    >>> gpunn.layers.Dot(axes=1)([x, y])  # (N, K), (N, K) -> (N, 1)
    """

    count = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(pair) != 2 or not all(isinstance(a, int) for a in pair):
            raise ValueError(
                f"Dot: axes must be an integer, or two of them (one for each input), received "
                f"{axes!r}."
            )
        if 0 in pair:
            raise ValueError(
                f"Dot: axis 0 is the batch, which stays (axes {axes!r}). Choose other axes."
            )
        self.axes = axes
        self.normalize = normalize
        self._pair = pair

    def _along(self, shapes: list[SymbolicShape]) -> tuple[int, int]:
        """The two axes, non-negative."""
        axes = []
        for axis, shape in zip(self._pair, shapes, strict=True):
            if not -len(shape) < axis < len(shape):
                raise ShapeError(
                    f"Dot '{self.name}': axis {axis} is not one of 1 to {len(shape) - 1} (shapes "
                    f"{shapes}, axes {self.axes})."
                )
            axes.append(axis % len(shape))
        return axes[0], axes[1]

    def _check_shapes(self, shapes: list[SymbolicShape]) -> None:
        a, b = self._along(shapes)
        lengths = {shapes[0][a], shapes[1][b]} - {None}
        if len(lengths) > 1:
            raise ShapeError(
                f"Dot '{self.name}': the lengths {shapes[0][a]} and {shapes[1][b]} of the axes "
                f"{self.axes} differ (shapes {shapes}). Choose axes of one length."
            )

    def call(self, inputs: Any) -> Any:
        a, b = self._along(self._checked_inputs(inputs))
        x, y = inputs
        if self.normalize:
            x, y = ops.normalize(x, axis=a), ops.normalize(y, axis=b)
        if len(x.shape) == len(y.shape) == 2:
            return ops.sum(ops.multiply(x, y), axis=1, keepdims=True)
        x, y = ops.moveaxis(x, a, -1), ops.moveaxis(y, b, 1)
        rows, columns = tuple(x.shape[1:-1]), tuple(y.shape[2:])
        z = ops.matmul(_as_matrices(x, 1, -1), _as_matrices(y, 2, None))
        if len(rows) == len(columns) == 1:
            return z
        return ops.reshape(z, (z.shape[0], *rows, *columns))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def _as_matrices(x: Any, first: int, last: int | None) -> Any:
    """x with the axes from `first` to `last` as one."""
    merged = x.shape[first:last]
    if len(merged) == 1:
        return x
    size = -1 if None in merged else prod(merged)
    end = () if last is None else x.shape[last:]
    return ops.reshape(x, (*x.shape[:first], size, *end))


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """The inner products of two inputs: `Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
