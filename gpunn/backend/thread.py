"""What holds for one thread only: the recorder that listens to its kernels, if there is one."""

from __future__ import annotations

import threading
from typing import Any


class _Local(threading.local):
    recorder: Any = None


local = _Local()
