"""The progress line of fit, evaluate and predict, drawn by rich."""

from __future__ import annotations

import time
from typing import Any

from gpunn.callbacks.callback import Callback, Logs

_WIDTH = 20  # characters of the bar
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


def format_bar(done: int, total: int | None) -> str:
    """``3/4 ━━━━━━━━━━━━━━━─────``"""
    filled = _WIDTH * done // total if total else 0
    return f"{done}/{total or '?'} {'━' * filled}{'─' * (_WIDTH - filled)}"


class ProgbarLogger(Callback):
    """``225/225 ━━━━━━━━━━ 1s 2ms/step - accuracy: 0.91 - loss: 0.30``; verbose=2: a line an epoch.

    On a terminal and in notebooks the line moves while an epoch runs, cut to the width that is
    there; the whole line is printed once the epoch is done.
    """

    reads_metrics_itself = True

    def __init__(self, what: str = "train"):
        super().__init__()
        self.what = what
        self.bar: Any = None  # the moving line, while there is one

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
        if not (console.is_terminal or console.is_jupyter):
            return None
        line = Live(console=console, auto_refresh=False, transient=True)
        line.start()
        return line

    def _step(self, batch: int) -> None:
        self.seen = batch + 1
        now = time.perf_counter()
        if self.bar is not None and now - self.last >= _INTERVAL:
            from rich.text import Text

            self.last = now
            logs = self.model.get_metrics_result() if self.what != "predict" else {}
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
        self.close()
        print(self._line(logs, finished=True), flush=True)

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
        """Take the moving line away, also after an error or Ctrl-C."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
