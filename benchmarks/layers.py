"""What a workload's network is made of, in words that every side translates.

Arrays are channels-last, as in Keras: images are (n, H, W, C), kernels (*sizes, in, out). Each
layer knows the shape of its output (without the batch) and makes its weights, in Keras' order.
"""

from __future__ import annotations

import math
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
    """A convolution over all axes but the channels, with stride 1 and a bias."""

    filters: int
    size: int
    relu: bool = False
    padding: str = "same"

    def output(self, shape: Shape) -> Shape:
        lost = self.size - 1 if self.padding == "valid" else 0
        return (*(n - lost for n in shape[:-1]), self.filters)

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        sizes = (self.size,) * (len(shape) - 1)
        kernel = glorot(rng, (*sizes, shape[-1], self.filters))
        return [kernel, np.zeros(self.filters, "float32")]


@dataclass(frozen=True)
class Depthwise:
    """A filter of its own for each channel, a bias; images, padding "same"."""

    size: int

    def output(self, shape: Shape) -> Shape:
        return shape

    def weights(self, rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
        kernel = per_channel(rng, (self.size, self.size), shape[-1])
        return [kernel, np.zeros(shape[-1], "float32")]


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


Layer = Dense | Conv | Depthwise | Separable | MaxPool | Flatten
