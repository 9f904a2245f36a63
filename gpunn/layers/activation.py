"""Activations as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpunn import activations, constraints, initializers, ops, regularizers
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.objects import serialize
from gpunn.ops.rules import broadcast_shapes
from gpunn.tracebacks import warn_user


class ReLU(Layer):
    """y = max(x, 0), with a slope below `threshold` and an upper bound where asked for.

    >>> gpunn.layers.ReLU(max_value=6)
    """

    supports_masking = True

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.max_value, self.negative_slope = max_value, negative_slope
        self.threshold = threshold
        for name in ("max_value", "negative_slope", "threshold"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"ReLU: {name} must not be negative, received {value}.")

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_value": self.max_value,
            "negative_slope": self.negative_slope,
            "threshold": self.threshold,
        }


class LeakyReLU(Layer):
    """y = x if x > 0, else negative_slope · x.

    >>> gpunn.layers.LeakyReLU(0.1)
    """

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any):
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
            warn_user("LeakyReLU: 'alpha' is now called 'negative_slope'.")
        super().__init__(**kwargs)
        if negative_slope is None or negative_slope < 0:
            raise ValueError(
                f"LeakyReLU: negative_slope must be a number of at least 0, received "
                f"{negative_slope}."
            )
        self.negative_slope = negative_slope

    def call(self, inputs: Any) -> Any:
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "negative_slope": self.negative_slope}


class ELU(Layer):
    """y = x if x > 0, else alpha · (e^x - 1).  arXiv:1511.07289

    >>> gpunn.layers.ELU()
    """

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha}


class PReLU(Layer):
    """y = x if x > 0, else α · x, with a learned α for each feature.  arXiv:1502.01852

    `shared_axes`: axes (numbered from 1) along which one α serves all positions.

    >>> gpunn.layers.PReLU(shared_axes=[1, 2])
    """

    supports_masking = True

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        if isinstance(shared_axes, int):
            shared_axes = [shared_axes]
        self.shared_axes = list(shared_axes or [])

    def build(self, input_shape: SymbolicShape) -> None:
        shape = [1 if i + 1 in self.shared_axes else n for i, n in enumerate(input_shape[1:])]
        if None in shape:
            raise ValueError(
                f"PReLU '{self.name}': all axes but the batch and shared ones must be known, "
                f"received shape {input_shape}."
            )
        self.alpha = self.add_weight(
            tuple(shape),
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        axes = {i: n for i, n in enumerate(input_shape) if i and i not in self.shared_axes}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def call(self, inputs: Any) -> Any:
        return ops.prelu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha_initializer": serialize(self.alpha_initializer),
            "alpha_regularizer": serialize(self.alpha_regularizer),
            "alpha_constraint": serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes or None,
        }


class Softmax(Layer):
    """y_i = e^(x_i) / Σ_j e^(x_j) along an axis (or several together); masked positions get 0.

    >>> gpunn.layers.Softmax()
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is not None:
            broadcast_shapes("the mask and the input", mask.shape, inputs.shape)
            inputs = ops.where(mask, inputs, -3e4 if self.compute_dtype == "float16" else -3e38)
        y = self._softmax(inputs)
        return y if mask is None else ops.where(mask, y, 0.0)  # also where all is masked

    def _softmax(self, x: Any) -> Any:
        if isinstance(self.axis, int):
            return ops.softmax(x, axis=self.axis)
        if len(self.axis) == 1:
            return ops.softmax(x, axis=self.axis[0])
        return ops.exp(x - ops.logsumexp(x, axis=tuple(self.axis), keepdims=True))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}
