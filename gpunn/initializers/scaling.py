"""Initializers whose variance follows from how many units a layer connects."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

from gpunn.autodiff.tensor import Tensor
from gpunn.errors import unknown_name
from gpunn.initializers.base import known_shape
from gpunn.initializers.random import Draw, RandomInitializer, truncated_normal
from gpunn.random import SeedGenerator

#: The standard deviation of a standard normal distribution that is cut at ±2.
TRUNCATED_STDDEV = 0.87962566103423978

#: Draws of mean 0 and variance 1.
_DRAWS: dict[str, Draw] = {
    "truncated_normal": lambda rng, shape, dtype: (
        truncated_normal(rng, shape, dtype) / TRUNCATED_STDDEV
    ),
    "untruncated_normal": lambda rng, shape, dtype: rng.standard_normal(shape, dtype),
    "uniform": lambda rng, shape, dtype: sqrt(3) * (2 * rng.random(shape, dtype) - 1),
}
_MODES = ("fan_in", "fan_out", "fan_avg")

Axes = Sequence[int] | None


def compute_fans(
    shape: Sequence[int], input_axes: Axes = None, output_axes: Axes = None
) -> tuple[int, int]:
    """How many inputs one output sees, and how many outputs one input reaches.

    (): 1, 1. (N,): N, N. (N, M): N, M. A convolution's kernel (..., C, F): ΠC, ΠF with the product
    Π of the leading axes. `input_axes` with `output_axes` name the axes instead.
    """
    if input_axes is not None and output_axes is not None:
        return prod(shape[a] for a in input_axes), prod(shape[a] for a in output_axes)
    if len(shape) < 2:
        return prod(shape), prod(shape)
    receptive_field = prod(shape[:-2])
    return receptive_field * shape[-2], receptive_field * shape[-1]


class VarianceScaling(RandomInitializer):
    """E w = 0, Var w = scale / n: n is the fan in, the fan out or their mean (`mode`).

    `distribution`: ``"truncated_normal"`` (cut at two standard deviations, and widened so that the
    variance is right; ``"normal"`` means the same), ``"untruncated_normal"``, or ``"uniform"`` on
    ±√(3 scale / n). `input_axes` and `output_axes`, given together, name the axes that count.

    >>> gpunn.initializers.VarianceScaling(2.0, "fan_in", "uniform", seed=1)(shape=(64, 32))
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | SeedGenerator | None = None,
        input_axes: Axes = None,
        output_axes: Axes = None,
    ):
        super().__init__(seed)
        distribution = {"normal": "truncated_normal"}.get(
            distribution.lower(), distribution.lower()
        )
        if not scale > 0:
            raise ValueError(f"{type(self).__name__}: scale must be positive, received {scale!r}.")
        if mode not in _MODES:
            raise unknown_name("mode", mode, _MODES)
        if distribution not in _DRAWS:
            raise unknown_name("distribution", distribution, _DRAWS)
        if (input_axes is None) != (output_axes is None):
            raise ValueError(
                f"{type(self).__name__}: input_axes and output_axes belong together, received "
                f"input_axes={input_axes!r}, output_axes={output_axes!r}. Give both or neither."
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        shape = known_shape(self, shape)
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = sqrt(self.scale / max(1.0, n))
        unit = _DRAWS[self.distribution]
        return self._generate(shape, dtype, lambda *draw: stddev * unit(*draw))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("scale", "mode", "distribution", "input_axes", "output_axes"):
            config[name] = getattr(self, name)
        return config


class _Preset(VarianceScaling):
    """A `VarianceScaling` with a name: what the config leaves out, the class fixes."""

    preset: tuple[float, str, str]

    def __init__(
        self,
        seed: int | SeedGenerator | None = None,
        input_axes: Axes = None,
        output_axes: Axes = None,
    ):
        super().__init__(*self.preset, seed, input_axes, output_axes)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: config[name] for name in ("seed", "input_axes", "output_axes")}


class GlorotUniform(_Preset):
    """w ~ U[-a, a], a = √(6 / (fan_in + fan_out)): the default of most layers.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural
    networks (AISTATS 2010), equation 16.
    """

    preset = 1.0, "fan_avg", "uniform"


class GlorotNormal(_Preset):
    """w ~ N(0, 2 / (fan_in + fan_out)), truncated.  Source: as GlorotUniform."""

    preset = 1.0, "fan_avg", "truncated_normal"


class HeNormal(_Preset):
    """w ~ N(0, 2 / fan_in), truncated: for ReLU.  arXiv:1502.01852"""

    preset = 2.0, "fan_in", "truncated_normal"


class HeUniform(_Preset):
    """w ~ U[-a, a], a = √(6 / fan_in): for ReLU.  arXiv:1502.01852"""

    preset = 2.0, "fan_in", "uniform"


class LecunNormal(_Preset):
    """w ~ N(0, 1 / fan_in), truncated: for SELU.  arXiv:1706.02515"""

    preset = 1.0, "fan_in", "truncated_normal"


class LecunUniform(_Preset):
    """w ~ U[-a, a], a = √(3 / fan_in).  Source: LeCun et al., Efficient BackProp (1998)."""

    preset = 1.0, "fan_in", "uniform"
