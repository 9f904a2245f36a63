"""Layers that change the contrast and the brightness of images at random in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.dtypes import is_float, to_float
from gpunn.errors import ShapeError
from gpunn.layers.augmentation import ImageAugmentation
from gpunn.layers.augmentation_factor import overlapping
from gpunn.random import uniform


def checked_range(kind: str, value_range: Any) -> Any:
    """`value_range`, if it is a pair (lowest, highest) of numbers, the values that images have."""
    numbers = (int, float, np.integer, np.floating)
    pair = isinstance(value_range, (list, tuple)) and len(value_range) == 2
    if not pair or not all(isinstance(v, numbers) for v in value_range):
        raise ValueError(
            f"{kind}: value_range must be a pair (lowest, highest) of numbers, received "
            f"{value_range!r}."
        )
    return value_range


class Recolored(ImageAugmentation):
    """Base: a number an image, (N, 1, 1, 1), changes its values; masks stay as they are."""

    factor: tuple[float, float]
    value_range: Any
    settings: tuple[str, ...] = ("factor", "value_range")  # of the config

    def _uniform(self, images: Any, low: float, high: float, seed: Any) -> Any:
        shape = (images.shape[0], 1, 1, 1)
        dtype = to_float(self.compute_dtype)
        return uniform(shape, low, high, dtype=dtype, seed=self._stream(seed))

    def _unit(self, images: Any, back: bool = False) -> Any:
        """The images with `value_range` brought to (0, 1), or back."""
        low, high = map(float, self.value_range)
        if (low, high) == (0, 1):
            return images
        return images * (high - low) + low if back else (images - low) / (high - low)

    def _clipped(self, images: Any) -> Any:
        return ops.clip(images, *map(float, self.value_range))

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The masks: colours do not change where things are."""
        return segmentation_masks

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{name: getattr(self, name) for name in self.settings}}


class RandomContrast(Recolored):
    """In training y = clip(mean + (x - mean) · U(1 - factor[0], 1 + factor[1])), with the mean of
    each channel of each image; else y = x.

    `factor`: a number f for (0, f), as in Keras 3, or a pair. `value_range`: what values are held
    to. Integers give floats.

    >>> gpunn.layers.RandomContrast((0.2, 0.2))
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any
    ):
        super().__init__(seed, **kwargs)
        self.factor = overlapping("RandomContrast", factor, 0, 1)
        self.value_range = checked_range("RandomContrast", value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """The factor of the contrast of each image."""
        return self._uniform(data, 1 - self.factor[0], 1 + self.factor[1], seed)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        x = images if is_float(images.dtype) else ops.cast(images, "float32")
        mean = ops.mean(x, axis=self.spatial_axes, keepdims=True)
        return self._clipped((x - mean) * transformation + mean)


class RandomBrightness(Recolored):
    """In training y = clip(x + U(factor) · (high - low)), for value_range (low, high); else y = x.

    `factor`: a number f for (-f, f), or a pair; 1 makes black white. Integers stay integers: what
    is added to them is cut to a whole number.

    >>> gpunn.layers.RandomBrightness(0.2, value_range=(0, 1))
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any
    ):
        super().__init__(seed, **kwargs)
        self.factor = overlapping("RandomBrightness", factor, -1, 1)
        self.value_range = sorted(checked_range("RandomBrightness", value_range))

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """What is added to each image."""
        low, high = self.value_range
        return self._uniform(data, *self.factor, seed) * float(high - low)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        if is_float(images.dtype):
            return self._clipped(images + transformation)
        x = ops.cast(images, "float32") + ops.trunc(ops.cast(transformation, "float32"))
        return ops.cast(self._clipped(x), images.dtype)


class RandomColorDegeneration(Recolored):
    """In training y = clip(x + f (grey x - x)), f from U(factor) for each image; else y = x.

    f = 0 leaves the image, 1 makes it grey, -1 is far from grey. `factor`: a number f for (-f, f),
    or a pair. `value_range`: what values are held to. Images are red, green, blue.

    >>> gpunn.layers.RandomColorDegeneration((0.2, 0.8))
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("RandomColorDegeneration", factor, -1, 1)
        self.value_range = sorted(checked_range("RandomColorDegeneration", value_range))

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """How grey each image becomes: {"factor": (N, 1, 1, 1)}."""
        return {"factor": self._uniform(data, *self.factor, seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        channels = images.shape[-1 if self.data_format == "channels_last" else 1]
        if channels not in (3, None):
            raise ShapeError(
                f"RandomColorDegeneration '{self.name}': images need 3 channels (red, green, "
                f"blue), received {channels} in {tuple(images.shape)} ({self.data_format})."
            )
        if not training:
            return images
        x = self._compute(images)
        grey = ops.image.rgb_to_grayscale(x, data_format=self.data_format)
        return self._clipped(x + ops.cast(transformation["factor"], x.dtype) * (grey - x))
