"""Pooling layers: the maximum or the mean of windows that slide over sequences, images, volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from gpunn import ops
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.ops import windows

Sizes = int | Sequence[int]


class Pooling(Layer):
    """What max and average pooling share. `rank`: the number of spatial axes."""

    rank: ClassVar[int]

    def __init__(
        self,
        pool_size: Sizes,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        owner = type(self).__name__
        self.pool_size = windows.per_axis(owner, "pool_size", pool_size, self.rank)
        steps = self.pool_size if strides is None else strides
        self.strides = windows.per_axis(owner, "strides", steps, self.rank)
        windows.check_padding(owner, padding)
        self.padding = padding
        self.data_format = windows.data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "padding": self.padding,
            "strides": self.strides,
            "data_format": self.data_format,
        }


class MaxPooling(Pooling):
    """Max pooling over `rank` axes."""

    def call(self, inputs: Any) -> Any:
        return ops.max_pool(inputs, self.pool_size, self.strides, self.padding, self.data_format)


class MaxPooling1D(MaxPooling):
    """y_o = max of window o: (N, steps, C) -> (N, out, C).

    `strides`: None is `pool_size`. `padding`: "valid" gives ⌊(n - size) / stride⌋ + 1 windows,
    "same" ⌈n / stride⌉, whose part outside of the input does not count. The gradient goes to the
    first maximum. `data_format="channels_first"`: (N, C, steps).

    >>> gpunn.layers.MaxPooling1D(2)
    """

    rank = 1

    def __init__(
        self,
        pool_size: Sizes = 2,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling2D(MaxPooling):
    """y_o = max of window o: (N, H, W, C) -> (N, out H, out W, C).

    Arguments as in `MaxPooling1D`, numbers for both axes or pairs of them.

    >>> gpunn.layers.MaxPooling2D((2, 2))
    """

    rank = 2

    def __init__(
        self,
        pool_size: Sizes = (2, 2),
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class MaxPooling3D(MaxPooling):
    """y_o = max of window o: (N, D, H, W, C) -> (N, out D, out H, out W, C).

    Arguments as in `MaxPooling1D`, numbers for all three axes or triples of them.

    >>> gpunn.layers.MaxPooling3D((2, 2, 2))
    """

    rank = 3

    def __init__(
        self,
        pool_size: Sizes = (2, 2, 2),
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class AveragePooling(Pooling):
    """Average pooling over `rank` axes."""

    def call(self, inputs: Any) -> Any:
        return ops.average_pool(
            inputs, self.pool_size, self.strides, self.padding, self.data_format
        )


class AveragePooling1D(AveragePooling):
    """y_o = mean of window o: (N, steps, C) -> (N, out, C).

    With `padding="same"`, of the part of the window that lies in the input. Arguments as in
    `MaxPooling1D`.

    >>> gpunn.layers.AveragePooling1D(2)
    """

    rank = 1


class AveragePooling2D(AveragePooling):
    """y_o = mean of window o: (N, H, W, C) -> (N, out H, out W, C). See `AveragePooling1D`.

    >>> gpunn.layers.AveragePooling2D(2)
    """

    rank = 2


class AveragePooling3D(AveragePooling):
    """y_o = mean of window o: (N, D, H, W, C) -> (N, out D, out H, out W, C).

    See `AveragePooling1D`.

    >>> gpunn.layers.AveragePooling3D(2)
    """

    rank = 3
