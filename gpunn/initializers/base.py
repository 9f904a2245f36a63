"""Initializer: makes the first values of a weight from its shape and dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.objects import Configurable


class Initializer(Configurable):
    """Makes the first values of a weight: ``initializer(shape, dtype) -> Tensor``.

    A class of your own overrides `__call__`, and `get_config` if it has arguments. Values are made
    on the host and then put on the current device, so that both backends get the same bits.

    >>> class Diagonal(gpunn.initializers.Initializer):
    ...     def __call__(self, shape, dtype=None):
    ...         return gpunn.ops.eye(*shape, dtype=dtype)
    """

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        """The values of a weight of this shape; dtype None is floatx."""
        raise NotImplementedError(
            f"{type(self).__name__} does not say what its values are. "
            f"Override __call__(self, shape, dtype=None)."
        )

    def clone(self) -> Initializer:
        """A new initializer with this one's config; without a seed, it draws its own."""
        return type(self).from_config(self.get_config())


def known_shape(initializer: Initializer, shape: int | Sequence[int]) -> tuple[int, ...]:
    """The shape as a tuple; a length that is not known raises."""
    lengths = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(n is None or n < 0 for n in lengths):
        raise ShapeError(
            f"{type(initializer).__name__}: every length of a weight must be known "
            f"(shape {lengths}). Give the layer an input with fixed lengths."
        )
    return lengths
