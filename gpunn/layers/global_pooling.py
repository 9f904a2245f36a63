"""Global pooling layers: the maximum or the mean of each channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from gpunn import ops
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.ops import windows


class GlobalPooling(Layer):
    """y = f(x) over the spatial axes, which stay as length 1 with `keepdims`."""

    rank: ClassVar[int]
    reduce: ClassVar[Callable[..., Any]]

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = windows.data_format(data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def spatial_axes(self) -> tuple[int, ...]:
        """The axes that are neither the batch nor the channels."""
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))

    def call(self, inputs: Any) -> Any:
        return type(self).reduce(inputs, axis=self.spatial_axes, keepdims=self.keepdims)

    def get_config(self) -> dict[str, Any]:
        config = {"data_format": self.data_format, "keepdims": self.keepdims}
        return {**super().get_config(), **config}


class GlobalMaxPooling1D(GlobalPooling):
    """y = max over the steps: (N, steps, C) -> (N, C), or (N, 1, C) with `keepdims`.

    Equal maxima share the gradient.

    >>> gpunn.layers.GlobalMaxPooling1D()
    """

    rank, reduce = 1, staticmethod(ops.max)


class GlobalMaxPooling2D(GlobalPooling):
    """y = max over H and W: (N, H, W, C) -> (N, C), or (N, 1, 1, C) with `keepdims`.

    >>> gpunn.layers.GlobalMaxPooling2D()
    """

    rank, reduce = 2, staticmethod(ops.max)


class GlobalMaxPooling3D(GlobalPooling):
    """y = max over D, H and W: (N, D, H, W, C) -> (N, C), or (N, 1, 1, 1, C) with `keepdims`.

    >>> gpunn.layers.GlobalMaxPooling3D()
    """

    rank, reduce = 3, staticmethod(ops.max)


class GlobalAveragePooling1D(GlobalPooling):
    """y = mean over the steps: (N, steps, C) -> (N, C), or (N, 1, C) with `keepdims`.

    With a mask (N, steps), y = Σ m · x / Σ m: over the steps that it marks as valid. NaN if there
    are none. The mask ends here.

    >>> gpunn.layers.GlobalAveragePooling1D()
    """

    supports_masking = True
    rank, reduce = 1, staticmethod(ops.mean)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        valid = ops.cast(ops.expand_dims(mask, 2 if self.spatial_axes == (1,) else 1), "bool")
        options = {"axis": self.spatial_axes, "keepdims": self.keepdims}
        total = ops.sum(ops.where(valid, inputs, 0.0), **options)
        return total / ops.sum(ops.cast(valid, inputs.dtype), **options)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


class GlobalAveragePooling2D(GlobalPooling):
    """y = mean over H and W: (N, H, W, C) -> (N, C), or (N, 1, 1, C) with `keepdims`.

    >>> gpunn.layers.GlobalAveragePooling2D()
    """

    rank, reduce = 2, staticmethod(ops.mean)


class GlobalAveragePooling3D(GlobalPooling):
    """y = mean over D, H and W: (N, D, H, W, C) -> (N, C), or (N, 1, 1, 1, C) with `keepdims`.

    >>> gpunn.layers.GlobalAveragePooling3D()
    """

    rank, reduce = 3, staticmethod(ops.mean)
