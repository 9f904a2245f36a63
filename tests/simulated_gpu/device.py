"""The simulated device: its memory, its streams, and a count of what was asked of it.

Work is a closure over fixed arrays. Normally it is done at once; while the current stream is
capturing, it is noted and done by each replay of the graph, never during the capture itself.
"""

import ctypes
import threading
import time
import weakref
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np


def poison(array):
    """Fill with what shows that nobody wrote it: NaN, or -1 where there is no NaN."""
    inexact = array.dtype.kind in "fc" or array.dtype.name == "bfloat16"
    array.fill(np.nan if inexact else -1 if array.dtype.kind == "i" else 0)


@dataclass
class Statistics:
    """What the device was asked to do since the last reset."""

    launches: Counter = field(default_factory=Counter)  # by kernel or function name
    replays: int = 0
    allocations: int = 0
    host_to_device: int = 0
    device_to_host: int = 0


_statistics = Statistics()


def statistics():
    """The running counts; take a copy to compare with later ones."""
    return _statistics


def reset_statistics():
    global _statistics
    _statistics = Statistics()


# ---- memory -------------------------------------------------------------------------------
class MemoryPool:
    """Counts bytes. What was freed stays here, and is lent again: the last of its size first."""

    def __init__(self, allocator=None):
        self._used = self._total = 0
        self._free = defaultdict(list)

    def malloc(self, size):
        free = self._free[size]
        return MemoryPointer(Memory(free.pop() if free else np.empty(size, np.uint8), self), 0)

    def used_bytes(self):
        return self._used

    def total_bytes(self):
        return self._total

    def free_bytes(self):
        return self._total - self._used

    def free_all_blocks(self, stream=None):
        self._total = self._used
        self._free.clear()

    def _count(self, nbytes):
        self._used += nbytes
        self._total = max(self._total, self._used)


class Memory:
    """One allocation: the NumPy array that owns it. Lives as long as any view of it."""

    def __init__(self, owner, pool):
        self.owner = owner
        self.ptr = owner.ctypes.data
        self.size = owner.nbytes
        self.device_id = 0
        self._pool = pool
        self._pool._count(self.size)
        _statistics.allocations += 1

    def __del__(self):
        self._pool._count(-self.size)
        self._pool._free[self.size].append(self.owner)


class UnownedMemory:
    """Memory that somebody else keeps, here: at an address of the host."""

    def __init__(self, ptr, size, owner, device_id=-1):
        self.ptr, self.size, self._owner = ptr, size, owner
        self.owner = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(ptr))


def alloc_pinned_memory(size):
    """A buffer of the host that asynchronous copies read."""
    return bytearray(size)


@dataclass(frozen=True)
class MemoryPointer:
    """Some place within an allocation, as `array.data`."""

    mem: Memory
    offset: int

    @property
    def ptr(self):
        return self.mem.ptr + self.offset

    def __int__(self):
        return self.ptr


_default_pool = MemoryPool()


def get_default_memory_pool():
    return _default_pool


def alloc(size):
    """Bytes from the current allocator; `.ptr` is their address."""
    return _thread.allocators[-1](size)


class using_allocator:  # noqa: N801 - CuPy's name
    """Context in which arrays come from `allocator`, a pool's `malloc`."""

    def __init__(self, allocator=None):
        self._allocator = allocator or _default_pool.malloc

    def __enter__(self):
        _thread.allocators.append(self._allocator)
        return self

    def __exit__(self, *_):
        _thread.allocators.pop()


# ---- streams and graphs -------------------------------------------------------------------
class Graph:
    """Recorded work on fixed addresses. What lies there is its pool's, not the graph's."""

    def __init__(self, work):
        self._work = work

    def upload(self, stream=None):
        pass

    def launch(self, stream=None):
        _statistics.replays += 1
        with np.errstate(all="ignore"):
            for action in self._work:
                action()


class Stream:
    """A stream; as a context manager, the current one."""

    null = None  # the default stream, set below

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr = 0 if null else id(self)
        self.non_blocking = non_blocking
        self._recording = None
        _streams_by_pointer[self.ptr] = self

    def __enter__(self):
        _thread.streams.append(self)
        return self

    def __exit__(self, *_):
        _thread.streams.pop()

    def use(self):
        _thread.streams[-1] = self
        return self

    def synchronize(self):
        if self._recording is not None:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: synchronize() while capturing")

    def wait_event(self, event):
        """Work is done in the order it is given, so there is nothing to wait for."""

    def begin_capture(self, mode=None):
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._recording is not None:
            raise RuntimeError("cudaErrorIllegalState: the stream is already capturing")
        self._recording = []

    def end_capture(self):
        if self._recording is None:
            raise RuntimeError("cudaErrorIllegalState: the stream is not capturing")
        work, self._recording = self._recording, None
        return Graph(work)

    def is_capturing(self):
        return self._recording is not None


class Event:
    """A point in a stream's work, which here is done as soon as it is recorded."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.disable_timing = disable_timing
        self.time = None

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        if is_capturing():
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: synchronize() while capturing")


def get_elapsed_time(start, end):
    """Milliseconds between two recorded events."""
    if start.disable_timing or end.disable_timing:
        raise RuntimeError("cudaErrorInvalidResourceHandle: the event has no time")
    return 1e3 * (end.time - start.time)


_streams_by_pointer = weakref.WeakValueDictionary()
Stream.null = Stream(null=True)


class _Thread(threading.local):
    """Each host thread has its own current stream and allocator."""

    def __init__(self):
        self.streams = [Stream.null]
        self.allocators = [_default_pool.malloc]


_thread = _Thread()


def get_current_stream():
    return _thread.streams[-1]


def stream_at(pointer):
    """The stream of this `ptr`, as C interfaces name it."""
    return _streams_by_pointer[pointer or 0]


def is_capturing():
    return get_current_stream().is_capturing()


def refuse_capture(what, error=RuntimeError):
    """Raise where the real CuPy or CUDA would refuse `what` while capturing."""
    if is_capturing():
        raise error(f"{what} is not permitted while the stream is capturing")


# ---- work ---------------------------------------------------------------------------------
_compiled = set()


def compiles(key):
    """A kernel is compiled the first time it is used, which must not be in a capture."""
    if key not in _compiled:
        refuse_capture(f"the first compilation of {key[0]}")
        _compiled.add(key)


def launch(name, action, stream=None):
    """Do `action` now, or note it if the stream is capturing."""
    stream = stream or get_current_stream()
    if stream is Stream.null and not get_current_stream().non_blocking:
        refuse_capture("work on the default stream beside a blocking one that")
    _statistics.launches[name] += 1
    if stream.is_capturing():
        stream._recording.append(action)
    else:
        action()
