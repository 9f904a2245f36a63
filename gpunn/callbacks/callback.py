"""Callback: what a user does at the turns of training. All hooks are optional."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Logs = dict[str, Any]

_BATCH_HOOKS = ("on_train_batch_end", "on_batch_end", "on_test_batch_end")


class Callback:
    """Base of the callbacks: override the hooks that you need. `logs` is a dict, never None.

    `self.model` is the model, `self.params` a dict with `epochs`, `steps`, `verbose`.
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: Logs = {}

    def set_model(self, model: Any) -> None:
        """Called once, before training, evaluation or prediction."""
        self.model = model

    def set_params(self, params: Logs) -> None:
        """Called once, with `epochs`, `steps` and `verbose`."""
        self.params = params

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its logs."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation, with the metrics of both."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step, with the metrics so far."""
        self.on_batch_end(batch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation or validation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After it, with its metrics."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before an evaluation step."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After an evaluation step, with the metrics so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After it."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of predictions."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After it; `logs["outputs"]` holds them."""


def _overrides(callback: Callback, *hooks: str) -> bool:
    """Whether one of these hooks is the callback's own, by its class or as an attribute."""
    return any(
        getattr(getattr(callback, hook), "__func__", None) is not getattr(Callback, hook)
        for hook in hooks
    )


def _for_all(hook: str) -> Callable[..., None]:
    """The hook of a list: that of each callback in turn."""
    counted = "batch" in hook or "epoch" in hook

    def at(self: CallbackList, number: int, logs: Logs | None = None) -> None:
        self.call(hook, number, logs=logs)

    def once(self: CallbackList, logs: Logs | None = None) -> None:
        self.call(hook, logs=logs)

    return at if counted else once


class CallbackList(Callback):
    """Calls each callback in turn, for loops of one's own, too.

    `add_history`, `add_progbar`: add a `History`, a `ProgbarLogger` if there is none. `params`:
    `epochs`, `steps`, `verbose`. All callbacks get the same `logs`: what one adds, those after it
    see, and `History` keeps.

    >>> callbacks = gpunn.callbacks.CallbackList([EarlyStopping("loss")], model=model, epochs=3)
    >>> callbacks.on_train_begin()
    """

    def __init__(
        self,
        callbacks: Sequence[Callback] | Callback | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ):
        super().__init__()
        given = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
        self.callbacks: list[Any] = [callback for callback in given if callback is not None]
        self._add_missing(add_history, add_progbar)
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def _add_missing(self, history: bool, progbar: bool) -> None:
        from gpunn.callbacks.progress import ProgbarLogger
        from gpunn.callbacks.standard import History

        for wanted, kind in ((history, History), (progbar, ProgbarLogger)):
            if wanted and not any(isinstance(c, kind) for c in self.callbacks):
                self.callbacks.append(kind())
        self._adds_history = history
        self._note_readers()

    def _note_readers(self) -> None:
        """Whether a callback looks at the logs of batches, for which the device must be asked."""
        self.reads_batch_logs = any(
            _overrides(c, *_BATCH_HOOKS)
            for c in self.callbacks
            if not getattr(c, "reads_metrics_itself", False)
        )

    def append(self, callback: Callback) -> None:
        """Add a callback at the end."""
        self.callbacks.append(callback)
        self._note_readers()

    def set_model(self, model: Any) -> None:
        from gpunn.callbacks.standard import History

        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)
            if self._adds_history and isinstance(callback, History):
                model.history = callback

    def set_params(self, params: Logs) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def call(self, hook: str, *args: Any, logs: Logs | None = None) -> None:
        """Call `hook` of every callback."""
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, hook)(*args, logs)

    def using(self, hook: str, alias: str | None = None) -> list[Any]:
        """The bound hooks that do something."""
        names = (hook, alias) if alias else (hook,)
        return [getattr(c, hook) for c in self.callbacks if _overrides(c, *names)]


for _hook in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(CallbackList, _hook, _for_all(_hook))
