"""Random numbers, as in `keras.random`: by counter, the same on both backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn.arguments import as_shape, is_whole
from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable, name_scope
from gpunn.backend.random import host_generator
from gpunn.naming import unique_name
from gpunn.objects import Configurable
from gpunn.ops import distributions, noise, sampling
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.gathering import take
from gpunn.ops.rules import normalize_axis
from gpunn.seeding import next_seed

Shape = Sequence[int]


class SeedGenerator(Configurable):
    """A stream of random numbers: each use draws others. Its state lives on the device.

    >>> seed = gpunn.random.SeedGenerator(7)
    >>> gpunn.random.normal((2, 3), seed=seed)
    """

    def __init__(self, seed: int | None = None, name: str | None = None):
        if seed is not None and not is_whole(seed, 0):
            raise ValueError(f"seed must be a non-negative integer or None, received {seed!r}.")
        self.seed = None if seed is None else int(seed)
        start = next_seed() if seed is None else int(seed) % 2**32
        self.name = name or unique_name("seed_generator")
        with name_scope(self.name):
            self.state = Variable(
                np.array([start, 0], np.uint32), trainable=False, name="seed_generator_state"
            )

    def next_seed(self) -> int:
        """A seed for something made on the host (reads the state)."""
        seed, draw = (int(v) for v in self.state.numpy())
        self.state.assign(np.array([seed, (draw + 1) % 2**32], np.uint32))
        return int(host_generator(seed, draw).integers(2**32))

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "name": self.name}


def _state(seed: int | SeedGenerator | None) -> Tensor:
    """The stream to draw from: a generator's own, or a new one from a seed."""
    if isinstance(seed, SeedGenerator):
        return seed.state
    return SeedGenerator(seed).state


def _shape(name: str, shape: Any) -> tuple:
    """The shape to draw; None is a length that a symbolic tensor does not know."""
    return as_shape(f"random.{name}", shape, unknown=True)


def _float(name: str, dtype: Any) -> Any:
    """The dtype to draw in."""
    found = as_dtype(dtype)
    if not is_float(found):
        raise ValueError(f"random.{name}: dtype must be a float, received '{found}'. Cast later.")
    return found


def uniform(
    shape: Shape,
    minval: float = 0.0,
    maxval: float = 1.0,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Numbers from U[minval, maxval); integers for an integer dtype, as `randint`."""
    if dtype is not None and as_dtype(dtype).kind in "iu":
        return randint(shape, int(minval), int(maxval), dtype, seed)
    return noise.uniform(
        _state(seed), _shape("uniform", shape), minval, maxval, _float("uniform", dtype)
    )


def normal(
    shape: Shape,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Numbers from N(mean, stddev²), by Box and Muller."""
    return noise.normal(
        _state(seed), _shape("normal", shape), mean, stddev, _float("normal", dtype)
    )


def truncated_normal(
    shape: Shape,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Numbers from N(mean, stddev²), of those no further than two stddev from the mean."""
    dtype = _float("truncated_normal", dtype)
    return (
        distributions.truncated_normal(_state(seed), _shape("truncated_normal", shape), dtype)
        * stddev
        + mean
    )


def randint(
    shape: Shape,
    minval: int,
    maxval: int,
    dtype: Any = "int32",
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Integers from minval to maxval - 1, each equally likely."""
    found = as_dtype(dtype)
    if found.kind not in "iu":
        raise ValueError(f"random.randint: dtype must be an integer, received '{found}'.")
    if isinstance(minval, int) and isinstance(maxval, int) and minval >= maxval:
        raise ValueError(
            f"random.randint: there are no integers from minval={minval} to maxval - 1, received "
            f"maxval={maxval}. Make it larger."
        )
    return distributions.integers(_state(seed), _shape("randint", shape), minval, maxval, found)


def categorical(
    logits: Any,
    num_samples: int,
    dtype: Any = "int32",
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Classes by their log-probabilities: logits (batch, classes) -> (batch, num_samples).

    Class k has the probability e^(logits_k) / Σ_j e^(logits_j). Both backends draw the same ones.

    >>> gpunn.random.categorical(logits / temperature, 1, seed=generator)
    """
    return sampling.categorical(logits, _state(seed), num_samples, dtype)


def dropout(
    inputs: Any,
    rate: float,
    noise_shape: Shape | None = None,
    seed: int | SeedGenerator | None = None,
) -> Any:
    """x · m / (1 - rate), m = 0 with probability `rate`, else 1."""
    shape = None if noise_shape is None else tuple(noise_shape)
    return noise.dropout(inputs, _state(seed), rate=rate, noise_shape=shape)


def gamma(
    shape: Shape, alpha: Any, dtype: Any = None, seed: int | SeedGenerator | None = None
) -> Tensor:
    """Numbers from the gamma distribution Γ(alpha); alpha broadcasts to the shape."""
    return distributions.gamma(_state(seed), _shape("gamma", shape), alpha, _float("gamma", dtype))


def binomial(
    shape: Shape,
    counts: Any,
    probabilities: Any,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """How many of `counts` trials succeed, each with the given probability; both broadcast."""
    dtype = _float("binomial", dtype)
    return distributions.binomial(
        _state(seed), _shape("binomial", shape), counts, probabilities, dtype
    )


def beta(
    shape: Shape, alpha: Any, beta: Any, dtype: Any = None, seed: int | SeedGenerator | None = None
) -> Tensor:
    """Numbers from the beta distribution B(alpha, beta), which broadcast to the shape."""
    return distributions.beta(
        _state(seed), _shape("beta", shape), alpha, beta, _float("beta", dtype)
    )


def shuffle(x: Any, axis: int = 0, seed: int | SeedGenerator | None = None) -> Any:
    """x with its parts along an axis in random order."""
    x = convert_to_tensor(x)
    along = normalize_axis("shuffle", axis, len(x.shape))
    return take(x, distributions.permutation(_state(seed), x.shape[along]), axis=along)
