"""The sides: one training loop per framework, as its users write it.

A side is made with `(workload, device)`: data and weights are in place. `compile()` adds loss and
optimizer, and `train(epochs, shuffle)` returns the seconds and the mean loss of each epoch; when it
returns, the device has finished. What is in these
seconds is the same everywhere: a new order (with `shuffle`), gathering each batch's rows, the
step, and summing the loss. The bare `gpunn step` is the exception: its batches lie ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from benchmarks.workloads import Workload

Epochs = list[tuple[float, float]]  # seconds, mean loss


class Side(Protocol):
    """One framework's way to train a workload."""

    def __init__(self, workload: Workload, device: str): ...

    def compile(self) -> None:
        """Choose loss and optimizer."""

    def train(self, epochs: int, shuffle: bool) -> Epochs:
        """Seconds and mean loss of each epoch."""


#: The rows of a table: "framework way" -> (module, class).
SIDES = {
    "gpunn fit": ("benchmarks.sides.gpunn", "Fit"),
    "gpunn eager": ("benchmarks.sides.gpunn", "Eager"),
    "gpunn step": ("benchmarks.sides.gpunn", "BareStep"),
    "torch loop": ("benchmarks.sides.torch", "Loop"),
    "torch last": ("benchmarks.sides.torch", "ChannelsLast"),
    "torch time": ("benchmarks.sides.torch", "TimeFirst"),
    "jax loop": ("benchmarks.sides.jax", "Loop"),
    "keras fit": ("benchmarks.sides.keras", "Fit"),
}
#: These take part on a GPU only.
GPU_SIDES = {"torch compile": ("benchmarks.sides.torch", "Compiled")}
PRECISIONS = ("fp32", "tf32", "bf16")


def names(device: str) -> list[str]:
    """The rows of a race on this device."""
    return [*SIDES, *(GPU_SIDES if device == "gpu" else ())]


def load(row: str) -> Any:
    """The class of a row; imports its framework."""
    module, name = (SIDES | GPU_SIDES)[row]
    return getattr(import_module(module), name)
