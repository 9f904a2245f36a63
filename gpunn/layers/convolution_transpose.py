"""Conv1DTranspose, Conv2DTranspose, Conv3DTranspose: layers that make images larger."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.layers.convolution import Convolution, filters_config, positive, take_filters
from gpunn.ops.conv import channels_last, output_padding_of


class _ConvTranspose(Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_initializer, bias_regularizer, bias_constraint,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.filters = positive(self, "filters", filters)
        self.output_padding = output_padding
        if output_padding is not None:
            self.output_padding = output_padding_of(output_padding, self.strides)
        take_filters(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def build(self, input_shape: SymbolicShape) -> None:
        channels = self.channels_of(input_shape)
        self.kernel = self.add_filters("kernel", (*self.kernel_size, self.filters, channels))
        self.add_bias(self.filters)

    def call(self, inputs: Any) -> Any:
        y = ops.conv_transpose(
            channels_last(inputs, self.data_format), self.kernel, self.strides, self.padding,
            self.output_padding, "channels_last", self.dilation_rate,
        )  # fmt: skip
        return self.finished(y)

    def get_config(self) -> dict[str, Any]:
        config = {"filters": self.filters, "output_padding": self.output_padding}
        return {**super().get_config(), **config, **filters_config(self, "kernel")}


class Conv1DTranspose(_ConvTranspose):
    """The gradient of a Conv1D as a layer: makes sequences `strides` times as long.

    >>> gpunn.layers.Conv1DTranspose(16, 4, strides=2, padding="same")
    """

    rank = 1


class Conv2DTranspose(_ConvTranspose):
    """The gradient of a Conv2D as a layer: makes images `strides` times as large; kernel
    (*kernel_size, filters, C).

    >>> gpunn.layers.Conv2DTranspose(16, 3, strides=2, padding="same")
    """

    rank = 2


class Conv3DTranspose(_ConvTranspose):
    """The gradient of a Conv3D as a layer; as in Keras, `data_format` is before `output_padding`.

    >>> gpunn.layers.Conv3DTranspose(8, 3, strides=2, padding="same")
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ):
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate,
            activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
            bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip
