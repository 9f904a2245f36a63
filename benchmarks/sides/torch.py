"""PyTorch, eager: nn.Sequential and the usual loop.

Images with channels first or last in memory, sequences with batch or time first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from benchmarks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    Leaf,
    MaxPool,
    Recurrent,
    Residual,
    Separable,
    Shape,
    StepMean,
    same_padding,
    walk,
)
from benchmarks.sides import Epochs
from benchmarks.sides.torch_sequences import (
    MeanOverSteps,
    RecurrentModule,
    Vectors,
    has_steps,
    put_time_first,
)
from benchmarks.workloads import Workload

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

LOSSES: dict[str, Callable[..., Any]] = {
    "crossentropy": nn.functional.cross_entropy,
    "mse": nn.functional.mse_loss,
    "bce": nn.functional.binary_cross_entropy_with_logits,
}
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "adam": lambda parameters, rate: torch.optim.Adam(parameters, rate, eps=1e-7),
    "rmsprop": lambda parameters, rate: torch.optim.RMSprop(parameters, rate, alpha=0.9, eps=1e-7),
    "sgd": lambda parameters, rate: torch.optim.SGD(parameters, rate, momentum=0.9),
    "descent": lambda parameters, rate: torch.optim.SGD(parameters, rate),
}
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class ResidualBlock(nn.Module):
    """ReLU(path(x) + shortcut(x))"""

    def __init__(self, path: nn.Sequential, shortcut: nn.Sequential):
        super().__init__()
        self.path, self.shortcut = path, shortcut

    def forward(self, x: Any) -> Any:
        return torch.relu(self.path(x) + self.shortcut(x))


def make_modules(layer: Leaf, shape: Shape) -> list[nn.Module]:
    """The layer for an input of this shape (channels last)."""
    *sizes, n = shape
    found: list[nn.Module]
    match layer:
        case Dense(units):
            found = [nn.Linear(n, units)]
        case Conv(filters, size, _, padding, stride, bias):
            kind = CONVOLUTIONS[len(sizes) - 1]
            before, inside = paddings(sizes, size, stride, padding)
            found = [*before, kind(n, filters, size, stride, padding=inside, bias=bias)]
        case Depthwise(size, stride, bias):
            before, inside = paddings(sizes, size, stride, "same")
            found = [*before, nn.Conv2d(n, n, size, stride, inside, groups=n, bias=bias)]
        case Separable(filters, size):
            depthwise = nn.Conv2d(n, n, size, padding="same", groups=n, bias=False)
            found = [depthwise, nn.Conv2d(n, filters, 1)]
        case MaxPool(size):
            found = [nn.MaxPool2d(size)]
        case Flatten():
            found = [nn.Flatten()]
        case BatchNorm():
            found = [nn.BatchNorm2d(n, eps=1e-3, momentum=0.01)]  # 1 - Keras' momentum
        case GlobalPool():
            found = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        case Embedding(vocabulary, features):
            found = [Vectors(vocabulary, features)]
        case Recurrent():
            found = [RecurrentModule(layer, n)]
        case StepMean():
            found = [MeanOverSteps()]
    return [*found, nn.ReLU()] if getattr(layer, "relu", False) else found


def paddings(sizes: list[int], size: int, stride: int, padding: str) -> tuple[list[Any], Any]:
    """Modules before a convolution, and its own padding. PyTorch's pads all sides alike."""
    if stride == 1:
        return [], padding
    sides = [same_padding(length, size, stride) for length in sizes]
    if all(before == after for before, after in sides):
        return [], tuple(before for before, _ in sides)
    height, width = sides
    return [nn.ZeroPad2d((*width, *height))], 0


def make_stack(layers: tuple[Layer, ...], shape: Shape, weights: Iterator[Any]) -> nn.Sequential:
    """All layers, one after the other, with their weights."""
    stack: list[nn.Module] = []
    flattened = None
    for layer, before in walk(layers, shape):
        if isinstance(layer, Residual):
            parts = [make_stack(part, before, weights) for part in (layer.path, layer.shortcut)]
            stack.append(ResidualBlock(*parts))
            continue
        for module in make_modules(layer, before):
            stack.append(module)
            if isinstance(module, (RecurrentModule, Vectors)):
                module.load(weights)
                continue
            for tensor in tensors(module):
                values = in_torch_order(next(weights), flattened)
                tensor.data = torch.from_numpy(values).reshape(tensor.shape)
        flattened = before if isinstance(layer, Flatten) else None
    return nn.Sequential(*stack)


def tensors(module: nn.Module) -> list[Any]:
    """Parameters and averages, in Keras' order."""
    if isinstance(module, nn.BatchNorm2d):
        return [*module.parameters(), module.running_mean, module.running_var]
    return list(module.parameters())


