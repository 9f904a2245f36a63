"""gpunn's `fit` with two clocks in it: around the gathering, and the step or its program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.sides.gpunn import Fit, programs
from benchmarks.workloads import Workload
from gpunn.callbacks import Callback
from gpunn.training.data import ArrayData


class Clock:
    """A function that notes the seconds spent in it, and when it last ended."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self.seconds = self.end = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = self.function(*args, **kwargs)
        self.end = time.perf_counter()
        self.seconds += self.end - start
        return result


class ClockedData(ArrayData):
    """Arrays, and a clock around the gathering of each batch."""

    def batches(self, generator: Any = None) -> Iterator[Any]:
        self.gather = Clock(partial(next, super().batches(generator), None))
        return iter(self.gather, None)


class Clocks(Callback):
    """Sets a clock in the second epoch: in the first, the step is recorded."""

    def __init__(self, part: str):
        super().__init__()
        self.part = part  # "step" or "program"

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            found = programs(self.model)
            if len(found) != 1:
                raise RuntimeError(f"fit has recorded {len(found)} programs instead of one.")
            step, program = self.model.step, found[0]
            if self.part == "step":
                self.clock = step.train = Clock(step.train)
            else:
                self.clock = program.run = Clock(program.run)  # type: ignore[method-assign]
        self.start = time.perf_counter()


class ClockedFit(Fit):
    """`fit`, taken apart."""

    def __init__(self, workload: Workload, device: str):
        super().__init__(workload, device)
        self.compile()

    def parts(self) -> dict[str, float]:
        """Microseconds per batch, from two fits."""
        whole, gather, step = self._clocked("step")
        fit, taking, program = self._clocked("program")
        return {
            "outside": fit - taking - program,
            "loop": whole - gather - step,
            "gather": taking,
            "program": program,
            "fit": fit,
        }

    def _clocked(self, part: str) -> tuple[float, float, float]:
        """All, gathering and the part: from the epoch's start to the end of its last batch."""
        data, clocks = ClockedData(self.x, self.y, None, self.workload.batch), Clocks(part)
        self.model.fit(data, epochs=2, verbose=0, callbacks=[clocks])
        seconds = data.gather.end - clocks.start, data.gather.seconds, clocks.clock.seconds
        whole, gather, inside = (value / self.workload.steps * 1e6 for value in seconds)
        return whole, gather, inside
