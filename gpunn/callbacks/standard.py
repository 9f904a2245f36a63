"""The callbacks that fit adds by itself, and small ones for users."""

from __future__ import annotations

import math
from collections.abc import Callable

from gpunn.arguments import function_of
from gpunn.callbacks.callback import Callback, Logs
from gpunn.errors import unknown_name


class History(Callback):
    """Keeps the metrics of each epoch: `history.history["loss"]`, `history.epoch`."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []
        self.history = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for key, value in (logs or {}).items():
            self.history.setdefault(key, []).append(value)


class TerminateOnNaN(Callback):
    """Stops training after the batch whose loss is NaN or infinite, or raises (`raise_error`).

    It reads the loss after each batch, which waits for the device.

    >>> model.fit(x, y, callbacks=[gpunn.callbacks.TerminateOnNaN()])
    """

    def __init__(self, raise_error: bool = False):
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        message = (
            f"Batch {batch}: the loss is {loss}. Look for NaN or huge values in the data "
            f"(np.isfinite(x).all()), or lower the learning rate."
        )
        if self.raise_error:
            raise RuntimeError(message)
        print(message)
        self.model.stop_training = True


class LambdaCallback(Callback):
    """Hooks given as functions: of any name that `Callback` has, with its positional arguments.

    >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin: Callable | None = None,
        on_epoch_end: Callable | None = None,
        on_train_begin: Callable | None = None,
        on_train_end: Callable | None = None,
        on_train_batch_begin: Callable | None = None,
        on_train_batch_end: Callable | None = None,
        **hooks: Callable | None,
    ):
        super().__init__()
        hooks |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        known = [name for name in dir(Callback) if name.startswith("on_")]
        for name, function in hooks.items():
            if name not in known:
                raise unknown_name("hook of LambdaCallback", name, known)
            if function is not None:
                setattr(self, name, function_of(f"LambdaCallback: {name}", function))
