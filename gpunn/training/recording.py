"""RecordedStep: one function of batches of one signature, recorded once and then replayed.

The first run is eager and builds what is made lazily. The next two are real steps as well, and are
recorded; where both recordings agree, every later batch is copied into the recorded inputs and the
list of kernels is replayed. Where they do not, the step stays eager, and says why once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.recorder import Recorder
from gpunn.changes import changes
from gpunn.training.data import leaves, map_structure

_MOST_WASTED = 8
_MOST = 8  # recordings of one step: signatures that come rarely make room for others


class _Program:
    """What is replayed: kernel calls, and views of their results."""

    def __init__(self, recorder: Recorder, result: Any):
        self.calls = recorder.program()
        self.arena_bytes = recorder.arena.used + recorder.arena.cached
        self.result = map_structure(lambda t: Tensor(recorder.detached(t.data)), result)

    def run(self) -> Any:
        """The next step."""
        for call in self.calls:
            call()
        return self.results()

    def results(self) -> Any:
        """Copies of the results, for the next run overwrites them."""
        return map_structure(lambda t: Tensor(np.array(t.data)), self.result)


class RecordedStep:
    """Runs on batches of the same structure, shapes and dtypes; one thread at a time replays."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self.problem: str | None = None  # why it stays eager
        self.program: _Program | None = None
        self._first: Recorder | None = None  # the recording that the next one shall repeat
        self._warm = False
        self._wasted = 0  # recordings that were stale before they could be repeated, in a row
        self._made_at = -1  # the count of changes at which program or first were made
        self._inputs: Any = None
        self._lock = threading.Lock()

    def __call__(self, batch: tuple, owned: bool) -> Any:
        """Run on a batch of host arrays; `owned`: they stay, and may serve as the inputs."""
        if self.problem is None and self._warm and self._lock.acquire(blocking=False):
            try:
                if self._made_at != changes.count:
                    self._start_anew()
                if self._inputs is None:
                    self._inputs = batch if owned else map_structure(np.array, batch)
                for place, array in zip(leaves(self._inputs), leaves(batch), strict=True):
                    if place is not array:
                        np.copyto(place, array)
                return self._record() if self.program is None else self.program.run()
            finally:
                self._lock.release()
        self._warm = True
        return self.function(*map_structure(Tensor, batch))

    def _start_anew(self) -> None:
        """Forget the recording: something has changed since."""
        if self._first is not None:
            self._wasted += 1
            if self._wasted == _MOST_WASTED:
                self.problem = "settings of layers, or others, change in every step"
        self.program = self._first = None

    def _record(self) -> Any:
        before = changes.count
        with Recorder(devices.cpu) as recorder:
            result = self.function(*map_structure(Tensor, self._inputs))
            recorder.note_results([t.data for t in leaves(result)])
        if self._first is None:
            self._first, self._made_at = recorder, changes.count
            return result
        self.problem = recorder.differs_from(self._first)
        if self.problem is None and changes.count != before:
            self.problem = "each step sets an attribute of a layer or another setting"
        self._first = None
        if self.problem is None:
            self._wasted = 0
            self.program = _Program(recorder, result)
            return self.program.results()
        return result


class Recordings:
    """The recorded steps of one function, by the signature of the batch; a bounded number."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self.steps: OrderedDict[Any, RecordedStep] = OrderedDict()

    def for_batch(self, batch: tuple) -> RecordedStep:
        """The recorded step for batches like this one."""
        key = _signature(batch)
        found = self.steps.get(key)
        if found is None:
            found = self.steps[key] = RecordedStep(self.function)
            if len(self.steps) > _MOST:
                self.steps.popitem(last=False)
        else:
            self.steps.move_to_end(key)
        return found


def _signature(value: Any) -> Any:
    """Structure, shapes and dtypes of a batch."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.char
    if isinstance(value, dict):
        return tuple([(k, _signature(v)) for k, v in value.items()])
    if isinstance(value, (tuple, list)):
        return tuple([_signature(v) for v in value])
    return value
