"""gpunn: `fit`, and the bare training step without the loop around it."""

from __future__ import annotations

import time
from typing import Any

import gpunn
from benchmarks.sides import Epochs
from benchmarks.sides.keras import KerasFit, make
from benchmarks.workloads import Workload
from gpunn.backend import devices


def _data(workload: Workload, device: str) -> tuple[Any, Any]:
    """The data on the device, as in the PyTorch and JAX loops."""
    gpunn.device(device).use()
    backend = devices.current()
    x, y = workload.data()
    return backend.asarray(x), backend.asarray(y)


class Fit(KerasFit):
    """`model.fit`"""

    def __init__(self, workload: Workload, device: str):
        super().__init__(gpunn, workload, *_data(workload, device))


class BareStep:
    """`Step.train` on batches that are cut already, always in the same order."""

    def __init__(self, workload: Workload, device: str):
        x, y = _data(workload, device)
        cuts = range(0, len(x), workload.batch)
        self.batches = [(x[i : i + workload.batch], y[i : i + workload.batch]) for i in cuts]
        self.model = make(gpunn, workload)
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
