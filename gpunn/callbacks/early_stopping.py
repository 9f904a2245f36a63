"""EarlyStopping: enough is enough."""

from __future__ import annotations

from typing import Any

from gpunn.arguments import real_number
from gpunn.callbacks.callback import Logs
from gpunn.callbacks.monitor import MonitorCallback
from gpunn.utils.messages import tell


class EarlyStopping(MonitorCallback):
    """Stops training once the monitored value has not got better for `patience` epochs.

    `min_delta`: a change below it is none. `baseline`: the wait begins anew only with values better
    than it, too. `restore_best_weights`: take the weights of the best epoch at the end of training.
    `start_from_epoch`: epochs before it do not count. Each `fit` starts afresh.

    Afterwards: `stopped_epoch` (0 if it did not stop), `best`, `best_epoch`, `wait`.

    >>> model.fit(x, y, epochs=100, validation_split=0.2, callbacks=[
    ...     gpunn.callbacks.EarlyStopping(patience=5, restore_best_weights=True)])
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = real_number("EarlyStopping: patience", patience)
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = real_number("EarlyStopping: start_from_epoch", start_from_epoch)
        self._reset()

    def _reset(self) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._set_monitor_op()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            tell(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                tell(
                    f"Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs | None) -> Any:
        """The monitored value; None, with a warning, if it is not in the logs."""
        logs = logs or {}
        if self.monitor not in logs:
            self._missing("early stopping", logs)
        return logs.get(self.monitor)
