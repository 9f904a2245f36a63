"""Recorder: the kernel calls of a step, to be replayed.

A backend's `recorder(first)` gives one. It listens to the kernels of its thread inside a ``with``
block; a step that is recorded twice in the same way can be replayed (`differs_from`, `program`).
`HostRecorder` keeps a list of the calls, `gpunn.backend.capture` a CUDA graph.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpunn.backend.buffers import BufferPool, block_of
from gpunn.backend.protocol import Array
from gpunn.backend.thread import local

if TYPE_CHECKING:
    from gpunn.backend.kernel import Kernel

_PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

#: A kernel with its arrays, which do not keep the recording's memory, and its options.
Call = tuple["Kernel", tuple, dict]


class Program(Protocol):
    """What is replayed."""

    calls: list[Call]
    fixed: list[Array]  # that are not the recording's own: weights, inputs, states
    nbytes: int  # that belong to the recording, temporaries and results

    def run(self) -> None:
        """The next step."""


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def user_line() -> str:
    """``file:line`` of the innermost call that is not gpunn's own."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def before_replays(action: Callable[[], None]) -> None:
    """Do host work that a kernel's values depend on: now, and anew before each replay.

    It may fill arrays; the recording does not see its kernels.
    """
    recorder = local.recorder
    if recorder is None:
        action()
    else:
        recorder.repeat(action)


class Recorder:
    """Listens to the kernel calls of this thread inside a ``with`` block."""

    computes = True  # whether what is recorded is done at once, too
    is_last = True  # whether a recording that repeats another one can be replayed

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.marks: list[tuple] = []  # what must be equal in two recordings of one step
        self.lines: list[str] = []  # the user's line of each call
        self.before: list[Callable[[], None]] = []  # host work that goes before each replay
        self.fixed: list[Array] = []  # not the recording's: kept, for it holds their addresses
        self.problem: str | None = None

    def __enter__(self) -> Any:
        local.recorder = self
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        local.recorder = None
        return None

    def note(self, kernel: Kernel, arrays: tuple, options: dict) -> None:
        """Called by each kernel before it runs."""
        values = [part for value in options.values() for part in _parts(value)]
        if any(is_array(value) for value in values):
            self.problem = f"'{kernel.name}' takes arrays as options, at {user_line()}"
            return
        exact = {name: exactly(value) for name, value in options.items()}
        self.marks.append((kernel, [self.mark(a) for a in arrays], exact))
        self.lines.append(user_line())
        self.calls.append((kernel, tuple(self.detached(a) for a in arrays), options))

    def note_results(self, arrays: Sequence[Array]) -> None:
        """What the step returns is held to the same rule as what kernels read."""
        self.marks.append((None, [self.mark(a) for a in arrays], {}))
        self.lines.append("")

    def repeat(self, action: Callable[[], None]) -> None:
        """See `before_replays`. Where the recording computes nothing, its replay comes next."""
        if action in self.before:
            self.problem = f"the same host work comes twice in one step, at {user_line()}"
        self.before.append(action)
        self.marks.append((None, [action], {}))
        self.lines.append(user_line())
        if self.computes:
            local.recorder = None
            try:
                action()
            finally:
                local.recorder = self

    def host_read(self) -> None:
        """Called when a tensor's value is read on the host."""
        self.problem = f"a value is read on the host at {user_line()}"

    def host_data(self) -> None:
        """Called when an array of a GPU is made of data of the host: no replay would do that."""
        self.problem = f"an array is made of host data at {user_line()}"

    def mark(self, array: Any) -> tuple:
        """What must be the same of this argument the next time."""
        raise NotImplementedError

    def detached(self, array: Any) -> Any:
        """The same elements without a claim to the recording's memory, which is used again."""
        raise NotImplementedError

    def program(self) -> Program:
        """What was recorded, ready to run."""
        raise NotImplementedError

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


class HostProgram:
    """A replay is a loop over `reference(np, *arrays, **options)`: no autodiff, no tensors, and no
    array is made by us.
    """

    def __init__(self, recorder: HostRecorder):
        self.calls, self.fixed = recorder.calls, recorder.fixed
        self.nbytes = recorder.arena.used + recorder.arena.cached
        kernels = [
            partial(k.reference, np, *arrays, **options) for k, arrays, options in self.calls
        ]
        self._run: list[Callable[[], None]] = [*recorder.before, *kernels]

    def run(self) -> None:
        for call in self._run:
            call()


class HostRecorder(Recorder):
    """While it listens, arrays come from an arena that belongs to the recording; it takes over what
    lies on the shelves of `pool`, the buffers of the eager steps before. A temporary that dies
    gives its memory back to the arena, so a later one takes its place: memory is planned by
    liveness. The calls hold views of the arena that do not keep it alive.

    An array that a kernel reads or the step returns, and that is neither from the arena nor the
    same one in two recordings, was made by something that is no kernel, and would be stale in a
    replay: such a step is not replayable.
    """

    def __init__(self, pool: BufferPool, first: HostRecorder | None = None) -> None:
        super().__init__()
        self.arena: BufferPool = BufferPool(0, pool) if first is None else first.arena

    def _is_lent(self, array: Any) -> bool:
        block = block_of(array) if isinstance(array, np.ndarray) else None
        return block is not None and block.pool is self.arena

    def mark(self, array: Any) -> tuple:
        if not isinstance(array, np.ndarray):
            return (exactly(array),)
        place: Any = "arena"
        if not self._is_lent(array):
            place = _address(array)
            self.fixed.append(array)
        return place, array.shape, array.strides, array.dtype.char

    def detached(self, array: Any) -> Any:
        if not self._is_lent(array):
            return array
        memory = block_of(array).base
        offset = _address(array) - _address(memory)
        return np.ndarray(array.shape, array.dtype, memory, offset, array.strides)

    def program(self) -> HostProgram:
        return HostProgram(self)


def is_array(value: Any) -> bool:
    """True of arrays of the host and of a GPU."""
    return isinstance(value, np.ndarray) or hasattr(value, "__cuda_array_interface__")


def exactly(value: Any) -> Any:
    """What is equal for the same number only: a NaN equals itself, and 0.0 is not -0.0."""
    if isinstance(value, tuple):
        return tuple([exactly(part) for part in value])
    return repr(value) if isinstance(value, (float, np.floating)) else value


def _parts(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)
