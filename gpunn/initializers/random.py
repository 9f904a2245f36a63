"""Initializers by chance: normal, truncated normal, uniform, orthogonal.

Values come from NumPy's Philox generator on the host, in float32 (float64 for float64 weights), so
that a seed means the same bits on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.random import host_generator
from gpunn.errors import DTypeError, ShapeError
from gpunn.initializers.base import Initializer, known_shape
from gpunn.objects import by_names, lookup, serialize
from gpunn.random import SeedGenerator
from gpunn.seeding import next_seed

# The streams of layers count their draws in 32 bits, so none of them ever comes to this one.
_DRAW = 1 << 32

#: Makes an array of a shape and a float type: `draw(generator, shape, dtype)`.
Draw = Callable[["np.random.Generator", tuple[int, ...], Any], np.ndarray]


class RandomInitializer(Initializer):
    """Base of the random initializers.

    `seed`: an integer, or None for one of the process' sequence (`gpunn.seeding`): the same values
    at every call. A `SeedGenerator` gives others at every call.
    """

    def __init__(self, seed: int | SeedGenerator | Mapping[str, Any] | None = None):
        if isinstance(seed, Mapping):
            seed = lookup("seed generator", seed, by_names(SeedGenerator))
        if isinstance(seed, np.integer):
            seed = int(seed)
        if not (
            hasattr(seed, "next_seed") or seed is None or (isinstance(seed, int) and seed >= 0)
        ):
            raise ValueError(
                f"{type(self).__name__}: seed must be a non-negative integer, a SeedGenerator or "
                f"None, received {seed!r}."
            )
        self._given_seed = seed
        self.seed: Any = next_seed() if seed is None else seed

    def _generate(self, shape: Sequence[int], dtype: Any, draw: Draw) -> Tensor:
        """A tensor of the values that `draw` makes from this initializer's seed."""
        shape, dtype = known_shape(self, shape), as_dtype(dtype)
        if not is_float(dtype):
            raise DTypeError(
                f"{type(self).__name__} makes real numbers, not {dtype.name}. Choose a float "
                f"dtype, or Zeros, Ones or Constant."
            )
        seed = self.seed if isinstance(self.seed, int) else self.seed.next_seed()
        wide = np.float64 if dtype == np.float64 else np.float32
        values = draw(host_generator(seed % 2**32, _DRAW), shape, wide)
        return Tensor(asarray(np.asarray(values, wide).astype(dtype, copy=False)))

    def get_config(self) -> dict[str, Any]:
        return {"seed": serialize(self._given_seed)}


def truncated_normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """z ~ N(0, 1) given |z| ≤ 2: what lies outside is drawn again."""
    z = np.asarray(rng.standard_normal(shape, dtype))
    while (outside := np.abs(z) > 2).any():
        z[outside] = rng.standard_normal(np.count_nonzero(outside), dtype)
    return z


class RandomNormal(RandomInitializer):
    """w ~ N(mean, stddev²).

    >>> gpunn.initializers.RandomNormal(stddev=0.01, seed=1)(shape=(2, 3))
    """

    def __init__(
        self, mean: float = 0.0, stddev: float = 0.05, seed: int | SeedGenerator | None = None
    ):
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return self._generate(
            shape,
            dtype,
            lambda rng, shape, dtype: self.mean + self.stddev * rng.standard_normal(shape, dtype),
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """w = mean + stddev · z, z ~ N(0, 1) given |z| ≤ 2."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        return self._generate(
            shape,
            dtype,
            lambda rng, shape, dtype: self.mean + self.stddev * truncated_normal(rng, shape, dtype),
        )


class RandomUniform(RandomInitializer):
    """w ~ U[minval, maxval)."""

    def __init__(
        self,
        minval: float = -0.05,
        maxval: float = 0.05,
        seed: int | SeedGenerator | None = None,
    ):
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        width = self.maxval - self.minval
        return self._generate(
            shape, dtype, lambda rng, shape, dtype: self.minval + width * rng.random(shape, dtype)
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class Orthogonal(RandomInitializer):
    """w = gain · Q, QᵀQ = I (or Q Qᵀ = I, where rows are fewer), uniform among such matrices.

    A weight of shape (..., M) is the matrix of its last axis; Q is the factor of a normal matrix
    A = Q R whose R has a positive diagonal.

    Source: Saxe et al., arXiv:1312.6120; Mezzadri, arXiv:math-ph/0609050 (why the signs matter).
    """

    def __init__(self, gain: float = 1.0, seed: int | SeedGenerator | None = None):
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        if len(shape) < 2:
            raise ShapeError(
                f"Orthogonal: the weight must have at least 2 axes (shape {tuple(shape)}). "
                f"Choose another initializer for vectors."
            )
        return self._generate(shape, dtype, self._draw)

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        rows, columns = prod(shape[:-1]), shape[-1]
        A = rng.standard_normal((max(rows, columns), min(rows, columns)), dtype)
        Q, R = np.linalg.qr(A)
        Q *= np.where(np.diagonal(R) < 0, -1, 1).astype(dtype)
        return self.gain * (Q if rows >= columns else Q.T).reshape(shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}
