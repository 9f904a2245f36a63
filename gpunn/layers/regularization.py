"""Layers that make training noisy or costly, and do nothing afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn import ops, random, regularizers
from gpunn.errors import ShapeError
from gpunn.layers.layer import Layer

_SATURATION = -1.6732632423543772 * 1.0507009873554805  # of SELU: -α λ


def _checked_rate(owner: str, rate: float) -> float:
    if not isinstance(rate, (int, float, np.floating)) or not 0 <= rate <= 1:
        raise ValueError(f"{owner}: rate must lie in [0, 1], received {rate!r}.")
    return float(rate)


def _noise_shape(layer: Any, shape: Any) -> tuple[int, ...] | None:
    """The shape of the choices for an input of this shape, None for that of the input."""
    noise = layer.noise_shape
    if noise is None:
        return None
    if len(noise) != len(shape):
        raise ShapeError(
            f"{type(layer).__name__} '{layer.name}': noise_shape {noise} needs one length for each "
            f"axis of the input {tuple(shape)}; 1 shares a choice, None is the input's length."
        )
    return tuple(n if m is None else m for n, m in zip(shape, noise, strict=True))


class Dropout(Layer):
    """In training y = x · m / (1 - rate), m = 0 with probability `rate`; else y = x.

    `noise_shape`: the shape of m, 1 (or None for the batch) where a choice is shared. Srivastava
    et al. 2014.

    >>> gpunn.layers.Dropout(0.5, seed=7)
    """

    supports_masking = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.rate = _checked_rate(type(self).__name__, rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return ops.zeros_like(inputs)
        shape = _noise_shape(self, inputs.shape)
        return random.dropout(inputs, self.rate, shape, self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        config = {"rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}
        return {**super().get_config(), **config}


class AlphaDropout(Layer):
    """In training y = a · (x · m + α' (1 - m)) + b, m = 0 with probability `rate`; else y = x.

    α' = -αλ is where SELU saturates; a = ((1 - rate) (1 + rate α'²))^(-1/2) and b = -a α' rate keep
    mean 0 and variance 1. Klambauer et al. 2017. `noise_shape`: as for `Dropout`.

    >>> gpunn.layers.AlphaDropout(0.1)
    """

    supports_masking = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.rate = _checked_rate("AlphaDropout", rate)
        if self.rate == 1:
            raise ValueError("AlphaDropout: rate must be below 1; no scale restores the variance.")
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        shape = _noise_shape(self, inputs.shape)
        a = ((1 - self.rate) * (1 + self.rate * _SATURATION**2)) ** -0.5
        # x m + α' (1 - m) = (x - α') m + α', and `dropout` divides m by 1 - rate
        kept = random.dropout(inputs - _SATURATION, self.rate, shape, self.seed_generator)
        return kept * (a * (1 - self.rate)) + a * _SATURATION * (1 - self.rate)

    def get_config(self) -> dict[str, Any]:
        config = {"rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}
        return {**super().get_config(), **config}


class GaussianNoise(Layer):
    """In training y = x + N(0, stddev²); else y = x.

    >>> gpunn.layers.GaussianNoise(0.1)
    """

    supports_masking = True

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not stddev >= 0:
            raise ValueError(f"GaussianNoise: stddev must not be negative, received {stddev}.")
        self.stddev = stddev
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if stddev > 0 else None

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.stddev == 0:
            return inputs
        noise = random.normal(
            inputs.shape, 0.0, self.stddev, self.compute_dtype, self.seed_generator
        )
        return inputs + noise

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class GaussianDropout(Layer):
    """In training y = x · N(1, rate / (1 - rate)); else y = x.  Srivastava et al. 2014

    >>> gpunn.layers.GaussianDropout(0.3)
    """

    supports_masking = True

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.rate = _checked_rate("GaussianDropout", rate)
        if self.rate == 1:
            raise ValueError("GaussianDropout: rate must be below 1; its noise has no bound there.")
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        stddev = (self.rate / (1 - self.rate)) ** 0.5
        noise = random.normal(inputs.shape, 1.0, stddev, self.compute_dtype, self.seed_generator)
        return inputs * noise

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class ActivityRegularization(Layer):
    """y = x, with the penalty l1 · Σ|x| + l2 · Σ x² per sample of the batch.

    >>> gpunn.layers.ActivityRegularization(l2=1e-3)
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any):
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]  # it is made of l1 and l2
        return {**config, "l1": self.l1, "l2": self.l2}
