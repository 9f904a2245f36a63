"""GraphRecorder: a step as one CUDA graph, which the GPU runs without Python in between.

The first two recordings are real steps that are listened to: they compile kernels, let cublasLt
choose its algorithms and fill a memory pool that belongs to the recording. Where they agree, the
third is captured: CUDA notes the launches and computes nothing, so the graph's first launch does
that step's work.

The graph runs on a stream of its own, which does not block the default one, so that other threads
may compute while it is captured. Events keep it in order with the stream of the caller, on which
all other work runs: metrics that are read, weights that are assigned, a smaller last batch.
"""

from __future__ import annotations

import gc
import os
import traceback
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunn.backend.protocol import Array
from gpunn.backend.recorder import Recorder, exactly, user_line

if TYPE_CHECKING:
    from gpunn.backend.kernel import Kernel

_PACKAGES = (os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "site-packages")
_LISTENED = 2  # real steps that must agree before one is captured
_HOST_TO_DEVICE = 1  # cudaMemcpyHostToDevice


def _let_follow(event: Any, earlier: Any, later: Any) -> None:
    """What `later` is given from now on waits for what `earlier` was given so far."""
    event.record(earlier)
    later.wait_event(event)


class GraphProgram:
    """A replay is one launch. The memory pool lives as long as the graph."""

    def __init__(self, recorder: GraphRecorder):
        self.graph, self.stream, self.pool = recorder.graph, recorder.stream, recorder.pool
        self.calls, self.fixed, self.before = recorder.calls, recorder.fixed, recorder.before
        self.nbytes = self.pool.total_bytes()
        self._cuda = recorder.cupy.cuda
        self._event = self._cuda.Event(disable_timing=True)
        self.graph.upload(self.stream)

    def run(self) -> None:
        for action in self.before:
            action()
        callers = self._cuda.get_current_stream()
        _let_follow(self._event, callers, self.stream)
        self.graph.launch(self.stream)
        _let_follow(self._event, self.stream, callers)


class GraphRecorder(Recorder):
    """Listens to a step that runs, or, once two of them agreed, captures one.

    What reads values on the host, or does else what CUDA cannot capture, ends as a `problem`.
    """

    def __init__(self, cupy: Any, ordinal: int, first: GraphRecorder | None):
        super().__init__()
        self.cupy, self.ordinal = cupy, ordinal
        self.turn: int = 0 if first is None else first.turn + 1
        self.is_last = self.turn == _LISTENED
        self.computes = not self.is_last
        self.stream: Any = cupy.cuda.Stream(non_blocking=True) if first is None else first.stream
        self.pool: Any = cupy.cuda.MemoryPool() if first is None else first.pool
        self.lent: set[int] = set() if first is None else first.lent  # addresses, of the pool
        self.graph: Any = None
        self._event = cupy.cuda.Event(disable_timing=True)
        self._contexts = ExitStack()

    def __enter__(self) -> GraphRecorder:
        cuda = self.cupy.cuda
        with ExitStack() as contexts:
            contexts.enter_context(cuda.Device(self.ordinal))
            _let_follow(self._event, cuda.get_current_stream(), self.stream)
            contexts.enter_context(cuda.using_allocator(self._lend))
            contexts.enter_context(self.stream)
            if not self.computes:
                gc.collect()
                if gc.isenabled():
                    gc.disable()  # nothing of others shall be freed half way
                    contexts.callback(gc.enable)
                self.stream.begin_capture()
            self._contexts = contexts.pop_all()
        return super().__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        super().__exit__(kind, error, trace)
        with self._contexts:
            if not self.computes:
                self._end_capture(error)
        _let_follow(self._event, self.stream, self.cupy.cuda.get_current_stream())
        return not self.computes and isinstance(error, Exception)

    def _end_capture(self, error: BaseException | None) -> None:
        try:
            self.graph = self.stream.end_capture()
        except Exception as refused:
            self.problem = f"CUDA refused to capture it: {_first(refused)}"
        if isinstance(error, Exception):
            self.problem = f"CUDA cannot capture it: {_first(error)}, at {_user_line(error)}"

    def note(self, kernel: Kernel, arrays: tuple, options: dict) -> None:
        super().note(kernel, arrays, options)
        if kernel.library is not None:
            self.problem = (
                f"'{kernel.name}' calls {kernel.library}, which CUDA cannot capture, at "
                f"{user_line()}"
            )

    def _lend(self, size: int) -> Any:
        memory = self.pool.malloc(size)
        self.lent.add(memory.mem.ptr)
        return memory

    def _is_lent(self, array: Any) -> bool:
        return array.data.mem.ptr in self.lent

    def mark(self, array: Any) -> tuple:
        if not isinstance(array, self.cupy.ndarray):
            return (exactly(array),)
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
    """A device array that host batches reach through pinned memory while the GPU still works.

    Two slots take turns: the host fills the pinned buffer of one, and a stream for copies moves it
    to the device beside the running step, while the other slot's batch is in use.
    """

    def __init__(self, cupy: Any, batch: Array):
        self.cupy = cupy
        self.array = cupy.empty(batch.shape, batch.dtype)
        self._slots: list[_Slot] = []
        self._turn = 0

    def take(self, batch: Array) -> None:
        if isinstance(batch, self.cupy.ndarray):
            self.cupy.copyto(self.array, batch)
        elif batch.nbytes:
            if not self._slots:
                copies = self.cupy.cuda.Stream(non_blocking=True)
                self._slots = [_Slot(self.cupy, self.array, copies) for _ in range(2)]
            self._slots[self._turn].upload(batch, self.array)
            self._turn = 1 - self._turn


class _Slot:
    """A pinned buffer of the host, its twin on the device, and when they may be filled again."""

    def __init__(self, cupy: Any, like: Array, copies: Any):
        self.cupy, self.copies = cupy, copies
        memory = cupy.cuda.alloc_pinned_memory(like.nbytes)
        self.host = np.frombuffer(memory, like.dtype, like.size).reshape(like.shape)
        self.device = cupy.empty_like(like)
        self.arrived = cupy.cuda.Event(disable_timing=True)
        self.taken = cupy.cuda.Event(disable_timing=True)
        self.taken.record(cupy.cuda.get_current_stream())

    def upload(self, batch: np.ndarray, target: Array) -> None:
        """target = batch, in the order of the caller's stream."""
        callers = self.cupy.cuda.get_current_stream()
        self.arrived.synchronize()
        np.copyto(self.host, batch)
        self.copies.wait_event(self.taken)
        self.cupy.cuda.runtime.memcpyAsync(
            self.device.data.ptr, self.host.ctypes.data, self.host.nbytes, _HOST_TO_DEVICE,
            self.copies.ptr,
        )  # fmt: skip
        _let_follow(self.arrived, self.copies, callers)
        self.cupy.copyto(target, self.device)
        self.taken.record(callers)


def _first(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _user_line(error: BaseException) -> str:
    """``file:line`` of the innermost call that is neither gpunn's nor an installed package's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        compiled = not os.path.isabs(frame.filename)  # cupy/_core/core.pyx
        if not compiled and not any(package in frame.filename for package in _PACKAGES):
            return f"{frame.filename}:{frame.lineno}"
    return "?"
