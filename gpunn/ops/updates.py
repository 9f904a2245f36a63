"""Optimizer updates over flat buffers: weights w, gradients g, slots, all of one length.

On the CPU a chain of array operations runs block by block, so that a block stays in the cache.
Learning rates are arrays of shape (1,): they change from step to step. CUDA: elementwise, here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from math import sqrt
from typing import Any

import numpy as np

from gpunn.backend.blas import axpby
from gpunn.backend.cuda import elementwise
from gpunn.backend.devices import cpu
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array

BLOCK = 1 << 17  # elements: few enough to stay near in the caches, enough to hide the calls


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.arrays: dict[Any, Array] = {}

    def like(self, array: Array) -> Array:
        """A temporary of this length and dtype, the same one each time."""
        key = array.dtype
        if key not in self.arrays:
            self.arrays[key] = cpu.pool.lend((BLOCK,), key, BLOCK * key.itemsize)
        return self.arrays[key][: array.shape[0]]


_scratch = _Scratch()


def in_blocks(xp: Any, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The arrays' blocks, each with a temporary at the end; on a GPU the arrays as a whole."""
    n = arrays[0].shape[0]
    if xp is not np:
        yield (*arrays, xp.empty_like(arrays[0]))
    elif n <= BLOCK:
        yield (*arrays, _scratch.like(arrays[0]))
    else:
        for start in range(0, n, BLOCK):
            parts = tuple(a[start : start + BLOCK] for a in arrays)
            yield (*parts, _scratch.like(parts[0]))


def _examples(slots: int, *, rates: int = 1, **options: Any) -> Callable:
    """Examples of an update: weights, gradients, slots >= 0, one or more rates of shape (1,)."""

    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for n in (1, 7, 1000, BLOCK + 5):
            w, g = rng.standard_normal((2, n)).astype(dtype)
            others = [rng.uniform(0.1, 1, n).astype(dtype) for _ in range(slots)]
            yield (w, g, *others, *[np.full(1, 0.05, dtype)] * rates), options

    return examples


_DTYPES = ("float32", "float64")


def _update(signature: str, operation: str, examples: Callable) -> Callable:
    """Register an update; what it changes stands on the right of the arrow."""

    def decorate(reference: Callable) -> Kernel:
        cuda = elementwise(signature, operation)
        return kernel(cuda=cuda, examples=examples, dtypes=_DTYPES)(reference)

    return decorate


@_update("T g, raw T rate -> T w", "w -= rate[0] * g", _examples(0))
def sgd(xp: Any, w: Array, g: Array, rate: Array) -> None:
    """w -= η g"""
    for w_, g_, t in in_blocks(xp, w, g):
        axpby(xp, -rate, g_, 1, w_, t)


@_update(
    "T g, raw T rate, T momentum, bool nesterov -> T w, T m",
    "m = T(momentum * m - rate[0] * g); w += nesterov ? T(momentum * m - rate[0] * g) : m",
    _examples(1, momentum=0.9, nesterov=True),
)
def sgd_momentum(
    xp: Any, w: Array, g: Array, m: Array, rate: Array, momentum: float, nesterov: bool
) -> None:
    """m = μ m - η g; w += m, or w += μ m - η g with Nesterov's look ahead"""
    for w_, g_, m_, t in in_blocks(xp, w, g, m):
        axpby(xp, -rate, g_, momentum, m_, t)
        if nesterov:
            axpby(xp, -rate, g_, 1, w_, t)
            axpby(xp, momentum, m_, 1, w_, t)
        else:
            w_ += m_


@_update(
    "T g, raw T rate, T epsilon -> T w, T a",
    "a += g * g; w -= rate[0] * g / sqrt(a + epsilon)",
    _examples(1, epsilon=1e-7),
)
def adagrad(xp: Any, w: Array, g: Array, a: Array, rate: Array, epsilon: float) -> None:
    """a += g²; w -= η g / √(a + ε).  Duchi et al. 2011"""
    for w_, g_, a_, t in in_blocks(xp, w, g, a):
        xp.multiply(g_, g_, out=t)
        a_ += t
        xp.add(a_, epsilon, out=t)
        _descend(xp, w_, g_, t, rate)


@_update(
    "T g, raw T rate, T rho, T epsilon -> T w, T v",
    "v = rho * v + (T(1) - rho) * g * g; w -= rate[0] * g / sqrt(v + epsilon)",
    _examples(1, rho=0.9, epsilon=1e-7),
)
def rmsprop(xp: Any, w: Array, g: Array, v: Array, rate: Array, rho: float, epsilon: float) -> None:
    """v = ρ v + (1 - ρ) g²; w -= η g / √(v + ε).  Tieleman and Hinton 2012"""
    for w_, g_, v_, t in in_blocks(xp, w, g, v):
        _mean_square(xp, g_, v_, t, rho)
        xp.add(v_, epsilon, out=t)
        _descend(xp, w_, g_, t, rate)


