"""Memory of the current device."""

from __future__ import annotations

from gpunn.backend import devices


def memory_stats() -> dict[str, int]:
    """Bytes in use, cached for reuse, and at the peak, of the current device's buffers.

    On the CPU buffers of 64 KiB and more are counted; on a GPU all of CuPy's pool, whose peak is
    not known (-1).

    >>> gpunn.memory_stats()
    {'used': 1048576, 'cached': 524288, 'peak': 2097152}
    """
    return devices.current().memory_stats()


def release_cache() -> None:
    """Give the cached buffers of the current device back to the system."""
    devices.current().release_cache()
