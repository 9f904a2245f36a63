"""Layers that change hue, saturation and whole colours of images at random in training."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.layers.augmentation import ImageAugmentation
from gpunn.layers.augmentation_color import (
    RandomBrightness,
    RandomContrast,
    Recolored,
    checked_range,
)
from gpunn.layers.augmentation_factor import overlapping
from gpunn.random import uniform

_EPSILON = 1e-7


def _per_image(factor: Any) -> Any:
    """(N,) -> (N, 1, 1, 1)"""
    return ops.reshape(factor, (-1, 1, 1, 1))


class RandomHue(Recolored):
    """In training, the hue of each image turned by ±U(factor) / 2 of the circle; else y = x.

    `factor`: a number f for (0, f), or a pair. `value_range`: that of the images, red, green, blue.

    >>> gpunn.layers.RandomHue(0.2, value_range=(0, 1))
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("RandomHue", factor, 0, 1)
        self.value_range = checked_range("RandomHue", value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """By how much of the circle each hue is turned: {"factor": (N,)}."""
        stream, shape = self._stream(seed), (data.shape[0],)
        back = ops.greater(uniform(shape, dtype="float32", seed=stream), 0.5)
        sign = 0.5 - ops.cast(back, "float32")
        return {"factor": uniform(shape, *self.factor, dtype="float32", seed=stream) * sign}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        order, axis = self.data_format, -1 if self.data_format == "channels_last" else -3
        x = self._unit(self._compute(images))
        h, s, v = ops.split(ops.image.rgb_to_hsv(x, order), 3, axis=axis)
        turn = ops.cast(_per_image(transformation["factor"]), x.dtype)
        x = ops.concatenate([ops.mod(h + turn, 1.0), s, v], axis=axis)
        return self._unit(ops.clip(ops.image.hsv_to_rgb(x, order), 0.0, 1.0), back=True)


class RandomSaturation(Recolored):
    """In training, the saturation of each image times f / (1 - f), f from U(factor); else y = x.

    f = 0 makes images grey, 0.5 leaves them, 1 saturates them. `factor`: a number f for (0, f), or
    a pair.

    >>> gpunn.layers.RandomSaturation((0.4, 0.6))
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("RandomSaturation", factor, -1, 1)
        self.value_range = sorted(checked_range("RandomSaturation", value_range))

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """What the saturation of each image is multiplied by: {"factor": (N,)}."""
        f = uniform((data.shape[0],), *self.factor, dtype="float32", seed=self._stream(seed))
        return {"factor": f / (1 - f + _EPSILON)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        order, axis = self.data_format, -1 if self.data_format == "channels_last" else -3
        x = self._compute(images)
        h, s, v = ops.split(ops.image.rgb_to_hsv(x, order), 3, axis=axis)
        s = self._clipped(s * ops.cast(_per_image(transformation["factor"]), x.dtype))
        return ops.image.hsv_to_rgb(ops.concatenate([h, s, v], axis=axis), order)


class RandomGrayscale(ImageAugmentation):
    """In training, each image in shades of grey with probability `factor`; else y = x.

    >>> gpunn.layers.RandomGrayscale(0.1)
    """

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        if not isinstance(factor, (int, float)) or not 0 <= factor <= 1:
            raise ValueError(f"RandomGrayscale: factor must be in [0, 1], received {factor!r}.")
        self.factor = factor

    def get_random_transformation(
        self, images: Any, training: bool = True, seed: Any = None
    ) -> Any:
        """Whether each image becomes grey, (N, 1, 1, 1)."""
        shape = (images.shape[0], 1, 1, 1)
        return ops.less(uniform(shape, dtype="float32", seed=self._stream(seed)), self.factor)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        grey = ops.image.rgb_to_grayscale(images, data_format=self.data_format)
        return ops.where(transformation, grey, images)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The masks: colours do not change where things are."""
        return segmentation_masks

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


class RandomInvert(Recolored):
    """In training, y = value_range[1] - x of each image with a probability from U(factor).

    `factor`: a number f for (0, f), or a pair.

    >>> gpunn.layers.RandomInvert(0.2, value_range=(0, 1))
    """

    def __init__(
        self, factor: Any = 1.0, value_range: Any = (0, 255), seed: int | None = None,
        data_format: str | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("RandomInvert", factor, 0, 1)
        self.value_range = checked_range("RandomInvert", value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Whether each image is inverted: {"apply_inversion": (N,)}."""
        return {"apply_inversion": self._chosen(data, self.factor, seed)}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        x = self._compute(images)
        chosen = _per_image(transformation["apply_inversion"])
        return ops.where(chosen, float(self.value_range[1]) - x, x)


class RandomColorJitter(Recolored):
    """In training RandomBrightness, RandomContrast, RandomSaturation and RandomHue in turn, those
    of which the factor is given.

    >>> gpunn.layers.RandomColorJitter(brightness_factor=0.2, hue_factor=0.1)
    """

    settings = (
        "value_range", "brightness_factor", "contrast_factor", "saturation_factor", "hue_factor",
    )  # fmt: skip

    def __init__(
        self, value_range: Any = (0, 255), brightness_factor: Any = None,
        contrast_factor: Any = None, saturation_factor: Any = None, hue_factor: Any = None,
        seed: int | None = None, data_format: str | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.value_range = checked_range("RandomColorJitter", value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor
        shared = {"value_range": value_range, "seed": seed, "dtype": self.dtype_policy}
        self._steps = [
            kind(factor, data_format=data_format, **shared)
            for kind, factor in (
                (RandomBrightness, brightness_factor),
                (RandomContrast, contrast_factor),
                (RandomSaturation, saturation_factor),
                (RandomHue, hue_factor),
            )
            if factor is not None
        ]

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """What each of the layers does."""
        stream = self._stream(seed)
        return [step.get_random_transformation(data, seed=stream) for step in self._steps]

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        if not training:
            return images
        x = self._compute(images)
        for step, drawn in zip(self._steps, transformation, strict=True):
            x = step.transform_images(x, drawn)
        return self._compute(x)
