"""Layers that change images at random in training: their base; flips and crops."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.dtypes import is_float, to_float
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import ShapeError, unknown_name
from gpunn.layers.layer import Layer
from gpunn.ops.windows import data_format as checked_format
from gpunn.ops.windows import per_axis
from gpunn.random import SeedGenerator, uniform

_INPUTS = ("images", "labels", "segmentation_masks")


class ImageAugmentation(Layer):
    """Base: draws a transformation, on the device, and applies it to images or to one image.

    Active unless it is told `training=False` (as `predict` and `evaluate` do), as in Keras. The
    input is a tensor, (N, H, W, C) or (H, W, C), or a dict with the keys "images", "labels" (which
    most layers leave as they are) and "segmentation_masks" (which move with the images).
    """

    def __init__(
        self,
        seed: int | None,
        data_format: str | None = None,
        bounding_box_format: str | None = None,
        **kwargs: Any,
    ):
        if bounding_box_format is not None:
            raise NotImplementedError(_no_boxes(type(self).__name__))
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = SeedGenerator(seed)
        self.data_format = checked_format(data_format)

    # --- to override; images have rank 4 ---

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """What is to be done to these images, drawn from `seed` or from the layer's own stream."""
        raise NotImplementedError

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        """The images under a drawn transformation; without training, as they are at inference."""
        raise NotImplementedError

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The masks under the transformation of their images."""
        return self.transform_images(segmentation_masks, transformation, training)

    def transform_labels(self, labels: Any, transformation: Any, training: bool = True) -> Any:
        """The labels under the transformation of their images: as a rule, as they are."""
        return labels

    # --- shared ---

    @property
    def spatial_axes(self) -> tuple[int, int]:
        """The axes (height, width) of a batch."""
        return (1, 2) if self.data_format == "channels_last" else (2, 3)

    def call(self, data: Any, training: bool = True) -> Any:
        inputs = data if isinstance(data, dict) else {"images": data}
        self._check_images(inputs)
        single = len(inputs["images"].shape) == 3
        wide = {key: ops.expand_dims(x, 0) if single else x for key, x in inputs.items()}
        images = wide["images"]
        training = training and not isinstance(images, SymbolicTensor)
        drawn = self.get_random_transformation(images) if training else None
        images = self.transform_images(images, drawn, training)
        if not is_float(self.compute_dtype):
            images = ops.cast(images, self.compute_dtype)
        wide["images"] = images
        masks = "segmentation_masks"
        if masks in wide:
            wide[masks] = self.transform_segmentation_masks(wide[masks], drawn, training)
        if "labels" in wide:
            wide["labels"] = self.transform_labels(wide["labels"], drawn, training)
        outputs = {key: ops.squeeze(x, 0) if single else x for key, x in wide.items()}
        return outputs if isinstance(data, dict) else outputs["images"]

    def _check_images(self, inputs: dict) -> None:
        kind = type(self).__name__
        if "bounding_boxes" in inputs:
            raise NotImplementedError(_no_boxes(kind))
        for key in inputs:
            if key not in _INPUTS:
                raise unknown_name(f"input of {kind} '{self.name}'", key, _INPUTS)
        if "images" not in inputs:
            raise ValueError(f"{kind} '{self.name}': the key 'images' is missing ({list(inputs)}).")
        rank = len(inputs["images"].shape)
        for key in ("images", "segmentation_masks"):
            if key in inputs and (rank not in (3, 4) or len(inputs[key].shape) != rank):
                raise ShapeError(
                    f"{kind} '{self.name}': {key} have rank 3 (one image) or 4 (a batch), received "
                    f"{tuple(inputs[key].shape)}. Add or remove an axis."
                )

    def _stream(self, seed: Any) -> Any:
        return self.generator if seed is None else seed

    def _chosen(self, images: Any, factor: tuple[float, float], seed: Any) -> Any:
        """Whether each image is changed, (N,): with a probability from U(factor)."""
        stream, shape = self._stream(seed), (images.shape[0],)
        probability = uniform(shape, *factor, dtype="float32", seed=stream)
        return ops.less(uniform(shape, dtype="float32", seed=stream), probability)

    def _compute(self, images: Any) -> Any:
        return ops.cast(images, to_float(self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed, "data_format": self.data_format}


def _no_boxes(kind: str) -> str:
    return (
        f"{kind}: bounding boxes are not supported. Leave out bounding_box_format and "
        f"'bounding_boxes', or transform the boxes yourself."
    )


_MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(ImageAugmentation):
    """In training, each image in a mirror, with probability 1/2; else y = x.

    `mode`: "horizontal" (left and right change places), "vertical" (top and bottom), or
    "horizontal_and_vertical" (both at once: turned by 180 degrees).

    >>> gpunn.layers.RandomFlip("horizontal")
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed, data_format, **kwargs)
        if mode not in _MODES:
            raise unknown_name("mode of RandomFlip", mode, _MODES)
        self.mode = mode

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """Whether each image is flipped, (N, 1, 1, 1)."""
        shape = (data.shape[0], 1, 1, 1)
        return ops.less_equal(uniform(shape, dtype="float32", seed=self._stream(seed)), 0.5)

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        images = self._compute(images)
        if not training:
            return images
        height, width = self.spatial_axes
        axes = {"horizontal": (width,), "vertical": (height,)}.get(self.mode, (height, width))
        return ops.where(transformation, ops.flip(images, axes), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


class RandomCrop(ImageAugmentation):
    """In training, a part of the images, (height, width), the same part of all images of a batch.

    At inference, and of images that are smaller: the largest part in the middle that has the
    wanted aspect ratio, resized.

    >>> gpunn.layers.RandomCrop(24, 24)
    """

    _uses_lengths = True

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed, data_format, name=name, **kwargs)
        self.height, self.width = per_axis("RandomCrop", "(height, width)", (height, width), 2)

    def _room(self, images: Any) -> tuple[int, int]:
        """How many rows and columns are too many; negative: how many are missing."""
        height, width = (images.shape[axis] for axis in self.spatial_axes)
        return height - self.height, width - self.width

    def get_random_transformation(self, data: Any, training: bool = True, seed: Any = None) -> Any:
        """The first row and the first column, (1,) each; None for images that are too small."""
        room = self._room(data)
        if min(room) < 0:
            return None
        seed = self._stream(seed)
        row, column = (ops.floor(uniform((1,), 0, n + 1, dtype="float32", seed=seed)) for n in room)
        return row, column

    def transform_images(self, images: Any, transformation: Any, training: bool = True) -> Any:
        return self._cropped(images, transformation, training, "bilinear")

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any, training: bool = True
    ) -> Any:
        """The same part of the masks; nearest pixels, so that no class is made up."""
        return self._cropped(segmentation_masks, transformation, training, "nearest")

    def _cropped(self, images: Any, start: Any, training: bool, interpolation: str) -> Any:
        images = self._compute(images)
        if not training or start is None:
            size, order = (self.height, self.width), self.data_format
            return ops.image.resize(
                images, size, interpolation, crop_to_aspect_ratio=True, data_format=order
            )
        row, column = start
        one, zero = ops.ones_like(row), ops.zeros_like(row)
        maps = ops.stack([one, zero, column, zero, one, row, zero, zero], axis=1)
        moved = ops.image.affine_transform(
            images, maps, "nearest", "nearest", data_format=self.data_format
        )  # the offsets are on the device: no slice can take them
        return ops.image.crop_images(
            moved,
            top_cropping=0,
            left_cropping=0,
            target_height=self.height,
            target_width=self.width,
            data_format=self.data_format,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        rank, shape = len(input_shape), list(input_shape)
        for axis, n in zip(self.spatial_axes, (self.height, self.width), strict=True):
            shape[axis + rank - 4] = n
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}
