"""Conv1D, Conv2D, Conv3D, and what all convolutional layers share.

Images are (N, *sizes, C), or (N, C, *sizes) with data_format "channels_first".
"""

from __future__ import annotations

from typing import Any

from gpunn import activations, constraints, initializers, ops, regularizers
from gpunn.arguments import true_or_false
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.autodiff.variable import Variable
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.layers.pooling import MaxPooling
from gpunn.layers.signature import mask_of
from gpunn.objects import serialize
from gpunn.ops.conv import channels_last, convolution, in_order
from gpunn.ops.conv_pool import convolution_max_pool
from gpunn.ops.pooling import Sliding
from gpunn.ops.windows import PADDINGS, check_padding, data_format, per_axis


class Convolution(Layer):
    """What all convolutions share: the windows, the bias, the activation."""

    rank: int
    paddings: tuple[str, ...] = PADDINGS
    strides_with_dilation = False  # Keras refuses them for some layers

    def __init__(
        self, kernel_size: Any, strides: Any, padding: str, order: str | None, dilation_rate: Any,
        activation: Any, use_bias: bool, bias_initializer: Any, bias_regularizer: Any,
        bias_constraint: Any, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**kwargs)
        name = type(self).__name__
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, self.rank)
        self.strides = per_axis(name, "strides", strides, self.rank)
        self.padding = check_padding(name, padding, self.paddings)
        self.data_format = data_format(order)
        self.dilation_rate = per_axis(name, "dilation_rate", dilation_rate, self.rank)
        both = max(self.strides) > 1 and max(self.dilation_rate) > 1
        if both and not self.strides_with_dilation:
            raise ValueError(
                f"{name}: strides > 1 cannot be combined with dilation_rate > 1, received strides "
                f"{self.strides} and dilation_rate {self.dilation_rate}."
            )
        self.activation = activations.get(activation)
        self.use_bias = true_or_false(f"{type(self).__name__}: use_bias", use_bias)
        self.bias_initializer = initializers.get(bias_initializer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=self.rank + 2, max_ndim=self.rank + 2)
        self.bias: Variable | None = None

    def channels_of(self, input_shape: SymbolicShape) -> int:
        """The channels of the input; from now on no other number is taken."""
        axis = -1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if not channels:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': the channels of the input must be known and "
                f"not 0, received shape {input_shape} with data_format '{self.data_format}'."
            )
        ndim = self.rank + 2
        self.input_spec = InputSpec(min_ndim=ndim, max_ndim=ndim, axes={axis: channels})
        return channels

    def add_filters(self, kind: str, shape: tuple[int, ...], name: str = "kernel") -> Variable:
        """A kernel with the initializer, regularizer and constraint of its kind."""
        return self.add_weight(
            shape,
            getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            name=name,
        )

    def add_bias(self, filters: int) -> None:
        if self.use_bias:
            self.bias = self.add_weight(
                (filters,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def windows(self) -> dict[str, Any]:
        return {
            "strides": self.strides, "padding": self.padding, "dilation": self.dilation_rate,
        }  # fmt: skip

    def finished(self, y: Any) -> Any:
        """f(y + bias), in the user's axis order; y is channels-last."""
        if self.bias is not None:
            y = ops.add(y, self.bias)
        return in_order(self.activation(y), self.data_format)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": serialize(self.bias_initializer),
            "bias_regularizer": serialize(self.bias_regularizer),
            "bias_constraint": serialize(self.bias_constraint),
        }


def take_filters(
    layer: Any, name: str, initializer: Any, regularizer: Any, constraint: Any
) -> None:
    """Keep what the kernel of this name is made, regularized and constrained by."""
    setattr(layer, f"{name}_initializer", initializers.get(initializer))
    setattr(layer, f"{name}_regularizer", regularizers.get(regularizer))
    setattr(layer, f"{name}_constraint", constraints.get(constraint))


def filters_config(layer: Any, name: str) -> dict[str, Any]:
    """What `take_filters` was given."""
    keys = (f"{name}_{what}" for what in ("initializer", "regularizer", "constraint"))
    return {key: serialize(getattr(layer, key)) for key in keys}


def positive(layer: Any, what: str, value: Any) -> int:
    """The value, if it is a positive integer."""
    return per_axis(type(layer).__name__, what, value, 1)[0]


class Conv(Convolution):
    """y = f(conv(x, kernel) + bias) over `rank` axes."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
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
        self.groups = positive(self, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"{type(self).__name__}: filters must be a multiple of groups, received "
                f"filters={filters} and groups={groups}."
            )
        take_filters(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)

    def build(self, input_shape: SymbolicShape) -> None:
        channels = self.channels_of(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': the channels of the input must be a "
                f"multiple of groups={self.groups}, received {channels} channels in an input of "
                f"shape {input_shape}."
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_filters("kernel", shape)
        self.add_bias(self.filters)

    def pools_with(self, layer: Any, x: Any) -> bool:
        """Whether `layer`, which follows on this one called on x, may be left to this one."""
        return (
            isinstance(layer, MaxPooling)
            and type(layer).call is MaxPooling.call
            and type(self).call is Conv.call
            and "call" not in {**vars(self), **vars(layer)}
            and self._called and layer._called  # the first calls note shapes
            and self.activation in (activations.relu, activations.linear)
            and self.activity_regularizer is None and layer.activity_regularizer is None
            and self.data_format == layer.data_format == "channels_last"
            and self.compute_dtype == layer.compute_dtype
            and mask_of(x) is None
        )  # fmt: skip

    def call(self, inputs: Any, pooling: MaxPooling | None = None) -> Any:
        if pooling is not None:  # which may come first: see gpunn.ops.conv_pool
            sliding = Sliding("max_pool", pooling.pool_size, pooling.strides, pooling.padding)
            y = convolution_max_pool(inputs, self.kernel, pool=sliding, **self.windows())
            return self.activation(y if self.bias is None else y + self.bias)
        relu = self.activation is activations.relu
        y = convolution(
            channels_last(inputs, self.data_format), self.kernel, self.bias,
            activation="relu" if relu else None, **self.windows(),
        )  # fmt: skip
        return in_order(y if relu else self.activation(y), self.data_format)

    def get_config(self) -> dict[str, Any]:
        config = {"filters": self.filters, "groups": self.groups}
        return {**super().get_config(), **config, **filters_config(self, "kernel")}


class Conv1D(Conv):
    """y[o, k] = f(Σ x[o · strides + t · dilation_rate, c] kernel[t, c, k] + bias[k]).

    `padding`: "valid", "same", or "causal": y[o] sees no x behind o.

    >>> gpunn.layers.Conv1D(32, 9, strides=4, padding="causal", activation="relu")
    """

    rank = 1
    paddings = (*PADDINGS, "causal")


class Conv2D(Conv):
    """y[o, k] = f(Σ x[o · strides + t · dilation_rate, c] kernel[t, c, k] + bias[k]).

    `kernel_size`, `strides`, `dilation_rate`: one integer, or one for each of the axes.

    >>> gpunn.layers.Conv2D(32, 3, padding="same", activation="relu")
    """

    rank = 2


class Conv3D(Conv):
    """As Conv2D, over volumes x (N, D, H, W, C).

    >>> gpunn.layers.Conv3D(16, 3, padding="same")
    """

    rank = 3
