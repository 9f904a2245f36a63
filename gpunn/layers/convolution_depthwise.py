"""DepthwiseConv1D/2D and SeparableConv1D/2D: filters for each channel, then mixed or not."""

from __future__ import annotations

from typing import Any

from gpunn import activations, ops
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.layers.convolution import Convolution, filters_config, positive, take_filters
from gpunn.ops.conv import channels_last, convolution, in_order


class _DepthwiseConv(Convolution):
    strides_with_dilation = True

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, bias_constraint,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        take_filters(
            self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )

    def build(self, input_shape: SymbolicShape) -> None:
        channels = self.channels_of(input_shape)
        self.kernel = self.add_filters(
            "depthwise", (*self.kernel_size, channels, self.depth_multiplier)
        )
        self.add_bias(channels * self.depth_multiplier)

    def call(self, inputs: Any) -> Any:
        y = ops.depthwise_conv(
            channels_last(inputs, self.data_format), self.kernel, self.strides, self.padding,
            "channels_last", self.dilation_rate,
        )  # fmt: skip
        return self.finished(y)

    def get_config(self) -> dict[str, Any]:
        config = {"depth_multiplier": self.depth_multiplier}
        return {**super().get_config(), **config, **filters_config(self, "depthwise")}


class DepthwiseConv1D(_DepthwiseConv):
    """`depth_multiplier` filters of its own for each channel of x (N, n, C).

    >>> gpunn.layers.DepthwiseConv1D(5, padding="same")
    """

    rank = 1


class DepthwiseConv2D(_DepthwiseConv):
    """`depth_multiplier` filters of its own for each channel of x (N, H, W, C).

    >>> gpunn.layers.DepthwiseConv2D(3, padding="same")
    """

    rank = 2


class _SeparableConv(Convolution):
    strides_with_dilation = True

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, bias_constraint,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.filters = positive(self, "filters", filters)
        self.depth_multiplier = positive(self, "depth_multiplier", depth_multiplier)
        take_filters(
            self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        take_filters(
            self, "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint
        )

    def build(self, input_shape: SymbolicShape) -> None:
        channels = self.channels_of(input_shape)
        wide = channels * self.depth_multiplier
        one = (1,) * self.rank
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self.add_filters("depthwise", shape, "depthwise_kernel")
        shape = (*one, wide, self.filters)
        self.pointwise_kernel = self.add_filters("pointwise", shape, "pointwise_kernel")
        self.add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        y = ops.depthwise_conv(
            channels_last(inputs, self.data_format), self.depthwise_kernel, self.strides,
            self.padding, "channels_last", self.dilation_rate,
        )  # fmt: skip
        one = (1,) * self.rank
        relu = self.activation is activations.relu
        y = convolution(
            y, self.pointwise_kernel, self.bias, strides=one, dilation=one, padding="valid",
            activation="relu" if relu else None,
        )  # fmt: skip
        return in_order(y if relu else self.activation(y), self.data_format)

    def get_config(self) -> dict[str, Any]:
        config = {"filters": self.filters, "depth_multiplier": self.depth_multiplier}
        kernels = {**filters_config(self, "depthwise"), **filters_config(self, "pointwise")}
        return {**super().get_config(), **config, **kernels}


class SeparableConv1D(_SeparableConv):
    """A depthwise convolution, then one of size 1 that mixes the channels; x (N, n, C).

    >>> gpunn.layers.SeparableConv1D(32, 5, padding="same", activation="relu")
    """

    rank = 1


class SeparableConv2D(_SeparableConv):
    """A depthwise convolution, then a 1 x 1 convolution that mixes the channels; x (N, H, W, C).

    >>> gpunn.layers.SeparableConv2D(64, 3, padding="same", activation="relu")
    """

    rank = 2
