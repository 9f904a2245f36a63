"""What holds for one thread only: who listens to its kernels, how many threads help it."""

from __future__ import annotations

import threading
from typing import Any


class _Local(threading.local):
    recorder: Any = None
    threads: int = 0  # that it shares its work with, itself counted; 0: ask BLAS
    shared: int = 0  # how often kernels have shared their work so far


local = _Local()
