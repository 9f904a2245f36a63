"""The CuPy backend: arrays in the memory of one NVIDIA GPU."""

from __future__ import annotations

import os
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from gpunn.backend.alarms import check_alarms
from gpunn.backend.capture import GraphRecorder, PinnedInput
from gpunn.backend.host import numbers
from gpunn.backend.protocol import Array, Shape
from gpunn.backend.thread import local
from gpunn.errors import DeviceError


class CupyBackend:
    """Arrays are ``cupy.ndarray`` on one device; calls return before the device has finished.

    CuPy's memory pool caches buffers. `cupy` is handed in, so that tests can hand in a stand-in.
    """

    name = "cupy"

    def __init__(self, cupy: ModuleType, ordinal: int = 0):
        count = cupy.cuda.runtime.getDeviceCount()
        if not 0 <= ordinal < count:
            raise DeviceError(
                f"There is no device 'gpu:{ordinal}': this machine has {count} NVIDIA GPU(s), "
                f"numbered from 0."
            )
        self.xp: Any = cupy
        self.array_type: Any = cupy.ndarray
        self.ordinal = ordinal
        self.device = f"gpu:{ordinal}"

    @cached_property
    def capability(self) -> int:
        """The compute capability, ten times its number: 75, 80, 90, 100."""
        return int(self.xp.cuda.Device(self.ordinal).compute_capability)

    def asarray(self, value: Any, dtype: Any = None) -> Array:
        if isinstance(value, np.ndarray) or not hasattr(value, "__cuda_array_interface__"):
            value = numbers(value, dtype)
        if local.recorder is not None and isinstance(value, np.ndarray):
            local.recorder.host_data()
        return self.xp.asarray(value, dtype)

    def to_numpy(self, array: Array) -> np.ndarray:
        found = array.get()
        check_alarms(self)
        return found

    def empty(self, shape: Shape, dtype: Any) -> Array:
        return self.xp.empty(shape, dtype)

    def zeros(self, shape: Shape, dtype: Any) -> Array:
        return self.xp.zeros(shape, dtype)

    def activate(self) -> None:
        self.xp.cuda.Device(self.ordinal).use()

    def synchronize(self) -> None:
        self.xp.cuda.Device(self.ordinal).synchronize()

    def recorder(self, first: Any = None) -> GraphRecorder:
        if first is None:
            self.release_cache()  # of the eager step: a graph has a pool of its own
        return GraphRecorder(self.xp, self.ordinal, first)

    def fixed_input(self, batch: Array, owned: bool) -> PinnedInput:
        return PinnedInput(self.xp, batch)

    def memory_stats(self) -> dict[str, int]:
        pool = self.xp.get_default_memory_pool()
        used, total = pool.used_bytes(), pool.total_bytes()
        return {"used": used, "cached": total - used, "peak": -1}

    def release_cache(self) -> None:
        self.xp.get_default_memory_pool().free_all_blocks()

    def describe(self) -> dict[str, str]:
        runtime = self.xp.cuda.runtime
        properties = runtime.getDeviceProperties(self.ordinal)
        free, total = self.xp.cuda.Device(self.ordinal).mem_info
        cache = os.environ.get("CUPY_CACHE_DIR", os.path.expanduser("~/.cupy/kernel_cache"))
        return {
            "device": self.device,
            "name": properties["name"].decode(),
            "compute capability": f"{properties['major']}.{properties['minor']}",
            "memory": f"{free / 2**30:.1f} GiB free of {total / 2**30:.1f} GiB",
            "array library": f"CuPy {self.xp.__version__}",
            "CUDA": f"runtime {runtime.runtimeGetVersion()}, driver {runtime.driverGetVersion()}",
            "kernel cache": cache,
        }
