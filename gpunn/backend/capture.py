"""GraphRecorder: a step as one CUDA graph, which the GPU runs without Python in between.

The first recording is a real step that is listened to: it compiles kernels, lets cublasLt choose
its algorithms and fills a memory pool that belongs to the recording. The second one is captured:
CUDA notes the launches and computes nothing, so the graph's first launch does that step's work.

The stream is a blocking one. CUDA keeps it in order with the default stream, on which all other
work runs (metrics that are read, weights that are assigned, a last batch that is smaller), without
an event before and after each step.
"""

from __future__ import annotations

import gc
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from gpunn.backend.protocol import Array
from gpunn.backend.recorder import Recorder

_PACKAGES = (str(Path(__file__).resolve().parents[1]), "site-packages")
_HOST_TO_DEVICE = 1  # cudaMemcpyHostToDevice


class GraphProgram:
    """A replay is one launch. The memory pool lives as long as the graph."""

    def __init__(self, recorder: GraphRecorder):
        self.graph, self.stream, self.pool = recorder.graph, recorder.stream, recorder.pool
        self.calls, self.fixed, self.before = recorder.calls, recorder.fixed, recorder.before
        self.nbytes = self.pool.total_bytes()
        self.graph.upload(self.stream)

    def run(self) -> None:
        for action in self.before:
            action()
        self.graph.launch(self.stream)


class GraphRecorder(Recorder):
    """Without `first` it listens to a step that runs; with it, the step is captured.

    What reads values on the host, or does else what CUDA cannot capture, ends as a `problem`.
    """

    def __init__(self, cupy: Any, ordinal: int, first: GraphRecorder | None):
        super().__init__()
        self.cupy, self.ordinal = cupy, ordinal
        self.computes = first is None
        self.stream: Any = cupy.cuda.Stream() if first is None else first.stream
        self.pool: Any = cupy.cuda.MemoryPool() if first is None else first.pool
        self.lent: set[int] = set() if first is None else first.lent  # addresses, of the pool
        self.graph: Any = None
        self._contexts = ExitStack()
        self._collects = False

    def __enter__(self) -> GraphRecorder:
        cuda = self.cupy.cuda
        self._contexts.enter_context(cuda.Device(self.ordinal))
        self._contexts.enter_context(cuda.using_allocator(self._lend))
        self._contexts.enter_context(self.stream)
        if not self.computes:
            self._collects = gc.isenabled()
            gc.collect()
            gc.disable()  # nothing of others shall be freed half way
            self.stream.begin_capture()
        return super().__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        super().__exit__(kind, error, trace)
        if not self.computes:
            try:
                self.graph = self.stream.end_capture()
            except Exception as refused:
                self.problem = self.problem or f"CUDA refused to capture it: {_first(refused)}"
            finally:
                if self._collects:
                    gc.enable()
            if isinstance(error, Exception):
                where = _user_line(error)
                self.problem = f"CUDA cannot capture it: {_first(error)}, at {where}"
        self._contexts.close()
        return not self.computes and isinstance(error, Exception)

    def _lend(self, size: int) -> Any:
        memory = self.pool.malloc(size)
        self.lent.add(memory.mem.ptr)
        return memory

    def _is_lent(self, array: Any) -> bool:
        return array.data.mem.ptr in self.lent

    def mark(self, array: Any) -> tuple:
        if not isinstance(array, self.cupy.ndarray):
            return (array,)
        place: Any = "pool"
        if not self._is_lent(array):
            place = array.data.ptr
            self.fixed.append(array)
        return place, array.shape, array.strides, array.dtype.char

    def detached(self, array: Any) -> Any:
        if not isinstance(array, self.cupy.ndarray) or not self._is_lent(array):
            return array
        cuda = self.cupy.cuda
        memory = cuda.UnownedMemory(array.data.ptr, array.nbytes, self.pool, self.ordinal)
        place = cuda.MemoryPointer(memory, 0)
        return self.cupy.ndarray(array.shape, array.dtype, place, array.strides)

    def program(self) -> GraphProgram:
        return GraphProgram(self)


class PinnedInput:
    """A device array that host batches reach through pinned memory, while the GPU still works.

    Two pinned buffers take turns: the host fills one while the GPU reads the other.
    """

    def __init__(self, cupy: Any, batch: Array):
        self.cupy = cupy
        self.array = cupy.empty(batch.shape, batch.dtype)
        self._turn = 0
        self._slots: list[tuple[np.ndarray, Any]] = []

    def take(self, batch: Array) -> None:
        if isinstance(batch, self.cupy.ndarray):
            self.cupy.copyto(self.array, batch)
        elif batch.nbytes:
            self._upload(batch)

    def _upload(self, batch: np.ndarray) -> None:
        cuda = self.cupy.cuda
        if not self._slots:
            self._slots = [(self._pinned(batch), cuda.Event(disable_timing=True)) for _ in "12"]
        host, read = self._slots[self._turn]
        self._turn = 1 - self._turn
        read.synchronize()
        np.copyto(host, batch)
        stream = cuda.get_current_stream()
        cuda.runtime.memcpyAsync(
            self.array.data.ptr, host.ctypes.data, host.nbytes, _HOST_TO_DEVICE, stream.ptr
        )
        read.record(stream)

    def _pinned(self, batch: np.ndarray) -> np.ndarray:
        memory = self.cupy.cuda.alloc_pinned_memory(batch.nbytes)
        return np.frombuffer(memory, batch.dtype, batch.size).reshape(batch.shape)


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _user_line(error: BaseException) -> str:
    """``file:line`` of the innermost call that is neither gpunn's nor an installed package's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not any(package in frame.filename for package in _PACKAGES):
            return f"{frame.filename}:{frame.lineno}"
    return "?"
