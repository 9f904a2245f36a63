"""The NumPy backend: arrays in host memory, large buffers cached for reuse."""

from __future__ import annotations

import os
import platform
from math import prod
from typing import Any

import numpy as np

from gpunn.backend.buffers import BufferPool
from gpunn.backend.host import numbers
from gpunn.backend.protocol import Shape
from gpunn.backend.recorder import HostRecorder, Recorder
from gpunn.backend.thread import local


class _HostInput:
    """Batches are copied into one array, unless the batch is that array."""

    def __init__(self, batch: np.ndarray, owned: bool):
        self.array = batch if owned else np.empty(batch.shape, batch.dtype)

    def take(self, batch: np.ndarray) -> None:
        if batch is not self.array:
            np.copyto(self.array, batch if isinstance(batch, np.ndarray) else batch.get())


class NumpyBackend:
    """Arrays are ``numpy.ndarray``; everything is done when a call returns."""

    name = "numpy"
    device = "cpu"
    xp: Any = np
    array_type: Any = np.ndarray

    def __init__(self) -> None:
        self.pool = BufferPool()

    def asarray(self, value: Any, dtype: Any = None) -> np.ndarray:
        if hasattr(value, "get") and hasattr(value, "__cuda_array_interface__"):
            value = value.get()
        return numbers(value, dtype)

    def to_numpy(self, array: np.ndarray) -> np.ndarray:
        return array

    def empty(self, shape: Shape, dtype: Any) -> np.ndarray:
        dtype = np.dtype(dtype)
        nbytes = prod(shape) * dtype.itemsize
        recorder = local.recorder
        pool = self.pool if recorder is None else recorder.arena
        if nbytes < pool.smallest:
            return np.empty(shape, dtype)
        return pool.lend(shape, dtype, nbytes)

    def zeros(self, shape: Shape, dtype: Any) -> np.ndarray:
        array = self.empty(shape, dtype)
        array.fill(0)
        return array

    def activate(self) -> None:
        """The host is always ready."""

    def synchronize(self) -> None:
        """NumPy has finished when it returns."""

    def recorder(self, first: Any = None) -> Recorder:
        return HostRecorder(self.pool, first)

    def fixed_input(self, batch: np.ndarray, owned: bool) -> _HostInput:
        return _HostInput(batch, owned and isinstance(batch, np.ndarray))

    def memory_stats(self) -> dict[str, int]:
        pool = self.pool
        return {"used": pool.used, "cached": pool.cached, "peak": pool.peak}

    def release_cache(self) -> None:
        self.pool.clear()

    def describe(self) -> dict[str, str]:
        return {
            "device": "cpu",
            "name": platform.processor() or platform.machine(),
            "cores": str(os.cpu_count()),
            "array library": f"NumPy {np.__version__}",
        }