@_update(
    "T g, raw T rate, T rho, T epsilon, T momentum -> T w, T v, T m",
    "v = rho * v + (T(1) - rho) * g * g;m = momentum * m + rate[0] * g / sqrt(v + epsilon); w -= m",
    _examples(2, rho=0.9, epsilon=1e-7, momentum=0.8),
)
def rmsprop_momentum(
    xp: Any, w: Array, g: Array, v: Array, m: Array, rate: Array,
    rho: float, epsilon: float, momentum: float,
) -> None:  # fmt: skip
    """v as in rmsprop; m = μ m + η g / √(v + ε); w -= m"""
    for w_, g_, v_, m_, t in in_blocks(xp, w, g, v, m):
        _mean_square(xp, g_, v_, t, rho)
        xp.add(v_, epsilon, out=t)
        _descend_with_momentum(xp, w_, g_, m_, t, rate, momentum)


def _centered_examples(slots: int, **options: float) -> Callable:
    """`v` well above the square of `a`, the last slot"""

    def examples(rng: np.random.Generator, dtype: str) -> Iterator:
        for (w, g, v, *rest, a, rate), _ in _examples(slots)(rng, dtype):
            yield (w, g, v + 1, *rest, a * 0.1, rate), options

    return examples


@_update(
    "T g, raw T rate, T rho, T epsilon -> T w, T v, T a",
    "v = rho * v + (T(1) - rho) * g * g; a = rho * a + (T(1) - rho) * g;"
    "w -= rate[0] * g / sqrt(v - a * a + epsilon)",
    _centered_examples(2, rho=0.9, epsilon=1e-7),
)
def rmsprop_centered(
    xp: Any, w: Array, g: Array, v: Array, a: Array, rate: Array, rho: float, epsilon: float
) -> None:
    """a = ρ a + (1 - ρ) g; w -= η g / √(v - a² + ε)"""
    for w_, g_, v_, a_, t in in_blocks(xp, w, g, v, a):
        _variance(xp, g_, v_, a_, t, rho)
        t += epsilon
        _descend(xp, w_, g_, t, rate)


@_update(
    "T g, raw T rate, T rho, T epsilon, T momentum -> T w, T v, T m, T a",
    "v = rho * v + (T(1) - rho) * g * g; a = rho * a + (T(1) - rho) * g;"
    "m = momentum * m + rate[0] * g / sqrt(v - a * a + epsilon); w -= m",
    _centered_examples(3, rho=0.9, epsilon=1e-7, momentum=0.8),
)
def rmsprop_centered_momentum(
    xp: Any, w: Array, g: Array, v: Array, m: Array, a: Array, rate: Array,
    rho: float, epsilon: float, momentum: float,
) -> None:  # fmt: skip
    """a = ρ a + (1 - ρ) g; m = μ m + η g / √(v - a² + ε); w -= m"""
    for w_, g_, v_, m_, a_, t in in_blocks(xp, w, g, v, m, a):
        _variance(xp, g_, v_, a_, t, rho)
        t += epsilon
        _descend_with_momentum(xp, w_, g_, m_, t, rate, momentum)


def _variance(xp: Any, g: Array, v: Array, a: Array, t: Array, rho: float) -> None:
    """v = ρ v + (1 - ρ) g²; a = ρ a + (1 - ρ) g; t = v - a²"""
    _mean_square(xp, g, v, t, rho)
    axpby(xp, 1 - rho, g, rho, a, t)
    xp.multiply(a, a, out=t)
    xp.subtract(v, t, out=t)


def _mean_square(xp: Any, g: Array, v: Array, t: Array, rho: float) -> None:
    """v = ρ v + (1 - ρ) g²"""
    xp.multiply(g, g, out=t)
    axpby(xp, 1 - rho, t, rho, v, t)


def _descend(xp: Any, w: Array, g: Array, t: Array, rate: Array) -> None:
    """w -= η g / √t"""
    xp.sqrt(t, out=t)
    xp.divide(g, t, out=t)
    axpby(xp, -rate, t, 1, w, t)


def _descend_with_momentum(
    xp: Any, w: Array, g: Array, m: Array, t: Array, rate: Array, momentum: float
) -> None:
    """m = μ m + η g / √t; w -= m"""
    xp.sqrt(t, out=t)
    xp.divide(g, t, out=t)
    axpby(xp, rate, t, momentum, m, t)
    w -= m


def _rate_examples(rng: np.random.Generator, dtype: str) -> Any:
    for step in (0, 9, 100000):
        arrays = np.array(1e-3, "float32"), np.array(step, "int32"), np.full(1, np.nan, dtype)
        yield arrays, {"beta_1": 0.9, "beta_2": 0.999}


@kernel(
    cuda=elementwise(
        "float32 rate, int32 iteration, float64 beta_1, float64 beta_2 -> T out",
        "double t = (double)iteration + 1;"
        "out = T(rate * sqrt(1 - pow(beta_2, t)) / (1 - pow(beta_1, t)))",
    ),
    examples=_rate_examples,
    dtypes=_DTYPES,
)
def adam_rate(
    xp: Any, rate: Array, iteration: Array, out: Array, beta_1: float, beta_2: float
) -> None:
    """out = η √(1 - β₂^t) / (1 - β₁^t) with t = iteration + 1, in float64"""
    t = iteration.item() + 1
    out.fill(rate.item() * (sqrt(1 - beta_2**t) / (1 - beta_1**t)))


