"""RandomElasticTransform: images as if drawn on rubber that is pulled here and there."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.errors import unknown_name
from gpunn.layers.augmentation import ImageAugmentation
from gpunn.layers.augmentation_color import checked_range
from gpunn.layers.augmentation_factor import overlapping
from gpunn.ops.affine_kernels import FILL_MODES, INTERPOLATIONS
from gpunn.ops.image_sampling import displaced
from gpunn.random import normal, uniform

_FLAT = 1e-6  # a standard deviation that blurs nothing


class RandomElasticTransform(ImageAugmentation):
    """In training, each image with a probability from U(factor): y[p] = x[p + α · blur(noise)[p]],
    noise from N(0, σ²) blurred by a Gaussian of deviation σ; else y = x.

    With s from U(scale), the same for a batch, α = 0.1 s max(H, W) and σ = 0.05 s min(H, W).
    `factor`, `scale`: a number f for (0, f), or a pair, from 0 to 1. `fill_mode`, `fill_value`,
    `interpolation`: of `gpunn.ops.image.affine_transform`. `value_range`: what values are held to.
    Simard et al. 2003

    >>> gpunn.layers.RandomElasticTransform(0.5, scale=0.8)
    """

    def __init__(
        self, factor: Any = 1.0, scale: Any = 1.0, interpolation: str = "bilinear",
        fill_mode: str = "reflect", fill_value: float = 0.0, value_range: Any = (0, 255),
        seed: int | None = None, data_format: str | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("RandomElasticTransform", factor, 0, 1)
        self.scale = overlapping("RandomElasticTransform", scale, 0, 1, "scale")
        if interpolation not in INTERPOLATIONS:
            raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
        if fill_mode not in FILL_MODES:
            raise unknown_name("fill_mode", fill_mode, FILL_MODES)
        self.interpolation, self.fill_mode, self.fill_value = interpolation, fill_mode, fill_value
        self.value_range = checked_range("RandomElasticTransform", value_range)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """{"apply_transform": (N,), "distortion_factor": (), "moves": (N, H, W, 2)}, or None where
        factor or scale lets nothing move.
        """
        if self.scale[1] == 0 or self.factor[1] == 0:
            return None
        chosen, stream = self._chosen(data, self.factor, seed), self._stream(seed)
        s = uniform((), *self.scale, dtype="float32", seed=stream)
        height, width = (data.shape[axis] for axis in self.spatial_axes)
        alpha = s * (0.1 * max(height, width))
        sigma = ops.maximum(s * (0.05 * min(height, width)), _FLAT)
        noise = normal((data.shape[0], height, width, 2), dtype="float32", seed=stream) * sigma
        reach = int(6 * 0.05 * min(height, width) * self.scale[1]) | 1
        spread = ops.stack([sigma, sigma])
        moves = ops.image.gaussian_blur(noise, (reach, reach), spread, "channels_last") * alpha
        return {"apply_transform": chosen, "distortion_factor": s, "moves": moves}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        x = self._compute(images)
        if not training or transformation is None:
            return x
        y = self._moved(x, transformation, self.interpolation)
        return ops.clip(y, *map(float, self.value_range))

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The masks moved as their images; nearest pixels, so that no class is made up."""
        if not training or transformation is None:
            return segmentation_masks
        return self._moved(segmentation_masks, transformation, "nearest")

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        first = self.data_format == "channels_first"
        x = ops.moveaxis(images, 1, -1) if first else images
        y = displaced(x, drawn["moves"], interpolation, self.fill_mode, self.fill_value)
        y = ops.moveaxis(y, -1, 1) if first else y
        return ops.where(ops.reshape(drawn["apply_transform"], (-1, 1, 1, 1)), y, images)

    def get_config(self) -> dict[str, Any]:
        names = "factor", "scale", "interpolation", "fill_mode", "fill_value", "value_range"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
