"""BatchNormalization: each channel normalized over the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn import config, constraints, initializers, ops, regularizers
from gpunn.arguments import is_whole
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError, unknown_name
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.objects import serialize
from gpunn.ops import normalization
from gpunn.ops.rules import normalize_axis

_CLIPPING = ("rmax", "rmin", "dmax")


class Normalizing(Layer):
    """What γ and β of all normalizing layers share: their settings, and how they are made."""

    supports_masking = True

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.epsilon, self.center, self.scale = float(epsilon), center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def _add_parameters(self, shape: tuple, scale: bool, center: bool) -> None:
        if scale:
            self.gamma = self.add_weight(
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
                name="gamma",
            )
        if center:
            self.beta = self.add_weight(
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
                name="beta",
            )

    def _lengths(self, shape: SymbolicShape, axes: Any) -> tuple[int, ...]:
        """The lengths of these axes, which must be known."""
        for axis in axes:
            if shape[normalize_axis(f"{type(self).__name__} '{self.name}'", axis, len(shape))]:
                continue
            raise ShapeError(
                f"{type(self).__name__} '{self.name}': axis {axis} of the input must be known and "
                f"not 0, received shape {shape}."
            )
        return tuple(shape[axis] for axis in axes)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": serialize(self.beta_initializer),
            "gamma_initializer": serialize(self.gamma_initializer),
            "beta_regularizer": serialize(self.beta_regularizer),
            "gamma_regularizer": serialize(self.gamma_regularizer),
            "beta_constraint": serialize(self.beta_constraint),
            "gamma_constraint": serialize(self.gamma_constraint),
        }


class BatchNormalization(Normalizing):
    """y = (x - μ) / √(σ² + ε) · γ + β for each channel (`axis`).  arXiv:1502.03167

    In training μ and σ² are the mean and population variance of the batch (of its unmasked
    positions), and the moving averages come nearer to them: m = momentum · m + (1 - momentum) · μ.
    Otherwise, and in a frozen layer (`trainable=False`), μ and σ² are the moving averages.
    `renorm`: batch renormalization, arXiv:1702.03275, clipped by rmax, rmin, dmax.

    >>> gpunn.layers.BatchNormalization()
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Mapping[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ):
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer,
            gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        normalization.refuse_synchronized("BatchNormalization", synchronized)
        if not is_whole(axis):
            raise ValueError(f"BatchNormalization: axis must be an integer, received {axis!r}.")
        self.axis, self.momentum, self.synchronized = int(axis), float(momentum), synchronized
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm, self.renorm_momentum = renorm, renorm_momentum
        self.renorm_clipping = renorm_clipping
        if renorm:
            self.renorm_clipping = _checked_clipping(renorm_clipping)

    def build(self, input_shape: SymbolicShape) -> None:
        shape = self._lengths(input_shape, (self.axis,))
        self._add_parameters(shape, self.scale, self.center)
        self.moving_mean = self._state("moving_mean", shape, self.moving_mean_initializer)
        self.moving_variance = self._state(
            "moving_variance", shape, self.moving_variance_initializer
        )
        if self.renorm:
            self.moving_stddev = self._state("moving_stddev", shape, self._first_stddev)
            self.renorm_mean = self._state("renorm_mean", shape, self.moving_mean_initializer)
            self.renorm_stddev = self._state("renorm_stddev", shape, self._first_stddev)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def _state(self, name: str, shape: tuple, initializer: Any) -> Variable:
        return self.add_weight(shape, initializer, trainable=False, autocast=False, name=name)

    def _first_stddev(self, shape: tuple, dtype: Any = None) -> Any:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        if mask is not None and len(mask.shape) != len(inputs.shape) - 1:
            raise ShapeError(
                f"BatchNormalization '{self.name}': the mask needs one axis less than the input "
                f"(mask {tuple(mask.shape)}, input {tuple(inputs.shape)})."
            )
        if not (training and self.trainable):
            return self._normalized(
                inputs, self.moving_mean, self.moving_variance, self.gamma, self.beta
            )
        if mask is None and not self.renorm:
            y, mean, variance = normalization.normalize_batch(
                inputs, self.axis % len(inputs.shape), self.gamma, self.beta, self.epsilon
            )
            self._update(mean, variance)
            return y
        mean, variance = self._moments(inputs, mask)
        if not self.renorm:
            self._update(mean, variance)
            return self._normalized(inputs, mean, variance, self.gamma, self.beta)
        gamma, beta = self._renormalizing(mean, variance)
        self._update_renorm(mean, variance)
        return self._normalized(inputs, mean, variance, gamma, beta)

    def _normalized(self, x: Any, mean: Any, variance: Any, gamma: Any, beta: Any) -> Any:
        return ops.batch_normalization(x, mean, variance, self.axis, beta, gamma, self.epsilon)

    def _moments(self, x: Any, mask: Any) -> tuple[Any, Any]:
        """Mean and variance of the unmasked positions."""
        x = normalization.wide(x)
        axes = [a for a in range(len(x.shape)) if a != self.axis % len(x.shape)]
        if mask is None:
            return ops.moments(x, axes)
        counted = ops.cast(ops.expand_dims(mask, -1), "bool")
        count = ops.sum(ops.where(counted, ops.ones_like(x), 0), axes, keepdims=True)
        count = count + config.epsilon()
        mean = ops.sum(ops.where(counted, x, 0), axes, keepdims=True) / count
        squares = ops.where(counted, ops.square(x - mean), 0)
        variance = ops.sum(squares, axes, keepdims=True) / count
        return ops.reshape(mean, -1), ops.reshape(variance, -1)

    def _update(self, mean: Any, variance: Any) -> None:
        normalization.update_average(self.moving_mean, mean, self.momentum)
        normalization.update_average(self.moving_variance, variance, self.momentum)

    def _renormalizing(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """γ r and γ d + β with r = σ / σ_renorm and d = (μ - μ_renorm) / σ_renorm, clipped."""
        bounds = self.renorm_clipping or {}
        known = ops.maximum(ops.cast(self.renorm_stddev, mean.dtype), self.epsilon**0.5)
        r = ops.sqrt(variance + self.epsilon) / known
        d = (mean - ops.cast(self.renorm_mean, mean.dtype)) / known
        r = r if bounds.get("rmin") is None else ops.maximum(r, bounds["rmin"])
        r = r if bounds.get("rmax") is None else ops.minimum(r, bounds["rmax"])
        if bounds.get("dmax") is not None:
            d = ops.clip(d, -bounds["dmax"], bounds["dmax"])
        r, d = ops.stop_gradient(r), ops.stop_gradient(d)
        if self.gamma is not None:
            gamma = ops.cast(self.gamma, mean.dtype)
            r, d = r * gamma, d * gamma
        return r, d if self.beta is None else d + ops.cast(self.beta, mean.dtype)

    def _update_renorm(self, mean: Any, variance: Any) -> None:
        stddev = ops.sqrt(variance + self.epsilon)
        normalization.update_average(self.renorm_mean, mean, self.renorm_momentum)
        normalization.update_average(self.renorm_stddev, stddev, self.renorm_momentum)
        normalization.update_average(self.moving_mean, mean, self.momentum)
        normalization.update_average(self.moving_stddev, stddev, self.momentum)
        square = ops.square(ops.stop_gradient(self.moving_stddev))
        self.moving_variance.assign(ops.relu(square - self.epsilon))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "moving_mean_initializer": serialize(self.moving_mean_initializer),
            "moving_variance_initializer": serialize(self.moving_variance_initializer),
            "renorm": self.renorm,
            "renorm_clipping": self.renorm_clipping,
            "renorm_momentum": self.renorm_momentum,
            "synchronized": self.synchronized,
        }


def _checked_clipping(bounds: Mapping[str, float] | None) -> Mapping[str, float]:
    """rmax, rmin and dmax, each of which may be missing."""
    bounds = bounds or {}
    for key in bounds:
        if key not in _CLIPPING:
            raise unknown_name("key of renorm_clipping", key, _CLIPPING)
    rmax, rmin, dmax = (bounds.get(key) for key in _CLIPPING)
    if rmax is not None and rmin is not None and rmax < rmin:
        raise ValueError(f"renorm_clipping: rmax must be at least rmin, received {dict(bounds)}.")
    if dmax is not None and dmax < 0:
        raise ValueError(f"renorm_clipping: dmax must not be negative, received {dmax}.")
    return bounds