@_update(
    "T g, raw T rate, T beta_1, T beta_2, T epsilon -> T w, T m, T v",
    "m = beta_1 * m + (T(1) - beta_1) * g; v = beta_2 * v + (T(1) - beta_2) * g * g;"
    "w -= rate[0] * m / (sqrt(v) + epsilon)",
    _examples(2, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
)
def adam(
    xp: Any, w: Array, g: Array, m: Array, v: Array, rate: Array,
    beta_1: float, beta_2: float, epsilon: float,
) -> None:  # fmt: skip
    """m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²; w -= η̂ m / (√v + ε).  arXiv:1412.6980"""
    for w_, g_, m_, v_, t in in_blocks(xp, w, g, m, v):
        _moments(xp, g_, m_, v_, t, beta_1, beta_2)
        _descend_by_moments(xp, w_, m_, v_, t, rate, epsilon)


@_update(
    "T g, raw T rate, T beta_1, T beta_2, T epsilon -> T w, T m, T v, T v_max",
    "m = beta_1 * m + (T(1) - beta_1) * g; v = beta_2 * v + (T(1) - beta_2) * g * g;"
    "v_max = v > v_max ? v : v_max; w -= rate[0] * m / (sqrt(v_max) + epsilon)",
    _examples(3, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
)
def adam_amsgrad(
    xp: Any, w: Array, g: Array, m: Array, v: Array, v_max: Array, rate: Array,
    beta_1: float, beta_2: float, epsilon: float,
) -> None:  # fmt: skip
    """adam with the largest v so far: w -= η̂ m / (√v_max + ε).  arXiv:1904.09237"""
    for w_, g_, m_, v_, top, t in in_blocks(xp, w, g, m, v, v_max):
        _moments(xp, g_, m_, v_, t, beta_1, beta_2)
        xp.maximum(top, v_, out=top)
        _descend_by_moments(xp, w_, m_, top, t, rate, epsilon)


def _moments(xp: Any, g: Array, m: Array, v: Array, t: Array, beta_1: float, beta_2: float) -> None:
    """m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²"""
    axpby(xp, 1 - beta_1, g, beta_1, m, t)
    _mean_square(xp, g, v, t, beta_2)


def _descend_by_moments(
    xp: Any, w: Array, m: Array, v: Array, t: Array, rate: Array, epsilon: float
) -> None:
    """w -= η m / (√v + ε)"""
    xp.sqrt(v, out=t)
    t += epsilon
    xp.divide(m, t, out=t)
    axpby(xp, -rate, t, 1, w, t)


# --- gradients and weights before the update ---


@_update(
    "raw T rate, T decay -> T w",
    "w *= T(1) - decay * rate[0]",
    lambda rng, dtype: (
        ((w, rate), {"decay": 0.1}) for (w, _, rate), _ in _examples(0)(rng, dtype)
    ),
)
def decay_weights(xp: Any, w: Array, rate: Array, decay: float) -> None:
    """w -= η λ w, decoupled weight decay.  arXiv:1711.05101"""
    w *= 1 - decay * rate


@kernel(
    cuda=elementwise("T limit -> T g", "g = g > limit ? limit : g < -limit ? T(-limit) : g"),
    examples=lambda rng, dtype: [((rng.standard_normal(1000).astype(dtype),), {"limit": 0.5})],
    dtypes=_DTYPES,
)
def clip_values(xp: Any, g: Array, limit: float) -> None:
    """g = min(max(g, -limit), limit)"""
    xp.clip(g, -limit, limit, out=g)


@kernel(
    examples=lambda rng, dtype: [
        ((rng.standard_normal(1000).astype(dtype), np.full(1, 2.0, dtype)), {"first": first})
        for first in (True, False)
    ],
    dtypes=_DTYPES,
)
def squared_norm(xp: Any, g: Array, out: Array, first: bool) -> None:
    """out = Σ g², or out += Σ g² where this is not the first part"""
    square = np.dot(g, g) if xp is np else xp.sum(g * g)
    out[...] = square if first else out + square


@kernel(
    cuda=elementwise(
        "raw float64 squared, T limit -> T g",
        "T norm = T(sqrt(squared[0])); g = norm > limit ? T(g * limit / norm) : g",
    ),
    examples=lambda rng, dtype: [
        ((g, np.full(1, s)), {"limit": 1.0})
        for s in (9.0, 0.25)
        for g in [rng.standard_normal(100).astype(dtype)]
    ],
    dtypes=_DTYPES,
)
def clip_by_norm(xp: Any, g: Array, squared: Array, limit: float) -> None:
    """g *= limit / max(√squared, limit)"""
    xp.multiply(g, (limit / xp.maximum(xp.sqrt(squared), limit)).astype(g.dtype), out=g)


@kernel(
    cuda=elementwise("-> T x", "x += 1"),
    examples=lambda rng, dtype: [((np.array(5, dtype),), {})],
    dtypes=("int32",),
)
def increment(xp: Any, x: Array) -> None:
    """x += 1"""
    x += 1
