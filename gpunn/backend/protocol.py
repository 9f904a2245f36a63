"""What a backend is: where arrays live.  It holds no mathematics, ever."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Array = Any  # numpy.ndarray or cupy.ndarray: whatever `Backend.array_type` is
Shape = tuple[int, ...]


class Backend(Protocol):
    """Memory, transfers and synchronization of one device.

    A kernel computes; a backend only says where its arrays are. `xp` is the array module
    (``numpy`` or ``cupy``) that a kernel's reference is written against.
    """

    name: str  # "numpy" or "cupy"
    device: str  # "cpu" or "gpu:<ordinal>"
    xp: Any
    array_type: Any

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        """`value` (array of either backend, sequence or number) as an array of this device."""

    def to_numpy(self, array: Array) -> np.ndarray:
        """The array on the host; waits for the device."""

    def empty(self, shape: Shape, dtype: Any) -> Array:
        """An array with any content, from the buffer cache where that pays."""

    def zeros(self, shape: Shape, dtype: Any) -> Array:
        """An array of zeros."""

    def activate(self) -> None:
        """Make this the device on which the calling thread launches kernels."""

    def synchronize(self) -> None:
        """Wait until everything launched on the device is done."""

    def memory_stats(self) -> dict[str, int]:
        """Bytes: ``used``, ``cached`` (kept for reuse), ``peak`` (of used; -1 if unknown)."""

    def release_cache(self) -> None:
        """Give the cached buffers back to the system."""

    def describe(self) -> dict[str, str]:
        """What `python -m gpunn info` prints of this device."""
