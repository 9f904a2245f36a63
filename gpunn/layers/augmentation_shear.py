"""Layers that shear images, and change their perspective, at random in training."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.errors import unknown_name
from gpunn.layers.augmentation import ImageAugmentation
from gpunn.layers.augmentation_factor import overlapping, within
from gpunn.layers.augmentation_geometry import _maps, _Moved
from gpunn.ops.affine_kernels import INTERPOLATIONS
from gpunn.random import uniform


class RandomShear(_Moved):
    """In training, each image under (x, y) -> (x + s y, y + t x), with s = ±U(x_factor) and
    t = ±U(y_factor) of one sign; else y = x.

    Each factor: a number f for (-f, f), or a pair, from 0 to 1.

    >>> gpunn.layers.RandomShear(0.2, 0.1)
    """

    def __init__(
        self, x_factor: Any = 0.0, y_factor: Any = 0.0, interpolation: str = "bilinear",
        fill_mode: str = "reflect", fill_value: float = 0.0, data_format: str | None = None,
        seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.x_factor, self.y_factor = (
            within("RandomShear", name, factor, lambda v: 0 <= v <= 1, "[0, 1]")
            if not _is_symmetric(factor)
            else factor
            for name, factor in (("x_factor", x_factor), ("y_factor", y_factor))
        )

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Maps (N, 8)."""
        sign = 1 - 2 * ops.cast(ops.greater(self._uniform(data, (0, 1), seed), 0.5), "float32")
        down = self._uniform(data, self.y_factor, seed) * sign
        right = self._uniform(data, self.x_factor, seed) * sign
        one, zero = ops.ones_like(sign), ops.zeros_like(sign)
        return _maps(one, right, zero, down, one, zero)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "x_factor": self.x_factor, "y_factor": self.y_factor}


def _is_symmetric(factor: Any) -> bool:
    """(-f, f), as a config has it for a number."""
    pair = isinstance(factor, (list, tuple)) and len(factor) == 2
    return pair and 0 <= factor[1] <= 1 and factor[0] == -factor[1]


class RandomPerspective(ImageAugmentation):
    """In training, each image with a probability from U(factor) as seen from elsewhere: its corners
    (x, y) move to (x (1 + u), y (1 + v)), u and v from U(-scale/2, scale/2); else y = x.

    `factor`: a number f for (0, f), or a pair.

    >>> gpunn.layers.RandomPerspective(0.5, scale=0.3)
    """

    def __init__(
        self, factor: Any = 1.0, scale: float = 1.0, interpolation: str = "bilinear",
        fill_value: float = 0.0, seed: int | None = None, data_format: str | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed, data_format, **kwargs)
        self.factor = overlapping("RandomPerspective", factor, 0, 1)
        if not isinstance(scale, (int, float)) or not 0 <= scale <= 1:
            raise ValueError(f"RandomPerspective: scale must be in [0, 1], received {scale!r}.")
        if interpolation not in INTERPOLATIONS:
            raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
        self.scale, self.interpolation, self.fill_value = scale, interpolation, fill_value

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """{"apply_perspective": (N,), "start_points": (1, 4, 2), "end_points": (N, 4, 2)}"""
        chosen = self._chosen(data, self.factor, seed)
        height, width = (data.shape[axis] for axis in self.spatial_axes)
        corner = ops.cast(ops.arange(4), "float32")
        x, y = ops.mod(corner, 2.0) * (width - 1), ops.floor(corner / 2) * (height - 1)
        start = ops.expand_dims(ops.stack([x, y], axis=-1), 0)
        reach, shape = 0.5 * self.scale, (data.shape[0], 4, 2)
        moves = uniform(shape, -reach, reach, dtype="float32", seed=self._stream(seed))
        end = start + start * moves
        return {"apply_perspective": chosen, "start_points": start, "end_points": end}

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self._compute(images)
        return self._moved(images, transformation, self.interpolation) if training else images

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The masks under the maps of their images; nearest pixels, so that no class is made up."""
        masks = segmentation_masks
        return self._moved(masks, transformation, "nearest") if training else masks

    def _moved(self, images: Any, drawn: Any, interpolation: str) -> Any:
        moved = ops.image.perspective_transform(
            images, drawn["start_points"], drawn["end_points"], interpolation, self.fill_value,
            self.data_format,
        )  # fmt: skip
        return ops.where(ops.reshape(drawn["apply_perspective"], (-1, 1, 1, 1)), moved, images)

    def get_config(self) -> dict[str, Any]:
        names = "factor", "scale", "interpolation", "fill_value"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
