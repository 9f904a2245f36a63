"""The progress line of fit, evaluate and predict, drawn by rich."""

from __future__ import annotations

import time
from typing import Any

from gpunn.callbacks.callback import Callback, Logs

_INTERVAL = 0.1  # seconds between two readings of the metrics: reading waits for the device


def format_logs(logs: Logs) -> str:
    """``accuracy: 0.9712 - loss: 0.1034``"""
    parts = []
    for key in sorted(logs, key=lambda k: (k.startswith("val_"), k)):
        value = logs[key]
        small = value != 0 and abs(value) < 1e-3
        parts.append(f"{key}: {value:.4e}" if small else f"{key}: {value:.4f}")
    return " - ".join(parts)


def format_time(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


class ProgbarLogger(Callback):
    """``225/225 ━━━━━━━━━━ 1s 2ms/step - accuracy: 0.91 - loss: 0.30``; verbose=2: a line an epoch.

    On a terminal the line moves while an epoch runs; elsewhere it is printed once it is done.
    """

    reads_metrics_itself = True

    def __init__(self, what: str = "train"):
        super().__init__()
        self.what = what

    def _start(self) -> None:
        self.begun = self.last = time.perf_counter()
        self.seen = 0
        self.bar = None
        if self.params.get("verbose") == 1:
            self.bar = self._make_bar()
            self.task = self.bar.add_task("", total=self.params.get("steps"), logs="", rate="")
            self.bar.start()

    @staticmethod
    def _make_bar() -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            MofNCompleteColumn(),
            BarColumn(20),
            TextColumn("{task.fields[rate]}{task.fields[logs]}"),
        )
        return Progress(*columns, auto_refresh=False)

    def _step(self, batch: int) -> None:
        self.seen = batch + 1
        now = time.perf_counter()
        if self.bar is not None and now - self.last >= _INTERVAL and self.bar.console.is_terminal:
            self.last = now
            self._show(self.model.get_metrics_result() if self.what != "predict" else {})

    def _show(self, logs: Logs) -> None:
        elapsed = time.perf_counter() - self.begun
        rate = f"{format_time(elapsed)} {format_time(elapsed / max(1, self.seen))}/step"
        text = f" - {format_logs(logs)}" if logs else ""
        if self.bar is not None:
            total = self.params.get("steps") or self.seen
            self.bar.update(self.task, completed=self.seen, total=total, rate=rate, logs=text)
            self.bar.refresh()
        else:
            steps = self.params.get("steps") or self.seen
            print(f"{self.seen}/{steps} - {rate}{text}", flush=True)

    def _finish(self, logs: Logs) -> None:
        if self.bar is not None or self.params.get("verbose") == 2:
            self._show(logs)
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        print(f"Epoch {epoch + 1}/{self.params.get('epochs')}", flush=True)
        self._start()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._finish(logs or {})

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._step(batch)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if self.what == "test":
            self._start()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.what == "test":
            self._step(batch)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self.what == "test":
            self._finish(logs or {})

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._start()

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._step(batch)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._finish({})

    def close(self) -> None:
        """Leave the terminal in order after an error or Ctrl-C."""
        if getattr(self, "bar", None) is not None:
            self.bar.stop()
            self.bar = None
