"""The state of the session that users can reset."""

from __future__ import annotations

from gpunn import naming
from gpunn.backend import devices


def clear_session(free_memory: bool = True) -> None:
    """Start numbering of layer names anew and give cached buffers back (unless told not to)."""
    naming.reset_names()
    if free_memory:
        devices.current().release_cache()
