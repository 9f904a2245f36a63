"""RecordedStep: one function of batches of one signature, recorded once and then replayed.

The first run is eager and builds what is made lazily. The next two are real steps as well, and are
recorded; where both recordings agree, every later batch is copied into the recorded inputs and the
program is replayed: a list of kernels on the CPU, a CUDA graph on a GPU. Where they do not, the
step stays eager, and says why once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.recorder import Program, Recorder, is_array
from gpunn.changes import changes
from gpunn.structure import leaves, map_structure
from gpunn.training.data import to_tensors

_MOST_WASTED = 8
_MOST = 8  # recordings of one step: signatures that come rarely make room for others
_MOST_BYTES = 1 << 30  # of all recordings of one step but the newest


def quiet() -> np.errstate:
    """Overflow gives infinity without NumPy's warnings, as on a GPU."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


class RecordedStep:
    """Runs on batches of the same structure, shapes and dtypes; one thread at a time replays."""

    def __init__(self) -> None:
        self.problem: str | None = None  # why it stays eager
        self.program: Program | None = None
        self.result: Any = None  # what the program writes its results into
        self._first: Recorder | None = None  # the recording that the next one shall repeat
        self._warm = False
        self._wasted = 0  # recordings that were stale before they could be repeated, in a row
        self._made_at = -1  # the count of changes at which program or first were made
        self._inputs: Any = None
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that the recording keeps."""
        return 0 if self.program is None else self.program.nbytes

    def host_inputs(self) -> Any:
        """The recorded inputs where they are host arrays: a batch made there is not copied."""
        arrays = map_structure(lambda place: place.array, self._inputs)
        return arrays if all(isinstance(array, np.ndarray) for array in leaves(arrays)) else None

    def __call__(self, function: Callable[..., Any], batch: tuple, owned: bool = False) -> Any:
        """Run the function on a batch of arrays; `owned`: they stay, and may serve as inputs.

        It is not kept: with its owner it would be a circle, whose large buffers wait for `gc`.
        """
        if self.problem is None and self._warm and self._lock.acquire(blocking=False):
            try:
                if self._made_at != changes.count:
                    self._start_anew()
                if self._inputs is None:
                    fix = partial(devices.current().fixed_input, owned=owned)
                    self._inputs = map_structure(fix, batch)
                for place, array in zip(leaves(self._inputs), leaves(batch), strict=True):
                    place.take(array)
                program = self.program
                return self._record(function) if program is None else self._replay(program)
            finally:
                self._lock.release()
        result = function(*to_tensors(batch))
        self._warm = True  # an error may have come before all was made that is made lazily
        return map_structure(_copied, result)

    def _replay(self, program: Program) -> Any:
        """The next step; copies of its results, for the one after it overwrites them."""
        program.run()
        return map_structure(_copied, self.result)

    def _start_anew(self) -> None:
        """Forget the recording: something has changed since."""
        if self._first is not None:
            self._wasted += 1
            if self._wasted == _MOST_WASTED:
                self.problem = "settings of layers, or others, change in every step"
        self.program = self._first = self.result = None

    def _record(self, function: Callable[..., Any]) -> Any:
        """A step that is listened to, the first or the second time."""
        before, first, result = changes.count, self._first, None
        inputs = map_structure(lambda place: Tensor(place.array), self._inputs)
        recorder = devices.current().recorder(first)
        with recorder:
            result = function(*inputs)
            recorder.note_results([t.data if isinstance(t, Tensor) else t for t in leaves(result)])
        if first is None:
            self._first, self._made_at = recorder, changes.count
            self.problem = self.problem or recorder.problem
            return map_structure(_copied, result)
        self._first = None
        self.problem = recorder.differs_from(first)
        if self.problem is None and changes.count != before:
            self.problem = "each step sets an attribute of a layer or another setting"
        if self.problem is None and not recorder.is_last:
            self._first = recorder
        elif self.problem is None:
            self._wasted = 0
            self.program = recorder.program()
            self.result = map_structure(partial(_detached, recorder), result)
        if recorder.computes:
            return map_structure(_copied, result)
        if self.program is None:
            return map_structure(_copied, function(*inputs))
        return self._replay(self.program)


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return Tensor(value.data.copy())
    return value.copy() if is_array(value) else value


def _detached(recorder: Recorder, value: Any) -> Any:
    if isinstance(value, Tensor):
        return Tensor(recorder.detached(value.data))
    return recorder.detached(value) if is_array(value) else value


class Recordings:
    """The recorded steps of one function, by the signature of the batch; a bounded number."""

    def __init__(self) -> None:
        self.steps: OrderedDict[Any, RecordedStep] = OrderedDict()

    def known(self, key: Any) -> RecordedStep | None:
        """The recorded step under this key and device, if there is one."""
        return self.steps.get((devices.current().device, key))

    def find(self, key: Any) -> RecordedStep:
        """The recorded step under this key and device, made where there is none."""
        key = devices.current().device, key
        found = self.steps.get(key)
        if found is None:
            found = self.steps[key] = RecordedStep()
            self._make_room()
        else:
            self.steps.move_to_end(key)
        return found

    def _make_room(self) -> None:
        """Forget what was used longest ago, where there are too many or too large ones."""
        nbytes = sum(step.nbytes for step in self.steps.values())
        while len(self.steps) > _MOST or (nbytes > _MOST_BYTES and len(self.steps) > 1):
            _, oldest = self.steps.popitem(last=False)
            nbytes -= oldest.nbytes
