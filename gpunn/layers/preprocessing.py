"""Layers that prepare inputs: rescaled, resized, cropped, normalized."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from gpunn import config as settings
from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError, unknown_name
from gpunn.layers.layer import Layer
from gpunn.ops.resample import FUNCTIONS
from gpunn.ops.windows import data_format as checked_format
from gpunn.ops.windows import per_axis


def _plain(value: Any) -> Any:
    """A number, or nested lists of numbers."""
    return value if value is None or isinstance(value, (int, float)) else np.asarray(value).tolist()


class Rescaling(Layer):
    """y = x · scale + offset; each a number, or one a channel.

    >>> gpunn.layers.Rescaling(1 / 255)
    """

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale, self.offset = _plain(scale), _plain(offset)

    def build(self, input_shape: Any) -> None:
        first = settings.image_data_format() == "channels_first"
        self._scale, self._offset = (
            v if isinstance(v, (int, float)) else self._constant(v, first and v is self.scale)
            for v in (self.scale, self.offset)
        )

    def _constant(self, values: list, first: bool) -> Any:
        array = np.asarray(values, self.compute_dtype)
        if first:
            array = array.reshape(*array.shape, *(1,) * (3 - array.ndim))
        return ops.convert_to_tensor(array)

    def call(self, inputs: Any) -> Any:
        y = ops.cast(inputs, self.compute_dtype) * self._scale + self._offset
        return ops.cast(y, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


class Resizing(Layer):
    """Images in another size, by `gpunn.ops.image.resize`, whose arguments it has.

    >>> gpunn.layers.Resizing(224, 224, crop_to_aspect_ratio=True)
    """

    _uses_lengths = True

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.height, self.width = per_axis("Resizing", "(height, width)", (height, width), 2)
        if interpolation not in (*FUNCTIONS, "nearest"):
            raise unknown_name("interpolation", interpolation, (*FUNCTIONS, "nearest"))
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError(
                "Resizing: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other. Choose "
                "one."
            )
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.antialias = antialias
        self.data_format = checked_format(data_format)

    def call(self, data: Any) -> Any:
        options = {k: v for k, v in self._options().items() if k not in ("height", "width")}
        size = self.height, self.width
        return ops.image.resize(data, size, **options)  # integers stay what they are

    def _options(self) -> dict[str, Any]:
        names = ("height", "width", "interpolation", "crop_to_aspect_ratio", "pad_to_aspect_ratio",
                 "fill_mode", "fill_value", "antialias", "data_format")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._options()}


class CenterCrop(Layer):
    """The middle of images; images that are smaller than it are resized to cover it first.

    >>> gpunn.layers.CenterCrop(224, 224)
    """

    _uses_lengths = True

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.height, self.width = per_axis("CenterCrop", "(height, width)", (height, width), 2)
        self.data_format = checked_format(data_format)

    def call(self, data: Any) -> Any:
        if len(data.shape) not in (3, 4):
            raise ShapeError(
                f"CenterCrop '{self.name}': images have rank 3 (one image) or 4 (a batch), "
                f"received shape {tuple(data.shape)}. Add or remove an axis."
            )
        data = ops.cast(data, self.compute_dtype)
        last = self.data_format == "channels_last"
        height, width = data.shape[-3:-1] if last else data.shape[-2:]
        if height < self.height or width < self.width:
            return ops.image.resize(
                data,
                (self.height, self.width),
                crop_to_aspect_ratio=True,
                data_format=self.data_format,
            )
        return ops.image.crop_images(
            data,
            top_cropping=(height - self.height) // 2,
            left_cropping=(width - self.width) // 2,
            target_height=self.height,
            target_width=self.width,
            data_format=self.data_format,
        )

    def get_config(self) -> dict[str, Any]:
        own = {"height": self.height, "width": self.width, "data_format": self.data_format}
        return {**super().get_config(), **own}


class Normalization(Layer):
    """y = (x - mean) / max(√variance, ε), for each position along `axis` (None: for all at once).

    Mean and variance are given, or measured by `adapt`. With `invert`, x = y · max(√variance, ε) +
    mean.

    >>> layer = gpunn.layers.Normalization()
    >>> layer.adapt(x_train)
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.autocast = False  # raw data may be too large for 16 bits
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None) or np.shape(mean) != np.shape(variance):
            raise ValueError(
                f"Normalization: mean and variance go together and have one shape, received "
                f"mean={mean!r} and variance={variance!r}."
            )
        self.input_mean, self.input_variance = _plain(mean), _plain(variance)
        self.invert = invert

    def build(self, input_shape: SymbolicShape) -> None:
        rank = len(input_shape)
        if any(not -rank <= a < rank for a in self.axis):
            raise ShapeError(
                f"Normalization '{self.name}': axis {self.axis} does not exist in an input of "
                f"shape {tuple(input_shape)}."
            )
        self._kept = tuple(sorted(a % rank for a in self.axis))
        if any(input_shape[a] is None for a in self._kept):
            raise ShapeError(
                f"Normalization '{self.name}': the length of axis {self.axis} must be known, "
                f"received shape {tuple(input_shape)}."
            )
        shape = tuple(input_shape[a] for a in self._kept)
        self._wide = tuple(input_shape[a] if a in self._kept else 1 for a in range(rank))
        if self.input_mean is None:
            fixed: dict[str, Any] = {"trainable": False, "autocast": False}
            self.mean = self.add_weight(shape, "zeros", name="mean", **fixed)
            self.variance = self.add_weight(shape, "ones", name="variance", **fixed)
            self.count = self.add_weight((), "zeros", "int32", trainable=False, name="count")
        else:
            self.mean, self.variance = (
                self._statistic(v, shape) for v in (self.input_mean, self.input_variance)
            )

    def _statistic(self, value: Any, shape: tuple[int, ...]) -> Any:
        """A mean or variance that the user gave, for each place along the axes."""
        array = np.asarray(value, self.dtype)
        try:
            return ops.convert_to_tensor(np.broadcast_to(array, shape).copy())
        except ValueError:
            raise ShapeError(
                f"Normalization '{self.name}': mean and variance must fit the lengths {shape} of "
                f"axis {self.axis}, received shape {array.shape}."
            ) from None

    def adapt(self, data: Any) -> None:
        """Measure mean and variance of an array or tensor, or of an iterable of batches."""
        is_array = isinstance(data, (np.ndarray, Tensor))
        if not is_array and (isinstance(data, (str, bytes)) or not isinstance(data, Iterable)):
            raise TypeError(
                f"Normalization '{self.name}': adapt() takes an array or an iterable of batches, "
                f"received {type(data).__name__}."
            )
        total, mean, squares = 0, 0.0, 0.0  # of deviations from the mean
        for batch in [data] if is_array else data:
            x = ops.convert_to_numpy(batch[0] if isinstance(batch, tuple) else batch)
            x = np.asarray(x, np.float64)
            if not self.built:
                self.build(x.shape)
            self._check_batch(x.shape)
            axes = tuple(a for a in range(x.ndim) if a not in self._kept)
            count, new = prod(x.shape[a] for a in axes), x.mean(axes)
            gap, total = new - mean, total + count
            squares = squares + x.var(axes) * count + gap**2 * count * (total - count) / total
            mean = mean + gap * count / total
        if not total:
            raise ValueError(f"Normalization '{self.name}': adapt() received no data.")
        self.mean.assign(np.asarray(mean, self.dtype))
        self.variance.assign(np.asarray(squares / total, self.dtype))

    def _check_batch(self, shape: tuple[int, ...]) -> None:
        if self.input_mean is not None:
            raise ValueError(
                f"Normalization '{self.name}' has a given mean and variance; adapt() would change "
                f"nothing. Leave them out."
            )
        wide = self._wide
        if len(shape) != len(wide) or any(shape[a] != wide[a] for a in self._kept):
            raise ShapeError(
                f"Normalization '{self.name}': adapt() received data of shape {shape}, but the "
                f"layer normalizes {wide} (1: any length)."
            )

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, self.dtype)
        mean, variance = ops.reshape(self.mean, self._wide), ops.reshape(self.variance, self._wide)
        scale = ops.maximum(ops.sqrt(variance), settings.epsilon())
        y = x * scale + mean if self.invert else (x - mean) / scale
        return ops.cast(y, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"axis": self.axis, "mean": self.input_mean, "variance": self.input_variance,
               "invert": self.invert}  # fmt: skip
        return {**super().get_config(), **own}
