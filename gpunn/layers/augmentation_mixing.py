"""Layers that erase parts of images, or mix images and their labels, at random in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.dtypes import to_float
from gpunn.layers.augmentation import ImageAugmentation
from gpunn.layers.augmentation_color import Recolored, checked_range
from gpunn.layers.augmentation_factor import overlapping
from gpunn.ops import distributions
from gpunn.random import SeedGenerator, normal, uniform


def _boxes(layer: ImageAugmentation, images: Any, sides: Any, seed: Any) -> tuple[Any, Any]:
    """Where a box of each image is, (N, H, W, 1) or (N, 1, H, W); its share of the image, (N,).

    `sides`: its (height, width), (N,) each, as shares of those of the image. It may lie anywhere.
    """
    inside, area = True, 1.0
    for axis, side in zip(layer.spatial_axes, sides, strict=True):
        n = images.shape[axis]
        length = side * n
        start = uniform((images.shape[0],), dtype="float32", seed=seed) * (n - length)
        place = tuple(n if a == axis else 1 for a in range(4))
        pixels = ops.reshape(ops.cast(ops.arange(n), "float32"), place)
        first, end = (ops.reshape(v, (-1, 1, 1, 1)) for v in (start, start + length))
        here = ops.logical_and(ops.greater_equal(pixels, first), ops.less(pixels, end))
        inside = here if inside is True else ops.logical_and(inside, here)
        area = length / n * area
    return inside, area


class RandomErasing(Recolored):
    """In training, a box of each image replaced, with a probability from U(factor); else y = x.

    Height and width of the box: √U(scale) of those of the image. `fill_value`: a number, one a
    channel, or None for normal noise times value_range[1]. `factor`, `scale`: a number f for
    (0, f), or a pair.  arXiv:1708.04896

    >>> gpunn.layers.RandomErasing(0.5, fill_value=0)
    """

    settings = ("factor", "scale", "fill_value", "value_range")

    def __init__(
        self, factor: Any = 1.0, scale: Any = (0.02, 0.33), fill_value: Any = None,
        value_range: Any = (0, 255), seed: int | None = None, data_format: str | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("RandomErasing", factor, 0, 1)
        self.scale = overlapping("RandomErasing", scale, 0, 1)
        self.value_range = checked_range("RandomErasing", value_range)
        values = fill_value if isinstance(fill_value, (list, tuple)) else (fill_value,)
        numbers = all(isinstance(v, (int, float, np.number)) for v in values)
        if fill_value is not None and not numbers:
            raise ValueError(
                f"RandomErasing: fill_value must be a number, one a channel, or None, received "
                f"{fill_value!r}."
            )
        self.fill_value = fill_value
        self._colour: Any = None

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """{"apply_erasing": (N,), "batch_masks": where, "fill_value": what}"""
        stream = self._stream(seed)
        shares = uniform((data.shape[0], 2), *self.scale, dtype="float32", seed=stream)
        sides = ops.sqrt(shares)
        masks, _ = _boxes(self, data, (sides[:, 1], sides[:, 0]), stream)
        chosen = self._chosen(data, self.factor, seed)
        fill = self._filling(data, stream)
        return {"apply_erasing": chosen, "batch_masks": masks, "fill_value": fill}

    def _filling(self, images: Any, seed: SeedGenerator) -> Any:
        if self.fill_value is None:
            noise = normal(images.shape, dtype=to_float(self.compute_dtype), seed=seed)
            return self._clipped(noise * float(self.value_range[1]))
        if self._colour is None:  # made once, or a step could not be recorded
            values = np.clip(np.asarray(self.fill_value, np.float32), *self.value_range)
            if values.ndim and self.data_format == "channels_first":
                values = values.reshape(-1, 1, 1)
            self._colour = ops.convert_to_tensor(values, self.compute_dtype)
        return self._colour

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        x = self._compute(images)
        if not training:
            return x
        chosen = ops.reshape(transformation["apply_erasing"], (-1, 1, 1, 1))
        erased = ops.logical_and(chosen, transformation["batch_masks"])
        return ops.where(erased, ops.cast(transformation["fill_value"], x.dtype), x)


class _Mixed(ImageAugmentation):
    """Base: each image of a batch, and its label, with another one."""

    def _partners(self, images: Any, seed: Any) -> Any:
        return distributions.permutation(self._stream(seed).state, images.shape[0])

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """w · label + (1 - w) · that of the other image; labels (N, classes) of floats."""
        if not training:
            return labels
        labels = ops.cast(labels, self.compute_dtype)
        return self._weighted(labels, transformation)

    def _weighted(self, x: Any, transformation: Any) -> Any:
        others = ops.take(x, transformation["permutation_order"], axis=0)
        shape = (-1, *(1,) * (len(x.shape) - 1))
        weight = ops.cast(ops.reshape(transformation["mix_weight"], shape), x.dtype)
        return weight * x + (1 - weight) * others


class MixUp(_Mixed):
    """In training y = w x + (1 - w) x', x' another image of the batch, w from the beta distribution
    B(alpha, alpha); labels (one-hot, floats) and masks alike.  arXiv:1710.09412

    >>> gpunn.layers.MixUp(alpha=0.2)({"images": images, "labels": one_hot_labels})
    """

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        if not isinstance(alpha, (int, float)) or alpha <= 0:
            raise ValueError(f"MixUp: alpha must be a positive number, received {alpha!r}.")
        self.alpha = alpha

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """{"mix_weight": (N,), "permutation_order": (N,)}"""
        order, alpha = self._partners(data, seed), self.alpha
        shape = (data.shape[0],)
        weight = distributions.beta(self._stream(seed).state, shape, alpha, alpha, "float32")
        return {"mix_weight": weight, "permutation_order": order}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._weighted(self._compute(images), transformation) if training else images

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class CutMix(_Mixed):
    """In training, a box of each image from another image of the batch; its label w · label +
    (1 - w) · that of the other one, 1 - w the share of the box.  arXiv:1905.04899

    The sides of the box are √(1 - v) of those of the image, v from B(a, a), a from U(factor).
    `factor`: a number f for (0, f), or a pair.

    >>> gpunn.layers.CutMix()({"images": images, "labels": one_hot_labels})
    """

    def __init__(
        self, factor: Any = 1.0, seed: int | None = None, data_format: str | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("CutMix", factor, 0, 1)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """{"permutation_order": (N,), "batch_masks": where, "mix_weight": (N, 1, 1, 1)}"""
        stream, shape = self._stream(seed), (data.shape[0],)
        a = uniform((), *self.factor, dtype="float32", seed=stream) + 1e-6
        side = ops.sqrt(1 - distributions.beta(stream.state, shape, a, a, "float32"))
        masks, area = _boxes(self, data, (side, side), stream)
        return {
            "permutation_order": self._partners(data, seed),
            "batch_masks": masks,
            "mix_weight": ops.reshape(1 - area, (-1, 1, 1, 1)),
        }

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        x = self._compute(images)
        if not training:
            return x
        others = ops.take(x, transformation["permutation_order"], axis=0)
        return ops.where(transformation["batch_masks"], others, x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}
