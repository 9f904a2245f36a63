"""Dense and the small layers that compute without weights."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from gpunn import activations, constraints, initializers, ops, regularizers
from gpunn.arguments import true_or_false, whole_number
from gpunn.autodiff.symbolic import SymbolicShape, SymbolicTensor
from gpunn.autodiff.variable import Variable
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.objects import serialize

#: Activation functions that the op `dense` fuses, by its name for them.
_FUSED = {activations.relu: "relu", activations.sigmoid: "sigmoid", activations.tanh: "tanh"}


class Dense(Layer):
    """y = f(x W + b): x (..., K), W (K, units), b (units,), y (..., units).

    >>> gpunn.layers.Dense(64, activation="relu")
    """

    supports_masking = True

    def __init__(
        self,
        units: int,
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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = whole_number("Dense: units", units)
        self.activation = activations.get(activation)
        self.use_bias = true_or_false(f"{type(self).__name__}: use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.bias: Variable | None = None

    def build(self, input_shape: SymbolicShape) -> None:
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                f"Dense '{self.name}': the last axis of the input must be known, received shape "
                f"{input_shape}."
            )
        self.kernel = self.add_weight(
            (features, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Any) -> Any:
        fused = _FUSED.get(self.activation)
        y = ops.dense(inputs, self.kernel, self.bias, activation=fused)
        return y if fused or self.activation is activations.linear else self.activation(y)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": serialize(self.kernel_initializer),
            "bias_initializer": serialize(self.bias_initializer),
            "kernel_regularizer": serialize(self.kernel_regularizer),
            "bias_regularizer": serialize(self.bias_regularizer),
            "kernel_constraint": serialize(self.kernel_constraint),
            "bias_constraint": serialize(self.bias_constraint),
        }


class Activation(Layer):
    """y = f(x), for any activation by name or function.

    >>> gpunn.layers.Activation("relu")
    """

    supports_masking = True

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": activations.serialize(self.activation)}


class Identity(Layer):
    """y = x."""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs


class Lambda(Layer):
    """y = function(x, **arguments), a function written with `gpunn.ops`.

    A function with a parameter `mask` or `training` is given those, too.

    >>> gpunn.layers.Lambda(lambda x: x**2)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not callable(function):
            raise ValueError(f"Lambda: function must be callable, received {function!r}.")
        self.function = function
        self.output_shape = output_shape
        self.mask = mask
        self.arguments = dict(arguments or {})
        self._asks_for = _parameters(function).intersection(("mask", "training"))
        self.supports_masking = mask is not None
        self._is_users = True

    def call(self, inputs: Any, mask: Any = None, training: bool = False) -> Any:
        if self.output_shape is not None and isinstance(inputs, SymbolicTensor):
            shape = self.output_shape
            shape = shape(inputs.shape) if callable(shape) else shape
            return SymbolicTensor(
                (inputs.shape[0], *shape) if None not in shape else shape, self.compute_dtype
            )
        context = {"mask": mask, "training": training}
        wanted = {name: context[name] for name in self._asks_for}
        return self.function(inputs, **{**self.arguments, **wanted})

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(
            f"Lambda '{self.name}' holds Python code, which gpunn neither saves nor loads. "
            f"Write a Layer subclass instead."
        )


def _parameters(function: Callable[..., Any]) -> set[str]:
    try:
        return set(signature(function).parameters)
    except (TypeError, ValueError):  # some built-in functions have none to read
        return set()
