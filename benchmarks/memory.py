"""Memory of this process in megabytes; None where the system has no /proc (not Linux)."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc/self")


def resident() -> float | None:
    """In memory now."""
    try:
        pages = (PROC / "statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Peak:
    """The most that has been in memory since the start, beyond what was there then."""

    def __init__(self) -> None:
        self.start = resident()
        try:
            (PROC / "clear_refs").write_text("5", encoding="ascii")  # forget the peak until now
        except OSError:
            self.start = None

    def growth(self) -> float | None:
        """None, too, where the system cannot forget a peak."""
        if self.start is None:
            return None
        lines = (PROC / "status").read_text(encoding="ascii").splitlines()
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), None)
        return None if peak is None else max(0.0, int(peak) * 1.024e-3 - self.start)
