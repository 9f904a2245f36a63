"""`cupy.cuda`: one simulated device of compute capability 9.0."""

import ctypes

from .device import (
    Event,
    Graph,
    Memory,
    MemoryPointer,
    MemoryPool,
    Stream,
    UnownedMemory,
    alloc,
    alloc_pinned_memory,
    get_current_stream,
    get_elapsed_time,
    is_capturing,
    launch,
    statistics,
    stream_at,
    using_allocator,
)

_MEMORY_BYTES = 8 << 30


def is_available():
    return True


class Device:
    """`Device(0)`, the only one; as a context manager, the current one."""

    compute_capability = "90"

    def __init__(self, device=None):
        self.id = int(device or 0)
        if self.id != 0:
            raise runtime.CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def use(self):
        return self

    def synchronize(self):
        if is_capturing():
            raise runtime.CUDARuntimeError(
                "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is "
                "capturing"
            )

    @property
    def mem_info(self):
        """(free, total) bytes"""
        from .device import get_default_memory_pool

        return _MEMORY_BYTES - get_default_memory_pool().total_bytes(), _MEMORY_BYTES

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return self.id

    def __repr__(self):
        return f"<CUDA Device {self.id}>"


class runtime:  # noqa: N801 - a module in CuPy
    """`cupy.cuda.runtime`"""

    memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice = 1, 2, 3  # noqa: N815

    class CUDARuntimeError(RuntimeError):
        pass

    @staticmethod
    def getDeviceCount():  # noqa: N802
        return 1

    @staticmethod
    def getDevice():  # noqa: N802
        return 0

    @staticmethod
    def getDeviceProperties(device):  # noqa: N802
        return {
            "name": b"Simulated GPU",
            "totalGlobalMem": _MEMORY_BYTES,
            "major": 9,
            "minor": 0,
            "multiProcessorCount": 4,
            "sharedMemPerBlock": 48 << 10,
            "sharedMemPerBlockOptin": 227 << 10,
            "warpSize": 32,
            "maxThreadsPerBlock": 1024,
        }

    @staticmethod
    def runtimeGetVersion():  # noqa: N802
        return 13000

    @staticmethod
    def driverGetVersion():  # noqa: N802
        return 13000

    @staticmethod
    def deviceSynchronize():  # noqa: N802
        Device().synchronize()

    @staticmethod
    def memcpyAsync(dst, src, size, kind, stream):  # noqa: N802
        """Copies `size` bytes between two addresses; a captured one copies at each replay."""
        if kind == runtime.memcpyHostToDevice:
            statistics().host_to_device += 1
        elif kind == runtime.memcpyDeviceToHost:
            statistics().device_to_host += 1
        launch("memcpyAsync", lambda: ctypes.memmove(dst, src, size), stream_at(stream))


__all__ = [
    "Device",
    "Event",
    "Graph",
    "Memory",
    "MemoryPointer",
    "MemoryPool",
    "Stream",
    "UnownedMemory",
    "alloc",
    "alloc_pinned_memory",
    "get_current_stream",
    "get_elapsed_time",
    "is_available",
    "runtime",
    "using_allocator",
]
