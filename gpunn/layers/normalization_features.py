"""Layers that normalize each sample by itself: over its features, in groups, or to length 1."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from gpunn import ops
from gpunn.arguments import is_whole
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.layers.normalization import Normalizing
from gpunn.ops import normalization
from gpunn.ops.rules import normalize_axes


def _checked_axis(owner: str, axis: Any) -> int | list[int]:
    """An axis, or a list of axes."""
    if isinstance(axis, (list, tuple)):
        return list(axis)
    if not is_whole(axis):
        raise TypeError(f"{owner}: axis must be an integer or a list of them, received {axis!r}.")
    return int(axis)


class LayerNormalization(Normalizing):
    """y = (x - μ) / √(σ² + ε) · γ + β, μ and σ² over the axes of each sample.  arXiv:1607.06450

    `rms_scaling` (deprecated; no β): y = x / √(σ² + ε) · γ.

    >>> gpunn.layers.LayerNormalization()
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        rms_scaling: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.axis = _checked_axis("LayerNormalization", axis)
        self.rms_scaling = rms_scaling
        if rms_scaling:
            warnings.warn(
                "LayerNormalization(rms_scaling=True) divides by the standard deviation, not by "
                "the root mean square, and is deprecated. Use RMSNormalization.",
                stacklevel=2,
            )

    def build(self, input_shape: SymbolicShape) -> None:
        self.axis = sorted(self.axis) if isinstance(self.axis, list) else [self.axis]
        normalize_axes(f"LayerNormalization '{self.name}'", tuple(self.axis), len(input_shape))
        shape = self._lengths(input_shape, self.axis)
        axes = dict(zip(self.axis, shape, strict=True))
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)
        rms = self.rms_scaling
        self._add_parameters(shape, self.scale or rms, self.center and not rms)

    def call(self, inputs: Any) -> Any:
        return ops.layer_normalization(
            inputs, self.gamma, self.beta, self.axis, self.epsilon, self.rms_scaling
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "rms_scaling": self.rms_scaling}


class GroupNormalization(Normalizing):
    """y = (x - μ) / √(σ² + ε) · γ + β, μ and σ² over all positions and the channels of a group.

    `groups`: -1 makes each channel a group of its own (instance normalization).  arXiv:1803.08494

    >>> gpunn.layers.GroupNormalization(groups=8)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ):
        if not is_whole(groups, -1) or groups == 0:
            raise ValueError(
                f"GroupNormalization: groups must be a positive integer, or -1 for one group a "
                f"channel, received {groups!r}."
            )
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.groups, self.axis = int(groups), axis

    def build(self, input_shape: SymbolicShape) -> None:
        (channels,) = self._lengths(input_shape, (self.axis,))
        if self.groups == -1:
            self.groups = channels
        if channels % self.groups:
            raise ValueError(
                f"GroupNormalization '{self.name}': {channels} channels do not divide into "
                f"{self.groups} groups. Choose a divisor of {channels}."
            )
        if self.axis % len(input_shape) == 0:
            raise ValueError(
                f"GroupNormalization '{self.name}': axis {self.axis} is the batch, received shape "
                f"{input_shape}. Name the axis of the channels."
            )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        self._add_parameters((channels,), self.scale, self.center)

    def call(self, inputs: Any) -> Any:
        return normalization.group_normalization(
            inputs, self.groups, self.axis % len(inputs.shape), self.gamma, self.beta, self.epsilon
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups, "axis": self.axis}


class UnitNormalization(Layer):
    """y = x / ‖x‖₂ over the axes; 0 stays 0.

    >>> gpunn.layers.UnitNormalization()
    """

    supports_masking = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = _checked_axis("UnitNormalization", axis)

    def call(self, inputs: Any) -> Any:
        axes: Any = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        y = ops.normalize(normalization.wide(inputs), axis=axes, epsilon=1e-12)
        return ops.cast(y, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class RMSNormalization(Layer):
    """y = x / √(mean x² + ε) · scale over the axes.  arXiv:1910.07467

    >>> gpunn.layers.RMSNormalization()
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = _checked_axis("RMSNormalization", axis)
        self.epsilon = epsilon

    def build(self, input_shape: SymbolicShape) -> None:
        self.axis = sorted(self.axis) if isinstance(self.axis, list) else [self.axis]
        name = f"RMSNormalization '{self.name}'"
        normalize_axes(name, tuple(self.axis), len(input_shape))
        shape = tuple(input_shape[axis] for axis in self.axis)
        if None in shape:
            raise ValueError(f"{name}: the axes {self.axis} of {input_shape} must be known.")
        self.scale = self.add_weight(shape, "ones", autocast=False, name="scale")

    def call(self, x: Any) -> Any:
        return ops.rms_normalization(x, self.scale, self.axis, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}
