"""gpunn: `fit`, recorded and eager, and the bare training step without the loop around it."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import gpunn
from benchmarks.sides import Epochs
from benchmarks.sides.keras import KerasFit, compile_model, make
from benchmarks.workloads import Workload
from gpunn.backend import devices
from gpunn.backend.recorder import Program


def _data(workload: Workload, device: str) -> tuple[Any, Any]:
    """The data on the device, as in the PyTorch and JAX loops."""
    gpunn.device(device).use()
    _set_precision(workload.precision)
    backend = devices.current()
    x, y = workload.data()
    return backend.asarray(x), backend.asarray(y)


def _set_precision(precision: str) -> None:
    gpunn.config.set_matmul_precision("high" if precision == "tf32" else "highest")
    gpunn.config.set_dtype_policy("mixed_bfloat16" if precision == "bf16" else "float32")


class Fit(KerasFit):
    """`model.fit`"""

    def __init__(self, workload: Workload, device: str):
        super().__init__(gpunn, workload, *_data(workload, device))


class Eager(Fit):
    """`model.fit` without recordings: each step runs through layers, tape and optimizer."""

    options: ClassVar[dict[str, Any]] = {"jit_compile": False}


class BareStep:
    """`Step.train` on batches that are cut already, always in the same order."""

    def __init__(self, workload: Workload, device: str):
        self.workload = workload
        x, y = _data(workload, device)
        cuts = range(0, len(x), workload.batch)
        self.batches = [(x[i : i + workload.batch], y[i : i + workload.batch]) for i in cuts]
        self.model = make(gpunn, workload)

    def compile(self) -> None:
        compile_model(self.model, gpunn, self.workload)
        self.step = self.model.make_step(self.batches[0][0])

    def train(self, epochs: int, shuffle: bool) -> Epochs:
        found = []
        for _ in range(epochs):
            start = time.perf_counter()
            self.model.reset_metrics()
            for x, y in self.batches:
                self.step.train(x, y, None)
            loss = float(self.model.get_metrics_result()["loss"])
            devices.current().synchronize()
            found.append((time.perf_counter() - start, loss))
        return found


def programs(model: Any) -> list[Program]:
    """What the model's fits have recorded: one program for each shape of batches."""
    found = model.step.recordings.get("train")
    steps = [] if found is None else found.steps.values()
    return [step.program for step in steps if step.program is not None]
