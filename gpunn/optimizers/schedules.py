"""Learning-rate schedules: functions of the number of updates made so far.

A user's own schedule is a `LearningRateSchedule` whose `__call__(step)` returns a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from math import ceil, cos, floor, pi
from typing import Any

from gpunn import objects
from gpunn.arguments import is_number
from gpunn.objects import Configurable, CustomObjectScope, by_names, lookup


class LearningRateSchedule(Configurable):
    """Base of the schedules: override `__call__(step)`, and `get_config()` if it is to be saved.

    `step`: a scalar int32 tensor, the number of calls of the optimizer so far; the result is a
    number or a scalar tensor.

    >>> class Warmup(gpunn.optimizers.schedules.LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 1e-3 * gpunn.ops.minimum(1.0, (step + 1) / 100)
    """

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must override __call__(step).")

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(
            f"{type(self).__name__} must override get_config() in order to be saved."
        )


class Formula(LearningRateSchedule):
    """A schedule computed on the host: ``schedule(step)`` takes any number and gives a float."""

    def __call__(self, step: Any) -> float:
        return self.at(float(step))

    def at(self, step: float) -> float:
        """The learning rate after so many steps."""
        raise NotImplementedError(f"{type(self).__name__} must override at(step).")

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))

    def _need_steps(self, key: str) -> None:
        value = getattr(self, key)
        if not is_number(value) or not value > 0:
            raise ValueError(f"{type(self).__name__}: {key} must be positive, received {value!r}.")


class _RateDecay(Formula):
    """A decay by step / decay_steps; with `staircase`, the quotient is rounded down."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool,
        name: str,
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name
        self._need_steps("decay_steps")

    def _decays(self, step: float) -> float:
        quotient = step / self.decay_steps
        return floor(quotient) if self.staircase else quotient


class ExponentialDecay(_RateDecay):
    """η = η₀ · r^(step / decay_steps); with `staircase`, the exponent is rounded down.

    >>> gpunn.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1000, decay_rate=0.9)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ):
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def at(self, step: float) -> float:
        return self.initial_learning_rate * self.decay_rate ** self._decays(step)


class InverseTimeDecay(_RateDecay):
    """η = η₀ / (1 + r · step / decay_steps); with `staircase`, the quotient is rounded down.

    >>> gpunn.optimizers.schedules.InverseTimeDecay(0.1, decay_steps=1000, decay_rate=0.5)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ):
        super().__init__(initial_learning_rate, decay_steps, decay_rate, staircase, name)

    def at(self, step: float) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self._decays(step))


class PiecewiseConstantDecay(Formula):
    """values[i] while step <= boundaries[i], the last value afterwards.

    >>> gpunn.optimizers.schedules.PiecewiseConstantDecay([100, 200], [0.1, 0.05, 0.01])
    """

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

    def at(self, step: float) -> float:
        for boundary, value in zip(self.boundaries, self.values, strict=False):
            if step <= boundary:
                return value
        return self.values[-1]


class PolynomialDecay(Formula):
    """η = (η₀ - η₁) (1 - step / decay_steps)^power + η₁, constant (or `cycle`) afterwards.

    >>> gpunn.optimizers.schedules.PolynomialDecay(0.1, decay_steps=1000, power=2.0)
    """

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
        self._need_steps("decay_steps")

    def at(self, step: float) -> float:
        length = self.decay_steps
        if self.cycle:
            length *= max(1, ceil(step / length))
        left = 1 - min(step, length) / length
        span = self.initial_learning_rate - self.end_learning_rate
        return span * left**self.power + self.end_learning_rate


class CosineDecay(Formula):
    """Linear warm-up to `warmup_target`, then half a cosine down to alpha times it.

    arXiv:1608.03983. Without `warmup_target` the decay starts from `initial_learning_rate`.

    >>> gpunn.optimizers.schedules.CosineDecay(0.0, 1000, warmup_target=0.1, warmup_steps=100)
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
        self._need_steps("decay_steps")

    def at(self, step: float) -> float:
        start = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                span = self.warmup_target - start
                return start + span * step / self.warmup_steps
            start, step = self.warmup_target, step - self.warmup_steps
        progress = min(step, self.decay_steps) / self.decay_steps
        return start * _cosine(progress, 1.0, self.alpha)


class CosineDecayRestarts(Formula):
    """Half a cosine down to alpha, again and again: each period `t_mul` times as long as the one
    before, and starting `m_mul` times as high.

    SGDR, arXiv:1608.03983. The first period has `first_decay_steps` steps.

    >>> gpunn.optimizers.schedules.CosineDecayRestarts(0.1, first_decay_steps=1000)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name
        self._need_steps("first_decay_steps")
        if not t_mul >= 1:
            raise ValueError(f"CosineDecayRestarts: t_mul must be at least 1, received {t_mul!r}.")

    def at(self, step: float) -> float:
        length, height = float(self.first_decay_steps), 1.0
        if self.t_mul == 1:
            restarts, step = divmod(step, length)
            height = self.m_mul**restarts
        while step >= length:
            step, length, height = step - length, length * self.t_mul, height * self.m_mul
        return self.initial_learning_rate * _cosine(step / length, height, self.alpha)


def _cosine(progress: float, height: float, alpha: float) -> float:
    """h (1 + cos πp) / 2, from h to 0, on top of alpha"""
    return (1 - alpha) * height * 0.5 * (1 + cos(pi * progress)) + alpha


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """``{"class_name": ..., "config": ...}`` of a schedule."""
    return objects.serialize(learning_rate_schedule)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> LearningRateSchedule:
    """A schedule from ``{"class_name": ..., "config": ...}``; `custom_objects` adds classes."""
    table = by_names(
        ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay,
        CosineDecayRestarts,
    )  # fmt: skip
    with CustomObjectScope(custom_objects) if custom_objects else nullcontext():
        return lookup("learning rate schedule", config, table)
