"""LearningRate: a number, a schedule or a function, and the variable that updates read."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.backend.recorder import before_replays
from gpunn.backend.transfer import copy_into, fill
from gpunn.ops import update_counts
from gpunn.optimizers import schedules

_AHEAD = 64  # learning rates that a device is told at a time, where it skips updates by itself


class LearningRate:
    """`variable` float32 (): what updates read. `given`: a number's was put there; a schedule or a
    function is asked by the host before each update, also before each replay of a recorded one.

    A schedule counts on the host. Where the device decides which updates are made (`skips`), it
    picks from a table of the next ones, by its own count.
    """

    def __init__(self, given: Any, iterations: Variable):
        self.iterations = iterations
        self.given = checked(given)
        self.variable = Variable(
            0.0 if callable(self.given) else self.given,
            dtype="float32",
            trainable=False,
            name="learning_rate",
        )
        self.skips = False
        self._made = 0  # calls of the optimizer
        self._counted_since: int | None = None  # the count of assignments to the iteration
        self._table = asarray(np.zeros(_AHEAD), "float32", self.variable.data)
        self._start = asarray(0, "int32", self.variable.data)  # the count of the table's first rate
        self._left = 0  # rates of the table that may still be picked

    @property
    def is_schedule(self) -> bool:
        return isinstance(self.given, schedules.LearningRateSchedule)

    def now(self) -> Any:
        """The rate of the next update: the variable, or what the schedule or function says."""
        if not callable(self.given):
            return self.variable
        if not self.is_schedule:
            return self.given()
        self._count()
        return self._at(int(self.iterations) if self.skips else self._made)

    def change(self, rate: Any) -> None:
        """Take another number, schedule or function."""
        rate = checked(rate)
        if self.is_schedule and not callable(rate):
            raise TypeError(
                "The learning rate follows a LearningRateSchedule, so it cannot be set to a "
                "number. Make the optimizer with a number, or set another schedule."
            )
        self.given, self._counted_since = rate, None
        if not callable(rate):
            self.variable.assign(rate)

    def prepare(self) -> None:
        """Put the rate of this update into the variable."""
        if self.is_schedule and self.skips:
            before_replays(self._look_ahead)
            update_counts.pick_rate(
                self._table, self.iterations.data, self._start, self.variable.data
            )
        elif callable(self.given):
            before_replays(self._refresh)

    def _count(self) -> None:
        """Know how many calls were made; from the device only where somebody assigned that."""
        if self._counted_since != self.iterations.assignments:
            self._made, self._counted_since = int(self.iterations), self.iterations.assignments
            self._left = 0

    def _at(self, step: int) -> Any:
        rate = self.given
        if isinstance(rate, schedules.Formula):
            return rate(step)
        with no_grad(), np.errstate(all="ignore"):  # 1 / √0 of a schedule that starts at step 0
            return rate(Tensor(asarray(step, "int32", self.variable.data)))

    def _refresh(self) -> None:
        fill(self.variable.data, value=float(self.now()))
        self._made += 1

    def _look_ahead(self) -> None:
        self._count()
        if self._left == 0:
            first, data = int(self.iterations), self.variable.data
            rates = [float(self._at(first + i)) for i in range(_AHEAD)]
            copy_into(asarray(rates, "float32", data), self._table)
            fill(self._start, value=first)
            self._left = _AHEAD
        self._left -= 1


def checked(rate: Any) -> Any:
    """A learning rate as it was given, or an error that says what one is."""
    if isinstance(rate, dict):
        return schedules.deserialize(rate)
    if callable(rate):
        return rate
    number = None
    if not isinstance(rate, str):  # float("0.1") would do
        with contextlib.suppress(TypeError, ValueError):
            number = float(rate)
    if number is None:
        raise ValueError(
            f"learning_rate must be a number, a LearningRateSchedule or a function without "
            f"arguments, received {rate!r}."
        )
    if not number >= 0:
        raise ValueError(f"learning_rate must not be negative, received {number}.")
    return number
