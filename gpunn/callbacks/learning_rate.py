"""Learning rates that change between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.arguments import function_of, real_number
from gpunn.autodiff.variable import Variable
from gpunn.callbacks.callback import Callback, Logs
from gpunn.callbacks.monitor import MonitorCallback
from gpunn.utils.messages import tell


def _rate(optimizer: Any) -> float:
    return float(optimizer.learning_rate)


def _set_rate(optimizer: Any, rate: float, callback: Callback) -> None:
    if not isinstance(optimizer.learning_rate, Variable):
        raise TypeError(
            f"{type(callback).__name__} cannot set the learning rate of '{optimizer.name}', which "
            f"follows a schedule or function. Make the optimizer with a number."
        )
    optimizer.learning_rate = rate


class LearningRateScheduler(Callback):
    """η = schedule(epoch, η), or schedule(epoch), before each epoch; it must be a float.

    The learning rate stands in the logs as "learning_rate".

    >>> halve = lambda epoch, rate: rate / 2 if epoch >= 10 else rate
    >>> model.fit(x, y, epochs=15, callbacks=[gpunn.callbacks.LearningRateScheduler(halve)])
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0):
        super().__init__()
        self.schedule = function_of("LearningRateScheduler: schedule", schedule)
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        old = (_rate(optimizer),) if _takes_two(self.schedule) else ()
        rate = self.schedule(epoch, *old)
        if not isinstance(rate, (float, np.floating)):
            raise ValueError(
                f"LearningRateScheduler: the schedule must return a float, received {rate!r} "
                f"for epoch {epoch}."
            )
        _set_rate(optimizer, float(rate), self)
        if self.verbose:
            tell(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = _rate(self.model.optimizer)


def _takes_two(schedule: Callable[..., Any]) -> bool:
    """Whether a schedule takes the learning rate beside the epoch."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    return True


class ReduceLROnPlateau(MonitorCallback):
    """η = max(η · factor, min_lr) once `monitor` has not got better for `patience` epochs.

    `min_delta`: a change below it is none. `cooldown`: epochs after a reduction that do not count.
    Each `fit` starts afresh. The learning rate stands in the logs as "learning_rate".

    >>> model.fit(x, y, validation_split=0.2, epochs=50, callbacks=[
    ...     gpunn.callbacks.ReduceLROnPlateau(factor=0.2, patience=5, min_lr=1e-4)])
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        if real_number("ReduceLROnPlateau: factor", factor) >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, received {factor}.")
        self.factor = factor
        self.min_lr = min_lr
        self.patience = real_number("ReduceLROnPlateau: patience", patience)
        self.verbose = verbose
        self.cooldown = real_number("ReduceLROnPlateau: cooldown", cooldown)
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.cooldown_counter: float = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def in_cooldown(self) -> bool:
        """Whether a reduction was made a short while ago."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._set_monitor_op()
        logs = {} if logs is None else logs
        logs["learning_rate"] = _rate(self.model.optimizer)
        current = logs.get(self.monitor)
        if current is None:
            self._missing("reducing the learning rate", logs)
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch: int) -> bool:
        """Lower the learning rate, if it is above `min_lr`."""
        old = _rate(self.model.optimizer)
        if not old > np.float32(self.min_lr):
            return False
        rate = max(old * self.factor, self.min_lr)
        _set_rate(self.model.optimizer, rate, self)
        if self.verbose:
            tell(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate}.")
        return True
