"""Recorder: the kernel calls of a step as a list that can be replayed on the CPU.

While it listens, arrays come from an arena that belongs to the recording. A temporary that dies
gives its memory back to the arena, so a later one takes its place: memory is planned by liveness.
The list holds views of the arena that do not keep it alive, and replaying is a loop over
`reference(np, *arrays, **options)`: no autodiff, no tensors, no array is made by us.

An array that a kernel reads or the step returns, and that is neither from the arena nor the same
one in two recordings, was made by something that is no kernel, and would be stale in a replay:
such a step is not replayable (`differs_from`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunn.backend.numpy import BufferPool, NumpyBackend, block_of
from gpunn.backend.thread import local

if TYPE_CHECKING:
    from gpunn.backend.kernel import Kernel

_PACKAGE = str(Path(__file__).resolve().parents[1])


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def user_line() -> str:
    """``file:line`` of the innermost call that is not gpunn's own."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Recorder:
    """Listens to the kernel calls of this thread inside a ``with`` block."""

    def __init__(self, backend: NumpyBackend):
        self.backend = backend
        self.arena = BufferPool(smallest=0)
        self.calls: list[tuple[Kernel, tuple, dict]] = []
        self.marks: list[tuple] = []  # what must be equal in two recordings of one step
        self.lines: list[str] = []  # the user's line of each call
        self.problem: str | None = None
        self._fixed: list[Any] = []  # kept, so that their addresses are not used again

    def __enter__(self) -> Recorder:
        local.recorder = self
        return self

    def __exit__(self, *_: object) -> None:
        local.recorder = None

    def note(self, kernel: Kernel, arrays: tuple, options: dict) -> None:
        """Called by each kernel before it runs."""
        values = [part for value in options.values() for part in _parts(value)]
        if any(isinstance(value, np.ndarray) for value in values):
            self.problem = f"'{kernel.name}' takes arrays as options, at {user_line()}"
            return
        self.marks.append((kernel, [self._mark(a) for a in arrays], options))
        self.lines.append(user_line())
        self.calls.append((kernel, tuple(self.detached(a) for a in arrays), options))

    def note_results(self, arrays: Sequence[Any]) -> None:
        """What the step returns is held to the same rule as what kernels read."""
        self.marks.append((None, [self._mark(a) for a in arrays], {}))
        self.lines.append("")

    def host_read(self) -> None:
        """Called when a tensor's value is read on the host."""
        self.problem = f"a value is read on the host at {user_line()}"

    def _is_lent(self, array: Any) -> bool:
        block = block_of(array) if isinstance(array, np.ndarray) else None
        return block is not None and block.pool is self.arena

    def _mark(self, array: Any) -> tuple:
        if not isinstance(array, np.ndarray):
            return (array,)
        place: Any = "arena"
        if not self._is_lent(array):
            place = _address(array)
            self._fixed.append(array)
        return place, array.shape, array.strides, array.dtype.char

    def detached(self, array: Any) -> Any:
        """The same elements without the loan: the arena may lend the memory again."""
        if not self._is_lent(array):
            return array
        memory = block_of(array).base
        offset = _address(array) - _address(memory)
        return np.ndarray(array.shape, array.dtype, memory, offset, array.strides)

    def differs_from(self, other: Recorder) -> str | None:
        """Why a replay would not repeat this step, None if it would."""
        if self.problem or other.problem:
            return self.problem or other.problem
        if len(self.marks) != len(other.marks):
            return f"it called {len(other.marks)} kernels, then {len(self.marks)}"
        for mine, others, line in zip(self.marks, other.marks, self.lines, strict=True):
            if mine != others:
                if mine[0] is None:
                    return "it returns an array that no kernel made"
                return f"'{mine[0].name}' got arrays or options that no kernel made, at {line}"
        return None

    def program(self) -> list[Callable[[], None]]:
        """The calls, ready to run."""
        return [partial(k.reference, np, *arrays, **options) for k, arrays, options in self.calls]


def _parts(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)
