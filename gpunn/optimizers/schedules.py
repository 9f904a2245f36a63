"""Learning-rate schedules: functions of the number of updates made so far.

A user's own schedule is a `LearningRateSchedule` whose `__call__(step)` returns a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, floor, pi
from typing import Any

from gpunn.objects import Configurable


class LearningRateSchedule(Configurable):
    """Base of the schedules: override `__call__(step)` and `get_config()`.

    >>> class Warmup(gpunn.optimizers.schedules.LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 1e-3 * min(1.0, (step + 1) / 100)
    """

    def __call__(self, step: int) -> float:
        raise NotImplementedError(f"{type(self).__name__} must override __call__(step).")


class _Simple(LearningRateSchedule):
    """A schedule whose config is its attributes."""

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))


class _RateDecay(_Simple):
    """A decay by step / decay_steps; with `staircase`, the quotient is rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str | None = None,
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name or type(self).__name__

    def _decays(self, step: int) -> float:
        quotient = step / self.decay_steps
        return floor(quotient) if self.staircase else quotient


class ExponentialDecay(_RateDecay):
    """η = η₀ · r^(step / decay_steps); with `staircase`, the exponent is rounded down."""

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate * self.decay_rate ** self._decays(step)


class InverseTimeDecay(_RateDecay):
    """η = η₀ / (1 + r · step / decay_steps); with `staircase`, the quotient is rounded down."""

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self._decays(step))


class PiecewiseConstantDecay(_Simple):
    """values[i] while step <= boundaries[i], the last value afterwards."""

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ):
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                f"PiecewiseConstantDecay: {len(boundaries)} boundaries need "
                f"{len(boundaries) + 1} values, received {len(values)}."
            )
        self.boundaries = list(boundaries)
        self.values = list(values)
        self.name = name

    def __call__(self, step: int) -> float:
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            if step <= boundary:
                return value
        return self.values[-1]


class PolynomialDecay(_Simple):
    """η = (η₀ - η₁) (1 - step / decay_steps)^power + η₁, constant (or `cycle`) afterwards."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: int) -> float:
        length = self.decay_steps
        if self.cycle:
            length *= max(1, -(-step // length))
        left = 1 - min(step, length) / length
        span = self.initial_learning_rate - self.end_learning_rate
        return span * left**self.power + self.end_learning_rate


class CosineDecay(_Simple):
    """Linear warm-up to `warmup_target`, then half a cosine down to alpha times it.

    arXiv:1608.03983. Without `warmup_target` the decay starts from `initial_learning_rate`.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: int) -> float:
        start = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                span = self.warmup_target - start
                return start + span * step / self.warmup_steps
            start, step = self.warmup_target, step - self.warmup_steps
        progress = min(step, self.decay_steps) / self.decay_steps
        cosine = 0.5 * (1 + cos(pi * progress))
        return start * ((1 - self.alpha) * cosine + self.alpha)


def deserialize(config: dict[str, Any]) -> LearningRateSchedule:
    """A schedule from ``{"class_name": ..., "config": ...}``."""
    from gpunn.objects import by_names, lookup

    table = by_names(
        ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay
    )
    return lookup("learning rate schedule", config, table)


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """The description of a schedule that `deserialize` takes."""
    return {"class_name": type(schedule).__name__, "config": schedule.get_config()}
