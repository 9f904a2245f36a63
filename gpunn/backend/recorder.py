"""Recorder: the kernel calls of a step as a list that can be replayed on the CPU.

While it listens, arrays come from an arena that belongs to the recording. A temporary that dies
gives its memory back to the arena, so a later one takes its place: memory is planned by liveness.
The list holds views of the arena that do not keep it alive, and replaying is a loop over
`reference(np, *arrays, **options)`: no autodiff, no tensors, no array is made by us.

An array that is neither from the arena nor the same one in two recordings was made by something
that is no kernel, and would be stale in a replay: such a step is not replayable (`differs_from`).
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunn.backend.kernel import listeners
from gpunn.backend.numpy import BufferPool, NumpyBackend, on_loan

if TYPE_CHECKING:
    from collections.abc import Callable

    from gpunn.backend.kernel import Kernel

_PACKAGE = str(Path(__file__).resolve().parents[1])


def detached(array: Any) -> Any:
    """The same elements without the loan: the arena may lend the memory again."""
    memory = on_loan(array) if isinstance(array, np.ndarray) else None
    if memory is None:
        return array
    offset = _address(array) - _address(memory)
    return np.ndarray(array.shape, array.dtype, memory, offset, array.strides)


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def user_line() -> str:
    """``file:line`` of the innermost call that is not gpunn's own."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Recorder:
    """Listens to the kernel calls of one thread inside a ``with`` block."""

    def __init__(self, backend: NumpyBackend):
        self.backend = backend
        self.arena = BufferPool(smallest=0)
        self.calls: list[tuple[Kernel, tuple, dict]] = []
        self.marks: list[tuple] = []  # what must be equal in two recordings of one step
        self.problem: str | None = None
        self._fixed: list[Any] = []  # kept, so that their addresses are not used again
        self._thread = threading.get_ident()

    def __enter__(self) -> Recorder:
        self._pool, self.backend.pool = self.backend.pool, self.arena
        listeners.recorder = self
        return self

    def __exit__(self, *_: object) -> None:
        listeners.recorder = None
        self.backend.pool = self._pool

    def note(self, kernel: Kernel, arrays: tuple, options: dict) -> None:
        """Called by each kernel before it runs."""
        if threading.get_ident() != self._thread:
            return
        marks: list[tuple] = []
        for array in arrays:
            if isinstance(array, np.ndarray):
                place: Any = "arena"
                if on_loan(array) is None:
                    place = _address(array)
                    self._fixed.append(array)
                marks.append((place, array.shape, array.strides, array.dtype.char))
            else:
                marks.append((array,))
        values = [part for value in options.values() for part in _parts(value)]
        if any(isinstance(value, np.ndarray) for value in values):
            self.problem = f"{kernel.name} at {user_line()} takes arrays as options"
            return
        self.marks.append((kernel, tuple(marks), tuple(options.items())))
        self.calls.append((kernel, tuple(detached(a) for a in arrays), options))

    def host_read(self) -> None:
        """Called when a tensor's value is read on the host."""
        if threading.get_ident() == self._thread:
            self.problem = f"a value is read on the host at {user_line()}"

    def differs_from(self, other: Recorder) -> str | None:
        """Why a replay would not repeat this step, None if it would."""
        if self.problem or other.problem:
            return self.problem or other.problem
        if len(self.marks) != len(other.marks):
            return f"it called {len(other.marks)} kernels, then {len(self.marks)}"
        for mine, others in zip(self.marks, other.marks, strict=True):
            if mine != others:
                return f"'{mine[0].name}' got arrays or options that no kernel made"
        return None

    def program(self) -> list[Callable[[], None]]:
        """The calls, ready to run."""
        return [partial(k.reference, np, *arrays, **options) for k, arrays, options in self.calls]


def _parts(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)
