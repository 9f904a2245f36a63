"""ModelCheckpoint: the model, or its weights, in a file now and then."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.callbacks.callback import Logs
from gpunn.callbacks.monitor import MonitorCallback
from gpunn.tracebacks import warn_user
from gpunn.utils.messages import tell


class EveryBatches:
    """Says after which batches something is due: once every `frequency` of them."""

    def __init__(self, frequency: int):
        self.frequency = frequency
        self._since = 0
        self._last = -1

    def due(self, batch: int) -> bool:
        """Whether it is due after this batch; batches count from 0 in each epoch."""
        self._since += batch + 1 if batch <= self._last else batch - self._last
        self._last = batch
        if self._since < self.frequency:
            return False
        self._since = 0
        return True


def check_frequency(callback: str, save_freq: Any) -> EveryBatches | None:
    """The batches of an integer `save_freq`; None of "epoch"."""
    if save_freq == "epoch":
        return None
    if not is_whole(save_freq, 1):
        raise ValueError(
            f"{callback}: save_freq must be 'epoch' or a positive integer, received {save_freq!r}."
        )
    return EveryBatches(int(save_freq))


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or with `save_weights_only` its weights, to `filepath`.

    `filepath` may hold the epoch and the logs, ``"{epoch:02d}-{val_loss:.2f}.keras"``; it ends in
    ".keras", or ".weights.h5" for weights. `save_freq`: "epoch", or a number of batches.
    `save_best_only`: save only if `monitor` got better than ever, in this fit and those before it,
    and than `initial_value_threshold`. `best` is its best value.

    >>> model.fit(x, y, validation_split=0.2, callbacks=[
    ...     gpunn.callbacks.ModelCheckpoint("best.weights.h5", save_best_only=True,
    ...                                     save_weights_only=True)])
    """

    reads_metrics_itself = True  # only when it saves, not after each batch

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ):
        super().__init__(monitor, mode, initial_value_threshold)
        self.verbose = verbose
        self.filepath = os.fspath(filepath)
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._batches = check_frequency("ModelCheckpoint", save_freq)
        self._current_epoch = 0
        endings = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            what = "weights" if save_weights_only else "a model"
            raise ValueError(
                f"ModelCheckpoint: the filepath of {what} must end in {' or '.join(endings)}, "
                f"received {self.filepath!r}."
            )

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        method = "save_weights" if self.save_weights_only else "save"
        if not hasattr(model, method):
            raise NotImplementedError(
                f"ModelCheckpoint needs {type(model).__name__}.{method}(filepath, overwrite=True), "
                f"which this model does not have. Write that method, or use BackupAndRestore."
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._batches is not None and self._batches.due(batch):
            self._set_monitor_op_if_needed()
            logs = logs or self.model.get_metrics_result()
            self._save(self._current_epoch, {"batch": batch + 1, **logs})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._set_monitor_op_if_needed()
        if self._batches is None:
            self._save(epoch, logs or {})

    def _set_monitor_op_if_needed(self) -> None:
        if self.save_best_only:
            self._set_monitor_op()

    def _save(self, epoch: int, logs: Logs) -> None:
        path = self._path(epoch, logs)
        if not self._is_wanted(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise IsADirectoryError(
                f"ModelCheckpoint: the filepath {path!r} is a directory. Give the name of a file."
            )
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose:
            tell(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _path(self, epoch: int, logs: Logs) -> str:
        names = {**logs, "epoch": epoch + 1}
        try:
            return self.filepath.format(**names)
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: the filepath {self.filepath!r} asks for {error}, which is not "
                f"in the logs. They hold {', '.join(names)}."
            ) from None

    def _is_wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        """Whether to save now: always, or if the monitored value got better."""
        if not self.save_best_only:
            if self.verbose:
                tell(f"\nEpoch {epoch + 1}: saving model to {path}")
            return True
        value = logs.get(self.monitor)
        if value is None:
            self._missing("saving the best model only", logs)
            return True
        if np.ndim(value) > 0:
            warn_user(
                f"ModelCheckpoint: '{self.monitor}' must be one number to be compared, received "
                f"{value}. The model is saved each time.",
            )
            return True
        better = self._is_improvement(value, self.best)
        if self.verbose:
            before = "None" if self.best is None else f"{self.best:.5f}"
            start = f"\nEpoch {epoch + 1}: {self.monitor}"
            if better:
                tell(f"{start} improved from {before} to {value:.5f}, saving model to {path}")
            else:
                tell(f"{start} did not improve from {before}")
        if better:
            self.best = value
        return better
