"""Dropout of whole feature maps: neighbours in space are alike.

Source: Tompson et al., Efficient object localization using convolutional networks (2014).
"""

from __future__ import annotations

from typing import Any

from gpunn.layers.input_spec import InputSpec
from gpunn.layers.regularization import Dropout
from gpunn.ops.windows import data_format as checked_format


class _SpatialDropout(Dropout):
    """Base: drops whole feature maps, the choice is shared along the spatial axes."""

    def __init__(
        self,
        rank: int,
        rate: float,
        data_format: str,
        seed: int | None,
        name: str | None,
        dtype: Any,
    ):
        spatial = (1,) * rank
        last = data_format == "channels_last"
        shape = (None, *spatial, None) if last else (None, None, *spatial)
        super().__init__(rate, shape, seed, name=name, dtype=dtype)
        self.data_format = data_format
        self.input_spec = InputSpec(ndim=rank + 2)

    def get_config(self) -> dict[str, Any]:
        """Of Keras' arguments only, which do not include `trainable`."""
        keys = ("rate", "data_format", "seed", "name", "dtype")
        return {key: getattr(self, key) for key in keys}


class SpatialDropout1D(_SpatialDropout):
    """`Dropout` of whole features of (N, T, C).

    >>> gpunn.layers.SpatialDropout1D(0.2)
    """

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None
    ):
        super().__init__(1, rate, "channels_last", seed, name, dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["data_format"]  # Keras has no other order here
        return config


class SpatialDropout2D(_SpatialDropout):
    """`Dropout` of whole channels of (N, H, W, C).

    >>> gpunn.layers.SpatialDropout2D(0.2)
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(2, rate, checked_format(data_format), seed, name, dtype)


class SpatialDropout3D(_SpatialDropout):
    """`Dropout` of whole channels of (N, D, H, W, C).

    >>> gpunn.layers.SpatialDropout3D(0.2)
    """

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(3, rate, checked_format(data_format), seed, name, dtype)
