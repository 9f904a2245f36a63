"""Adaptive pooling layers: an output of given size, whatever the size of the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from gpunn import ops
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.ops import windows


class AdaptivePooling(Layer):
    """Windows that divide each spatial axis of length n into `output_size` parts:
    [⌊i·n/out⌋, ⌈(i + 1)·n/out⌉).
    """

    rank: ClassVar[int]
    pool: ClassVar[Callable[..., Any]]

    def __init__(
        self, output_size: int | Sequence[int], data_format: str | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.output_size = windows.per_axis(owner, "output_size", output_size, self.rank)
        self.data_format = windows.data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        return type(self).pool(inputs, self.output_size, self.data_format)

    def get_config(self) -> dict[str, Any]:
        config = {"output_size": self.output_size, "data_format": self.data_format}
        return {**super().get_config(), **config}


class AdaptiveMaxPooling1D(AdaptivePooling):
    """y_o = max of part o of `output_size` parts: (N, steps, C) -> (N, output_size, C).

    Part o of an axis of length n is [⌊o·n/out⌋, ⌈(o + 1)·n/out⌉).

    >>> gpunn.layers.AdaptiveMaxPooling1D(4)
    """

    rank, pool = 1, staticmethod(ops.adaptive_max_pool)


class AdaptiveMaxPooling2D(AdaptivePooling):
    """y_o = max of part o: (N, H, W, C) -> (N, *output_size, C). See `AdaptiveMaxPooling1D`.

    >>> gpunn.layers.AdaptiveMaxPooling2D((7, 7))
    """

    rank, pool = 2, staticmethod(ops.adaptive_max_pool)


class AdaptiveMaxPooling3D(AdaptivePooling):
    """y_o = max of part o: (N, D, H, W, C) -> (N, *output_size, C). See `AdaptiveMaxPooling1D`.

    >>> gpunn.layers.AdaptiveMaxPooling3D((4, 7, 7))
    """

    rank, pool = 3, staticmethod(ops.adaptive_max_pool)


class AdaptiveAveragePooling1D(AdaptivePooling):
    """y_o = mean of part o of `output_size` parts: (N, steps, C) -> (N, output_size, C).

    Part o of an axis of length n is [⌊o·n/out⌋, ⌈(o + 1)·n/out⌉).

    >>> gpunn.layers.AdaptiveAveragePooling1D(4)
    """

    rank, pool = 1, staticmethod(ops.adaptive_average_pool)


class AdaptiveAveragePooling2D(AdaptivePooling):
    """y_o = mean of part o: (N, H, W, C) -> (N, *output_size, C). See `AdaptiveAveragePooling1D`.

    >>> gpunn.layers.AdaptiveAveragePooling2D((7, 7))
    """

    rank, pool = 2, staticmethod(ops.adaptive_average_pool)


class AdaptiveAveragePooling3D(AdaptivePooling):
    """y_o = mean of part o: (N, D, H, W, C) -> (N, *output_size, C).

    See `AdaptiveAveragePooling1D`.

    >>> gpunn.layers.AdaptiveAveragePooling3D((4, 7, 7))
    """

    rank, pool = 3, staticmethod(ops.adaptive_average_pool)
