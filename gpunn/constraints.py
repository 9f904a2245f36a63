"""Constraints: where a weight is put back to after each update, as in `keras.constraints`.

Norms ‖w‖ = √Σw² are taken over `axis` (one or several axes), so with 0 each column of a Dense
kernel (inputs, units) has its own; (0, 1, 2) does the same for the kernel of a Conv2D layer.
ε is `gpunn.config.epsilon()`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn import config as _config
from gpunn import objects as _objects
from gpunn import ops

Axis = int | Sequence[int]


class Constraint(_objects.Configurable):
    """Maps a weight to an allowed one; this one allows all. Override `__call__`.

    >>> class Clipped(gpunn.constraints.Constraint):
    ...     def __call__(self, w):
    ...         return gpunn.ops.clip(w, -1.0, 1.0)
    """

    def __call__(self, w: Any) -> Any:
        """The allowed weight for w, of its shape and dtype."""
        return w


def _norm(w: Any, axis: Axis) -> Any:
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


def _rescale(w: Any, desired: Any, norm: Any) -> Any:
    """w · desired / (ε + ‖w‖)"""
    return ops.multiply(w, ops.divide(desired, ops.add(norm, _config.epsilon())))


class MaxNorm(Constraint):
    """w · min(‖w‖, max_value) / (ε + ‖w‖).

    >>> layer = gpunn.layers.Dense(4, kernel_constraint=gpunn.constraints.MaxNorm(2.0))
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0):
        if not max_value >= 0:
            raise ValueError(f"MaxNorm: max_value must not be negative, received {max_value!r}.")
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        norm = _norm(w, self.axis)
        return _rescale(w, ops.clip(norm, 0, self.max_value), norm)

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class NonNeg(Constraint):
    """max(w, 0)"""

    def __call__(self, w: Any) -> Any:
        return ops.maximum(w, 0)


class UnitNorm(Constraint):
    """w / (ε + ‖w‖)"""

    def __init__(self, axis: Axis = 0):
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return ops.divide(w, ops.add(_norm(w, self.axis), _config.epsilon()))

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


class MinMaxNorm(Constraint):
    """w · (rate · min(max(‖w‖, min_value), max_value) + (1 - rate) · ‖w‖) / (ε + ‖w‖).

    A rate of 1 enforces the bounds at once, a smaller one step by step.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis = 0,
    ):
        if not 0 <= min_value <= max_value:
            raise ValueError(
                f"MinMaxNorm: 0 <= min_value <= max_value must hold, received "
                f"min_value={min_value!r}, max_value={max_value!r}."
            )
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        norm = _norm(w, self.axis)
        bounded = ops.clip(norm, self.min_value, self.max_value)
        desired = ops.add(ops.multiply(bounded, self.rate), ops.multiply(norm, 1 - self.rate))
        return _rescale(w, desired, norm)

    def get_config(self) -> dict[str, Any]:
        names = ("min_value", "max_value", "rate", "axis")
        return {name: getattr(self, name) for name in names}


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

_TABLE = _objects.by_names(Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm)


def get(identifier: Any) -> Any:
    """The constraint that a name, config, class or callable `w -> w` stands for; None stays None.

    >>> gpunn.constraints.get("non_neg")
    """
    return _objects.lookup("constraint", identifier, _TABLE)


def serialize(constraint: Any) -> Any:
    """A plain description of a constraint, which `deserialize` takes."""
    return _objects.serialize(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The constraint of a config or name; `custom_objects` adds names of your own."""
    return _objects.lookup("constraint", config, {**_TABLE, **(custom_objects or {})})
