"""Ctrl-C between steps: a step is finished, so that no weight is half updated."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class InterruptBetweenSteps:
    """Holds a first Ctrl-C back until `check` is called; a second one comes through at once."""

    def __enter__(self) -> InterruptBetweenSteps:
        self.pending = False
        self.outer = None
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if handler is signal.default_int_handler:  # nobody else listens
                self.outer = signal.signal(signal.SIGINT, self._hold)
        return self

    def _hold(self, number: int, frame: FrameType | None) -> None:
        if self.pending:
            raise KeyboardInterrupt
        self.pending = True

    def check(self) -> None:
        """Raise the KeyboardInterrupt that came since."""
        if self.pending:
            self.pending = False
            raise KeyboardInterrupt

    def __exit__(self, error: type | None, *_: object) -> None:
        if self.outer is not None:
            signal.signal(signal.SIGINT, self.outer)
        if error is None:
            self.check()  # one that came after the last step
