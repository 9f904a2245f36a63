"""Progbar: a progress line for loops of one's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from gpunn.utils.messages import tell


def format_time(seconds: float) -> str:
    """A duration in the unit that suits it."""
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def format_bar(done: int, total: int | None, width: int = 20) -> str:
    """``3/4 ━━━━━━━━━━━━━━━─────``"""
    filled = width * done // total if total else 0
    return f"{done}/{total or '?'} {'━' * filled}{'─' * (width - filled)}"


class Progbar:
    """``75/100 ━━━━━━━━━━━━━━━───── 2s 20ms/step - loss: 0.1234``

    `target`: the number of steps, None if unknown. `verbose`: 0 silent, 1 a line that moves on a
    terminal, 2 one line at the end. Values are averaged over the steps, but those named in
    `stateful_metrics` (or, if `stateless_metrics` are given, all others) are shown as they are.

    >>> bar = gpunn.utils.Progbar(len(batches))
    >>> for i, (x, y) in enumerate(batches):
    ...     bar.update(i + 1, [("loss", train(x, y))])
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ):
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError(
                "Progbar: only one of stateful_metrics and stateless_metrics can be given."
            )
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self._sums: dict[str, tuple[float, int]] = {}  # sum and weight of each value
        self._seen = 0
        self._begun = time.perf_counter()
        self._drawn = 0.0
        self._length = 0  # of the moving line that stands there

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Set the number of steps done, with pairs (name, value of the last step).

        `finalize`: whether it is the last time; by default once the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        steps = max(current - self._seen, 1)
        for name, value in values or ():
            number = float(np.mean(value))
            total, weight = self._sums.get(name, (0.0, 0))
            keeps = self._is_stateful(name) or finalize
            self._sums[name] = (number, 1) if keeps else (total + number * steps, weight + steps)
        self._seen = current
        now = time.perf_counter()
        if finalize and self.verbose and not (self.verbose == 2 and not self.target):
            self._clear()
            tell(self._line(now))
        elif self.verbose == 1 and now - self._drawn >= self.interval and sys.stdout.isatty():
            self._drawn = now
            self._clear()
            line = self._line(now)
            self._length = len(line)
            print(line, end="", flush=True)

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """`n` more steps are done."""
        self.update(self._seen + n, values)

    def _is_stateful(self, name: str) -> bool:
        if self.stateless_metrics is not None:
            return name not in self.stateless_metrics
        return name in self.stateful_metrics

    def _clear(self) -> None:
        if self._length:
            print("\r" + " " * self._length + "\r", end="", flush=True)
            self._length = 0

    def _line(self, now: float) -> str:
        elapsed = now - self._begun
        bar = f"{self._seen}/{self.target} -"
        if self.verbose == 1:
            bar = format_bar(self._seen, self.target, self.width)
        rate = format_time(elapsed / max(1, self._seen))
        parts = [f"{bar} {format_time(elapsed)} {rate}/{self.unit_name}"]
        for name, (total, weight) in self._sums.items():
            mean = total / max(1, weight)
            parts.append(f"{name}: {mean:.4f}" if abs(mean) > 1e-3 else f"{name}: {mean:.4e}")
        return " - ".join(parts)