def make(workload: Workload) -> nn.Sequential:
    """The model, with the workload's weights."""
    model = make_stack(workload.layers, workload.shape, iter(workload.weights()))
    for module in model.modules():
        if isinstance(module, Vectors):
            module.sparse = workload.optimizer == "descent"  # the others need all gradients
    return model


def in_torch_order(values: np.ndarray, flattened: Shape | None) -> np.ndarray:
    """(*sizes, in, out) -> (out, in, *sizes). `flattened`: the shape before Flatten, if just there.

    PyTorch flattens (channels, *sizes), so the rows of the kernel behind it change places.
    """
    if values.ndim == 1:
        return values
    if flattened is not None:
        apart = values.reshape(*flattened, -1)
        values = np.moveaxis(apart, -2, 0).reshape(values.shape)
    return np.ascontiguousarray(np.moveaxis(values, (-1, -2), (0, 1)))


class Loop:
    """zero_grad, forward, backward, step."""

    def __init__(self, workload: Workload, device: str):
        self.device = "cuda" if device == "gpu" else "cpu"
        self.workload, self.batch = workload, workload.batch
        tf32 = workload.precision == "tf32"  # PyTorch's default: for convolutions only
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        half = partial(torch.autocast, self.device, torch.bfloat16)
        self.precision = half if workload.precision == "bf16" else nullcontext
        self.x, self.y = (self.stored(torch.from_numpy(a)) for a in workload.data())
        if workload.loss == "crossentropy":
            self.y = self.y.long()
        self.model: Any = make(workload).to(self.device)

    def stored(self, data: Any) -> Any:
        """The data on the device, in the layout in which the batches are gathered."""
        moved = data.ndim > 2 and not has_steps(self.workload.layers)
        return (data.movedim(-1, 1) if moved else data).contiguous().to(self.device)

    def gathered(self, data: Any, rows: Any) -> Any:
        """A batch (n, channels, *sizes), or (n, T, F) for recurrent layers."""
        return data[rows]

    def compile(self) -> None:
        self.loss = LOSSES[self.workload.loss]
        self.optimizer = OPTIMIZERS[self.workload.optimizer](
            self.model.parameters(), self.workload.learning_rate
        )

    def train(self, epochs: int, shuffle: bool) -> Epochs:
        return [self._epoch(shuffle) for _ in range(epochs)]

    def _epoch(self, shuffle: bool) -> tuple[float, float]:
        start, n = time.perf_counter(), len(self.y)
        order = torch.arange(n, device=self.device)
        if shuffle:
            order = torch.randperm(n, device=self.device)
        total = torch.zeros((), device=self.device)
        for i in range(0, n, self.batch):
            rows = order[i : i + self.batch]
            x, y = self.gathered(self.x, rows), self.gathered(self.y, rows)
            self.optimizer.zero_grad()
            with self.precision():
                loss = self.loss(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        mean = float(total) * self.batch / n  # waits for the device
        return time.perf_counter() - start, mean


class ChannelsLast(Loop):
    """The same with the channels last in memory; the shapes are PyTorch's."""

    formats: ClassVar[dict[int, Any]] = {4: torch.channels_last, 5: torch.channels_last_3d}

    def __init__(self, workload: Workload, device: str):
        ndim = len(workload.shape) + 1
        if ndim not in self.formats:
            raise ValueError("PyTorch's channels_last is for images and volumes")
        super().__init__(workload, device)
        self.model.to(memory_format=self.formats[ndim])

    def stored(self, data: Any) -> Any:
        return data.to(self.device)

    def gathered(self, data: Any, rows: Any) -> Any:
        batch = data[rows]
        return batch.movedim(-1, 1) if batch.ndim > 2 else batch


class TimeFirst(Loop):
    """The same with sequences as (T, n, ...), PyTorch's default for recurrent layers."""

    def __init__(self, workload: Workload, device: str):
        if not has_steps(workload.layers):
            raise ValueError("only sequences can have their time first")
        super().__init__(workload, device)
        put_time_first(self.model)
        self.x = self.x.transpose(0, 1).contiguous()

    def gathered(self, data: Any, rows: Any) -> Any:
        return data[:, rows] if data is self.x else data[rows]


class Compiled:
    """The loop around `torch.compile(model)`, the channels last in memory where there is such."""

    def __init__(self, workload: Workload, device: str):
        images = len(workload.shape) + 1 in ChannelsLast.formats
        self.loop = (ChannelsLast if images else Loop)(workload, device)

    def compile(self) -> None:
        self.loop.compile()
        self.loop.model = torch.compile(self.loop.model)

    def train(self, epochs: int, shuffle: bool) -> Epochs:
        return self.loop.train(epochs, shuffle)
