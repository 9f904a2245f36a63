"""Layers that blur and sharpen images at random in training."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.arguments import is_whole
from gpunn.layers.augmentation_color import Recolored, checked_range
from gpunn.layers.augmentation_factor import overlapping
from gpunn.random import uniform


class RandomGaussianBlur(Recolored):
    """In training, each image blurred with a probability from U(factor): by a Gaussian whose two
    standard deviations, from U(sigma), are those of the whole batch.

    `factor`, `sigma`: a number f for (0, f), or a pair, from 0 to 1. `kernel_size`: odd, one number
    or (along the width, along the height).

    >>> gpunn.layers.RandomGaussianBlur(0.5, kernel_size=5, sigma=(0.5, 1.0))
    """

    settings = ("factor", "kernel_size", "sigma", "value_range")

    def __init__(
        self, factor: Any = 1.0, kernel_size: Any = 3, sigma: Any = 1.0,
        value_range: Any = (0, 255), data_format: str | None = None, seed: int | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        sizes = tuple(kernel_size) if isinstance(kernel_size, (list, tuple)) else (kernel_size,) * 2
        if len(sizes) != 2 or any(not is_whole(n, 1) or n % 2 == 0 for n in sizes):
            raise ValueError(
                f"RandomGaussianBlur: kernel_size must be an odd number, or two of them, received "
                f"{kernel_size!r}."
            )
        self.kernel_size = tuple(map(int, sizes))
        self.factor = overlapping("RandomGaussianBlur", factor, 0, 1)
        self.sigma = overlapping("RandomGaussianBlur", sigma, 0, 1)
        self.value_range = checked_range("RandomGaussianBlur", value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """{"should_apply_blur": (N,), "blur_factor": (2,)}"""
        chosen = self._chosen(data, self.factor, seed)
        sigma = uniform((2,), *self.sigma, dtype="float32", seed=self._stream(seed))
        return {"should_apply_blur": chosen, "blur_factor": sigma + 1e-6}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        x = self._compute(images)
        if not training:
            return x
        sigma = ops.cast(transformation["blur_factor"], x.dtype)
        blurred = ops.image.gaussian_blur(x, self.kernel_size, sigma, self.data_format)
        chosen = ops.reshape(transformation["should_apply_blur"], (-1, 1, 1, 1))
        return self._clipped(ops.where(chosen, blurred, x))


class RandomSharpness(Recolored):
    """In training y = x + (1 - 2 f)(smooth x - x), f from U(factor) for each image; else y = x.

    smooth x: of 3 x 3 pixels, the one in the middle 5/13, the others 1/13 each. f = 0 smooths, 0.5
    leaves the image, 1 sharpens it. `factor`: a number f for (0, f), or a pair.

    >>> gpunn.layers.RandomSharpness((0.3, 0.9))
    """

    def __init__(
        self, factor: Any, value_range: Any = (0, 255), data_format: str | None = None,
        seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("RandomSharpness", factor, 0, 1)
        self.value_range = sorted(checked_range("RandomSharpness", value_range))

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """The sharpness of each image: {"factor": (N,)}."""
        shape = (data.shape[0],)
        return {"factor": uniform(shape, *self.factor, dtype="float32", seed=self._stream(seed))}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        x = self._compute(images)
        if not training:
            return x
        channels = x.shape[-1 if self.data_format == "channels_last" else 1]
        around = ops.depthwise_conv(
            x, ops.ones((3, 3, channels, 1), x.dtype), padding="same", data_format=self.data_format
        )
        smooth = (around + 4 * x) / 13
        factor = ops.cast(ops.reshape(transformation["factor"], (-1, 1, 1, 1)), x.dtype)
        return self._clipped(x + (1 - factor * 2) * (smooth - x))
