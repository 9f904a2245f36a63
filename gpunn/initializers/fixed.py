"""Initializers without chance: constants, the identity matrix, given values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.initializers.base import Initializer, known_shape


class Constant(Initializer):
    """w = value, a number or an array that broadcasts to the shape.

    >>> gpunn.initializers.Constant(0.5)(shape=(2, 3))
    """

    def __init__(self, value: Any = 0.0):
        self.value = value if isinstance(value, (bool, int, float)) else np.asarray(value)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        shape = known_shape(self, shape)
        values = np.asarray(self.value, as_dtype(dtype))
        try:
            full = np.broadcast_to(values, shape)
        except ValueError:
            raise ShapeError(
                f"Constant: the value does not broadcast to the weight (value {values.shape}, "
                f"weight {shape}). Give a number, or an array of the weight's shape."
            ) from None
        return Tensor(asarray(full.copy()))

    def get_config(self) -> dict[str, Any]:
        value = self.value
        return {"value": value.tolist() if isinstance(value, np.ndarray) else value}


class _Uniform(Initializer):
    """One number everywhere."""

    value: int

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return Tensor(asarray(np.full(known_shape(self, shape), self.value, as_dtype(dtype))))


class Zeros(_Uniform):
    """w = 0."""

    value = 0


class Ones(_Uniform):
    """w = 1."""

    value = 1


class Identity(Initializer):
    """w = gain · I, for a weight of shape (N, M): ones where row and column agree."""

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        shape = known_shape(self, shape)
        if len(shape) != 2:
            raise ShapeError(
                f"Identity: the weight must be a matrix (shape {shape}). Choose another "
                f"initializer, such as Orthogonal, for more axes."
            )
        return Tensor(asarray((self.gain * np.eye(*shape)).astype(as_dtype(dtype))))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class GivenValues(Initializer):
    """w = values, of exactly their shape: what `get` makes of an array or tensor."""

    def __init__(self, values: Any):
        self.values = np.asarray(values)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        shape = known_shape(self, shape)
        if shape != self.values.shape:
            raise ShapeError(
                f"The given values have shape {self.values.shape}, the weight {shape}. "
                f"They must agree."
            )
        return Tensor(asarray(self.values.astype(as_dtype(dtype))))

    def get_config(self) -> dict[str, Any]:
        return {"values": self.values.tolist()}
