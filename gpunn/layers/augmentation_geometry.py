"""Layers that turn, shift and zoom images at random in training."""

from __future__ import annotations

from math import pi
from typing import Any

from gpunn import ops
from gpunn.errors import unknown_name
from gpunn.layers.augmentation import ImageAugmentation
from gpunn.layers.augmentation_factor import Range, overlapping, within
from gpunn.ops.affine_kernels import INTERPOLATIONS
from gpunn.random import uniform

_FILL_MODES = ("reflect", "wrap", "constant", "nearest")


class _Moved(ImageAugmentation):
    """Base: images under an affine map each; the transformation is an (N, 8) tensor of maps."""

    def __init__(
        self,
        fill_mode: str,
        interpolation: str,
        seed: int | None,
        fill_value: float,
        data_format: str | None,
        **kwargs: Any,
    ):
        super().__init__(seed, data_format, **kwargs)
        if fill_mode not in _FILL_MODES:
            raise unknown_name("fill_mode", fill_mode, _FILL_MODES)
        if interpolation not in INTERPOLATIONS:
            raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode = fill_mode
        self.interpolation = interpolation
        self.fill_value = fill_value

    def _uniform(self, images: Any, limits: Range, seed: Any) -> Any:
        """A number an image, (N,)."""
        return uniform(images.shape[:1], *limits, dtype="float32", seed=self._stream(seed))

    def _center(self, images: Any) -> tuple[float, float]:
        """The middle (x, y), between the middles of the first and the last pixel."""
        height, width = (images.shape[axis] for axis in self.spatial_axes)
        return (width - 1) / 2, (height - 1) / 2

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self._compute(images)
        return self._moved(images, transformation, self.interpolation) if training else images

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The masks under the maps of their images; nearest pixels, so that no class is made up."""
        masks = segmentation_masks
        return self._moved(masks, transformation, "nearest") if training else masks

    def _moved(self, images: Any, maps: Any, interpolation: str) -> Any:
        return ops.image.affine_transform(
            images, maps, interpolation, self.fill_mode, self.fill_value, self.data_format
        )

    def get_config(self) -> dict[str, Any]:
        names = "fill_mode", "interpolation", "fill_value"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _maps(*rows: Any) -> Any:
    """(N, 8) of the numbers a0, a1, a2, b0, b1, b2, each (N,)."""
    zero = ops.zeros_like(rows[0])
    return ops.stack([*rows, zero, zero], axis=1)


class RandomRotation(_Moved):
    """In training, each image turned about its middle by 2π · U(factor), counter-clockwise.

    `factor`: a number f for (-f, f), or a pair, in turns. `fill_mode`, `interpolation`: of
    `gpunn.ops.image.affine_transform`.

    >>> gpunn.layers.RandomRotation(0.1)  # up to 36 degrees
    """

    def __init__(
        self,
        factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.factor = overlapping("RandomRotation", factor, -1, 1)

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Maps (N, 8): p -> R (p - c) + c, with the middle c."""
        low, high = self.factor
        angle = self._uniform(data, (2 * pi * low, 2 * pi * high), seed)
        cos, sin, (x, y) = ops.cos(angle), ops.sin(angle), self._center(data)
        return _maps(cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


class RandomTranslation(_Moved):
    """In training, each image shifted by U(height_factor) of its height and U(width_factor) of its
    width; positive is down and to the right.

    Each factor: a number f for (-f, f), or a pair.

    >>> gpunn.layers.RandomTranslation(0.1, 0.1)
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = self._range("height_factor", height_factor)
        self._width = self._range("width_factor", width_factor)

    def _range(self, name: str, factor: Any) -> Range:
        return within("RandomTranslation", name, factor, lambda v: -1 <= v <= 1, "[-1, 1]")

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Maps (N, 8): p -> p - shift."""
        height, width = (data.shape[axis] for axis in self.spatial_axes)
        down = self._uniform(data, self._height, seed) * height
        right = self._uniform(data, self._width, seed) * width
        one, zero = ops.ones_like(down), ops.zeros_like(down)
        return _maps(one, zero, -right, zero, one, -down)

    def get_config(self) -> dict[str, Any]:
        own = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**super().get_config(), **own}


class RandomZoom(_Moved):
    """In training, each image zoomed about its middle, out by 1 + U(height_factor) vertically and
    1 + U(width_factor) horizontally: negative factors enlarge.

    Each factor: a number f for (-f, f), or a pair. Without `width_factor` the aspect ratio stays.

    >>> gpunn.layers.RandomZoom((-0.3, 0.0))
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(fill_mode, interpolation, seed, fill_value, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._height = self._range("height_factor", height_factor)
        self._width = None if width_factor is None else self._range("width_factor", width_factor)

    def _range(self, name: str, factor: Any) -> Range:
        return within("RandomZoom", name, factor, lambda v: -1 < v <= 1, "(-1, 1]")

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Maps (N, 8): p -> zoom (p - c) + c, with the middle c."""
        x, y = self._center(data)
        tall = self._uniform(data, self._height, seed) + 1
        wide = tall if self._width is None else self._uniform(data, self._width, seed) + 1
        zero = ops.zeros_like(tall)
        return _maps(wide, zero, x - wide * x, zero, tall, y - tall * y)

    def get_config(self) -> dict[str, Any]:
        own = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**super().get_config(), **own}
