"""The progress line of fit, evaluate and predict, drawn by rich."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from gpunn import config
from gpunn.callbacks.callback import Callback, Logs
from gpunn.utils.messages import tell
from gpunn.utils.progbar import format_bar, format_time

_INTERVAL = 0.1  # seconds between two readings of the metrics: reading waits for the device


def format_logs(logs: Logs) -> str:
    """``accuracy: 0.9712 - loss: 0.1034``"""
    parts = []
    for key in sorted(logs, key=lambda k: (k.startswith("val_"), k)):
        value = logs[key]
        if np.ndim(value):
            parts.append(f"{key}: {value}")
            continue
        small = value != 0 and abs(value) < 1e-3
        parts.append(f"{key}: {value:.4e}" if small else f"{key}: {value:.4f}")
    return " - ".join(parts)


class ProgbarLogger(Callback):
    """``225/225 ━━━━━━━━━━ 1s 2ms/step - accuracy: 0.91 - loss: 0.30``; verbose=2: a line an epoch.

    On a terminal and in notebooks the line moves while an epoch runs, cut to the width that is
    there; the whole line is printed once the epoch is done. fit adds one by itself.
    """

    reads_metrics_itself = True

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.bar: Any = None  # the moving line, while there is one
        self._in_fit = False  # evaluations in it are silent

    def _start(self) -> None:
        self.begun = self.last = time.perf_counter()
        self.seen = 0
        if self.params.get("verbose") == 1:
            self.bar = self._moving_line()

    @staticmethod
    def _moving_line() -> Any:
        from rich.console import Console
        from rich.live import Live

        console = Console()
        logged = not config.is_interactive_logging_enabled()
        if logged or not (console.is_terminal or console.is_jupyter):
            return None
        line = Live(console=console, auto_refresh=False, transient=True)
        line.start()
        return line

    def _step(self, batch: int, has_metrics: bool = True) -> None:
        self.seen = batch + 1
        now = time.perf_counter()
        if self.bar is not None and now - self.last >= _INTERVAL:
            from rich.text import Text

            self.last = now
            logs = self.model.get_metrics_result() if has_metrics else {}
            line = Text(self._line(logs), no_wrap=True, overflow="ellipsis")
            self.bar.update(line, refresh=True)

    def _line(self, logs: Logs, finished: bool = False) -> str:
        elapsed = time.perf_counter() - self.begun
        rate = f"{format_time(elapsed)} {format_time(elapsed / max(1, self.seen))}/step"
        steps = self.params.get("steps") or (self.seen if finished else None)
        bar = f"{self.seen}/{steps} -"
        if self.params.get("verbose") == 1:
            bar = format_bar(self.seen, steps)
        return f"{bar} {rate}" + (f" - {format_logs(logs)}" if logs else "")

    def _finish(self, logs: Logs) -> None:
        self._end_line()
        if self.params.get("verbose"):
            tell(self._line(logs, finished=True))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        epochs = self.params.get("epochs") or 1
        if self.params.get("verbose") and epochs > 1:
            tell(f"Epoch {epoch + 1}/{epochs}")
        self._start()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._finish(logs or {})

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._step(batch)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._start()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._step(batch)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._finish(logs or {})

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._start()

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._step(batch, has_metrics=False)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._finish({})

    def close(self) -> None:
        """Take the moving line away, also after an error or Ctrl-C."""
        self._in_fit = False
        self._end_line()

    def _end_line(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
