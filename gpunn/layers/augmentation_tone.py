"""Layers that change the tones and the sharpness of images."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import ops
from gpunn.arguments import whole_number
from gpunn.errors import ShapeError
from gpunn.layers.augmentation_color import Recolored, checked_range
from gpunn.layers.augmentation_factor import overlapping, within
from gpunn.random import uniform


def _share(kind: str, name: str, factor: Any) -> tuple[float, float]:
    """A number f for (0, f), or a pair, from 0 to 1."""
    low, high = within(kind, name, factor, lambda v: 0 <= v <= 1, "[0, 1]")
    return (low, high) if isinstance(factor, (list, tuple)) else (0, high)


class _Toned(Recolored):
    """Base: images whose `value_range` is brought to (0, 255), and back."""

    def _bytes(self, images: Any, back: bool = False) -> Any:
        if tuple(map(float, self.value_range)) == (0, 255):
            return images
        return self._unit(images / 255, back=True) if back else self._unit(images) * 255


class RandomPosterization(_Toned):
    """In training, the values of each image with fewer bits, from factor[0] to factor[1] - 1 of 8.

    `factor`: a number b for (1, b), or a pair; of equal ones, this one.

    >>> gpunn.layers.RandomPosterization((4, 4))
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("RandomPosterization", factor, 1, 8)
        self.value_range = sorted(checked_range("RandomPosterization", value_range))

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """How many bits each image loses: {"shift_factor": (N,)}."""
        low, high = self.factor
        bits = uniform((data.shape[0],), low, high, dtype="float32", seed=self._stream(seed))
        return {"shift_factor": 8 - ops.floor(bits)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        x = self._bytes(self._compute(images))
        shift = ops.cast(ops.reshape(transformation["shift_factor"], (-1, 1, 1, 1)), x.dtype)
        step = ops.exp2(shift)
        return self._bytes(ops.floor(x / step) * step, back=True)


class Solarization(_Toned):
    """In training y = x + a, inverted where it is not below t; a and t from
    U(factor[0], 255 · factor[1]) for each image, of values from 0 to 255.

    `addition_factor`, `threshold_factor`: a number f for (0, f), or a pair, from 0 to 1.

    >>> gpunn.layers.Solarization(threshold_factor=(0.5, 0.5))
    """

    settings = ("value_range", "addition_factor", "threshold_factor")

    def __init__(
        self, addition_factor: Any = 0.0, threshold_factor: Any = 0.0,
        value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, **kwargs)
        self.addition_factor = _share("Solarization", "addition_factor", addition_factor)
        self.threshold_factor = _share("Solarization", "threshold_factor", threshold_factor)
        self.value_range = sorted(checked_range("Solarization", value_range))

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """{"additions": (N, 1, 1, 1), "thresholds": (N, 1, 1, 1)}"""
        additions, thresholds = (
            self._uniform(data, low, high * 255, seed)
            for low, high in (self.addition_factor, self.threshold_factor)
        )
        return {"additions": additions, "thresholds": thresholds}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        x = self._compute(images)
        if not training:
            return x
        x = ops.clip(self._bytes(x) + transformation["additions"], 0.0, 255.0)
        x = ops.where(ops.less(x, transformation["thresholds"]), x, 255 - x)
        return self._bytes(x, back=True)


class _Determined(_Toned):
    """Base: nothing is drawn."""

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """None."""
        return None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["seed"]
        return config


class AutoContrast(_Determined):
    """y = the values of each channel of each image stretched to the whole `value_range`, in
    training and at inference. A channel of one value stays as it is.

    >>> gpunn.layers.AutoContrast(value_range=(0, 1))
    """

    settings = ("value_range",)

    def __init__(self, value_range: Any = (0, 255), **kwargs: Any):
        super().__init__(None, **kwargs)
        self.value_range = sorted(checked_range("AutoContrast", value_range))

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        given = self._compute(images)
        x = self._bytes(given)
        low = ops.min(x, axis=self.spatial_axes, keepdims=True)
        high = ops.max(x, axis=self.spatial_axes, keepdims=True)
        flat = ops.equal(low, high)
        scale = 255 / ops.where(flat, 1.0, high - low)
        y = self._bytes(ops.clip(x * scale - low * scale, 0.0, 255.0), back=True)
        return ops.where(flat, given, y)


class Equalization(_Determined):
    """In training, values by their rank: y = 255 (F(x) - F₀) / (1 - F₀), F the share of values up
    to that of x in the histogram of its channel over the batch, F₀ that of the lowest.

    >>> gpunn.layers.Equalization(value_range=(0, 1), bins=64)
    """

    settings = ("value_range", "bins")

    def __init__(
        self, value_range: Any = (0, 255), bins: int = 256, data_format: str | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(None, data_format, **kwargs)
        self.value_range = sorted(checked_range("Equalization", value_range))
        self.bins = whole_number("Equalization: bins", bins)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        axis = 3 if self.data_format == "channels_last" else 1
        x = ops.moveaxis(self._bytes(self._compute(images)), axis, 0)
        channels = x.shape[0]
        if channels is None:
            raise ShapeError(f"Equalization '{self.name}': how many channels there are is unknown.")
        rows = ops.reshape(x, (channels, -1))
        bins = ops.clip(ops.floor(rows / 255 * (self.bins - 1)), 0.0, float(self.bins - 1))
        bins = ops.cast(bins, "int32")
        table, flat = self._table(bins)
        places = bins + ops.reshape(ops.arange(channels) * self.bins, (channels, 1))
        y = ops.cast(ops.take(ops.reshape(table, -1), places), rows.dtype)
        y = ops.reshape(ops.where(flat, rows, y), x.shape)
        return self._bytes(ops.moveaxis(y, 0, axis), back=True)

    def _table(self, bins: Any) -> tuple[Any, Any]:
        """The new value of each bin (channels, bins), and which channels have one bin only."""
        counts = ops.token_counts(bins, self.bins, dtype="int32")
        sums = ops.cast(ops.cumsum(counts, axis=1), "float32")
        lowest = ops.min(ops.where(ops.greater(sums, 0.0), sums, np.inf), axis=1, keepdims=True)
        rest = ops.max(sums, axis=1, keepdims=True) - lowest
        table = (sums - lowest) * 255 / ops.where(ops.equal(rest, 0), 1.0, rest)
        return ops.clip(ops.rint(table), 0.0, 255.0), ops.equal(rest, 0)
