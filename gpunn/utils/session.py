"""The state of the session that users can reset."""

from __future__ import annotations

from gpunn import naming
from gpunn.backend import devices


def clear_session() -> None:
    """Start numbering of layer names anew and give cached buffers back."""
    naming.reset_names()
    devices.current().release_cache()
