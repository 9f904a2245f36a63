"""What a backend is: where arrays live.  It holds no mathematics, ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from gpunn.backend.recorder import Recorder

Array = Any  # numpy.ndarray or cupy.ndarray: whatever `Backend.array_type` is
Shape = tuple[int, ...]


class FixedInput(Protocol):
    """An array that a recording reads, which takes the values of each batch."""

    array: Array

    def take(self, batch: Array) -> None:
        """Put the values of a batch in place; returns before the device has them."""


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

    def recorder(self, first: Any = None) -> Recorder:
        """What records a step of the calling thread; `first`: its recording of the same step."""

    def fixed_input(self, batch: Array, owned: bool) -> FixedInput:
        """A place for batches like this host or device array; `owned`: it may be the place."""

    def memory_stats(self) -> dict[str, int]:
        """Bytes: ``used``, ``cached`` (kept for reuse), ``peak`` (of used; -1 if unknown)."""

    def release_cache(self) -> None:
        """Give the cached buffers back to the system."""

    def describe(self) -> dict[str, str]:
        """What `python -m gpunn info` prints of this device."""
