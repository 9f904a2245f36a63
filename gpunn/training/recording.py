"""RecordedStep: a step for batches of one signature: two steps as they come, then replays.

The first run is eager and builds what is made lazily. The next two are real steps as well, and are
recorded; where both recordings agree, every later batch is copied into the recorded inputs and the
list of kernels is replayed. Where they do not, the step stays eager, and says why once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.autodiff import variable
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.recorder import Recorder, detached
from gpunn.training.data import leaves, map_structure

_MOST = 8  # recordings of one step: signatures that come rarely make room for others


class RecordedStep:
    """One function of a batch, run again and again on batches of the same shapes and dtypes."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self.runs = 0
        self.problem: str | None = None
        self.program: list[Callable[[], None]] | None = None
        self.result: Any = None
        self.arena_bytes = 0
        self._inputs: list[np.ndarray] | None = None
        self._tensors: tuple = ()
        self._first: Recorder | None = None
        self._rebinds = -1

    def __call__(self, batch: tuple, owned: bool) -> Any:
        """Run on a batch of host arrays; `owned`: they stay, and may serve as the inputs."""
        self.runs += 1
        if self.program is not None and self._rebinds == variable.rebinds.count:
            self._fill(batch)
            for call in self.program:
                call()
            return self.result
        if self.runs == 1 or self.problem is not None:
            return self.function(*map_structure(lambda a: Tensor(a), batch))
        return self._record(batch, owned)

    def _record(self, batch: tuple, owned: bool) -> Any:
        if self._inputs is None:
            fixed = batch if owned else map_structure(np.array, batch)
            self._inputs = leaves(fixed)
            self._tensors = map_structure(lambda a: Tensor(a), fixed)
        self._fill(batch)
        with Recorder(devices.cpu) as recorder:
            result = self.function(*self._tensors)
        if self._first is None or self._rebinds != variable.rebinds.count:
            self._first, self._rebinds = recorder, variable.rebinds.count
            return result
        self.problem = recorder.differs_from(self._first)
        self._first = None
        if self.problem is None:
            self.program = recorder.program()
            self.arena_bytes = recorder.arena.used + recorder.arena.cached
            self.result = map_structure(lambda t: Tensor(detached(t.data)), result)
        return result

    def _fill(self, batch: tuple) -> None:
        for place, array in zip(self._inputs or (), leaves(batch), strict=True):
            if place is not array:
                np.copyto(place, array)


class Recordings:
    """The recorded steps of one function, by the signature of the batch; a bounded number."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self.steps: OrderedDict[tuple, RecordedStep] = OrderedDict()

    def step(self, batch: tuple) -> RecordedStep:
        """The step for batches like this one."""
        key = tuple([(a.shape, a.dtype.char) for a in leaves(batch)])
        found = self.steps.get(key)
        if found is None:
            found = self.steps[key] = RecordedStep(self.function)
            if len(self.steps) > _MOST:
                self.steps.popitem(last=False)
        else:
            self.steps.move_to_end(key)
        return found
