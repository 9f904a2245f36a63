"""What a workload's network is made of, in words that every side translates.

Arrays are channels-last, as in Keras: images are (n, H, W, C), sequences (n, T, F), kernels
(*sizes, in, out). Each layer knows the shape of its output (without the batch) and makes its
weights, in Keras' order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]


def glorot(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Glorot uniform for a kernel (*sizes, in, out)."""
    *sizes, n, m = shape
    limit = math.sqrt(6 / (math.prod(sizes) * (n + m)))
    return rng.uniform(-limit, limit, shape).astype("float32")


def per_channel(rng: np.random.Generator, sizes: Shape, channels: int) -> np.ndarray:
    """A depthwise kernel (*sizes, channels, 1): Glorot uniform for each channel on its own."""
    return np.concatenate([glorot(rng, (*sizes, 1, 1)) for _ in range(channels)], axis=-2)


def orthogonal(rng: np.random.Generator, n: int, m: int) -> np.ndarray:
    """n orthonormal rows of length m >= n."""
    return np.linalg.qr(rng.standard_normal((m, n)))[0].T.astype("float32")


def same_padding(length: int, size: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, as Keras and JAX have it: of an odd number, more after."""
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


@dataclass(frozen=True)
class Dense:
    """x W + b, then ReLU or nothing."""

    units: int
    relu: bool = False

    def output(self, shape: Shape) -> Shape:
        return (self.units,)

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        return [glorot(rng, (*shape, self.units)), np.zeros(self.units, "float32")]


@dataclass(frozen=True)
class Conv:
    """A convolution over all axes but the channels. A stride is for padding "same" only."""

    filters: int
    size: int
    relu: bool = False
    padding: str = "same"
    stride: int = 1
    bias: bool = True

    def output(self, shape: Shape) -> Shape:
        lost = self.size - 1 if self.padding == "valid" else 0
        return (*(-(-(n - lost) // self.stride) for n in shape[:-1]), self.filters)

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        sizes = (self.size,) * (len(shape) - 1)
        kernel = glorot(rng, (*sizes, shape[-1], self.filters))
        return [kernel, np.zeros(self.filters, "float32")][: 1 + self.bias]


@dataclass(frozen=True)
class Depthwise:
    """A filter of its own for each channel; images, padding "same"."""

    size: int
    stride: int = 1
    bias: bool = True

    def output(self, shape: Shape) -> Shape:
        return (*(-(-n // self.stride) for n in shape[:-1]), shape[-1])

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        kernel = per_channel(rng, (self.size, self.size), shape[-1])
        return [kernel, np.zeros(shape[-1], "float32")][: 1 + self.bias]


@dataclass(frozen=True)
class Separable:
    """A depthwise convolution without bias, then one of size 1; images, padding "same"."""

    filters: int
    size: int

    def output(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.filters)

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        depthwise = per_channel(rng, (self.size, self.size), shape[-1])
        pointwise = glorot(rng, (1, 1, shape[-1], self.filters))
        return [depthwise, pointwise, np.zeros(self.filters, "float32")]


@dataclass(frozen=True)
class MaxPool:
    """The maximum of windows side by side; images."""

    size: int

    def output(self, shape: Shape) -> Shape:
        return (*(n // self.size for n in shape[:-1]), shape[-1])

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        return []


@dataclass(frozen=True)
class Flatten:
    """All axes as one, channels last."""

    def output(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        return []


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization (ε 10⁻³, momentum 0.99), then ReLU or nothing; images."""

    relu: bool = False

    def output(self, shape: Shape) -> Shape:
        return shape

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        """γ, β and the two that training does not change: moving mean and variance."""
        return [np.full(shape[-1], value, "float32") for value in (1, 0, 0, 1)]


@dataclass(frozen=True)
class GlobalPool:
    """The mean of each channel; images."""

    def output(self, shape: Shape) -> Shape:
        return shape[-1:]

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        return []


@dataclass(frozen=True)
class Residual:
    """ReLU(path(x) + shortcut(x)); an empty shortcut is x itself."""

    path: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()

    def output(self, shape: Shape) -> Shape:
        *_, (last, before) = walk(self.path, shape)
        return last.output(before)


@dataclass(frozen=True)
class Embedding:
    """A vector for each token."""

    vocabulary: int
    features: int

    def output(self, shape: Shape) -> Shape:
        return (*shape, self.features)

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        return [rng.uniform(-0.05, 0.05, (self.vocabulary, self.features)).astype("float32")]


@dataclass(frozen=True)
class Recurrent:
    """An "lstm", or a "gru" with its reset after the product; sequences.

    Gives the last output, or all in `sequences`; of `both` directions side by side.
    """

    kind: str
    units: int
    sequences: bool = False
    both: bool = False

    def output(self, shape: Shape) -> Shape:
        features = self.units * (1 + self.both)
        return (shape[0], features) if self.sequences else (features,)

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        """W, U, b of each direction. Gates: i, f, c, o of an LSTM, b_f = 1; z, r, h of a GRU."""
        found, n = [], self.units
        for _ in range(1 + self.both):
            bias = np.zeros(4 * n if self.kind == "lstm" else (2, 3 * n), "float32")
            if self.kind == "lstm":
                bias[n : 2 * n] = 1
            width = bias.shape[-1]
            found += [glorot(rng, (shape[-1], width)), orthogonal(rng, n, width), bias]
        return found


@dataclass(frozen=True)
class StepMean:
    """The mean over the steps; sequences."""

    def output(self, shape: Shape) -> Shape:
        return shape[-1:]

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        return []


Image = Conv | Depthwise | Separable | MaxPool | BatchNorm | GlobalPool
Leaf = Dense | Flatten | Image | Embedding | Recurrent | StepMean
Layer = Leaf | Residual


def walk(layers: tuple[Layer, ...], shape: Shape) -> Iterator[tuple[Layer, Shape]]:
    """Each layer with the shape of its input."""
    for layer in layers:
        yield layer, shape
        shape = layer.output(shape)


def leaves(layers: tuple[Layer, ...], shape: Shape) -> Iterator[tuple[Leaf, Shape]]:
    """The same with the parts of a residual block in its place: those of its path come first."""
    for layer, before in walk(layers, shape):
        if isinstance(layer, Residual):
            yield from leaves(layer.path, before)
            yield from leaves(layer.shortcut, before)
        else:
            yield layer, before
