"""Optimizer updates by gradients and their squares; see `updates`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gpunn.backend.blas import axpby
from gpunn.backend.protocol import Array
from gpunn.ops.updates import examples, in_blocks, update


@update("T g, raw T rate -> T w", "w -= rate[0] * g", examples(0))
def sgd(xp: Any, w: Array, g: Array, rate: Array) -> None:
    """w -= η g"""
    for w_, g_, t in in_blocks(xp, w, g):
        axpby(xp, -rate, g_, 1, w_, t)


@update(
    "T g, raw T rate, T momentum, bool nesterov -> T w, T m",
    "m = T(momentum * m - rate[0] * g); w += nesterov ? T(momentum * m - rate[0] * g) : m",
    examples(1, momentum=0.9, nesterov=True),
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


@update(
    "T g, raw T rate, T epsilon -> T w, T a",
    "a += g * g; w -= rate[0] * g / sqrt(a + epsilon)",
    examples(1, epsilon=1e-7),
)
def adagrad(xp: Any, w: Array, g: Array, a: Array, rate: Array, epsilon: float) -> None:
    """a += g²; w -= η g / √(a + ε).  Duchi et al. 2011"""
    for w_, g_, a_, t in in_blocks(xp, w, g, a):
        xp.multiply(g_, g_, out=t)
        a_ += t
        xp.add(a_, epsilon, out=t)
        _descend(xp, w_, g_, t, rate)


@update(
    "T g, raw T rate, T rho, T epsilon -> T w, T v",
    "v = rho * v + (T(1) - rho) * g * g; w -= rate[0] * g / sqrt(v + epsilon)",
    examples(1, rho=0.9, epsilon=1e-7),
)
def rmsprop(xp: Any, w: Array, g: Array, v: Array, rate: Array, rho: float, epsilon: float) -> None:
    """v = ρ v + (1 - ρ) g²; w -= η g / √(v + ε).  Tieleman and Hinton 2012"""
    for w_, g_, v_, t in in_blocks(xp, w, g, v):
        mean_square(xp, g_, v_, t, rho)
        xp.add(v_, epsilon, out=t)
        _descend(xp, w_, g_, t, rate)


@update(
    "T g, raw T rate, T rho, T epsilon, T momentum -> T w, T v, T m",
    "v = rho * v + (T(1) - rho) * g * g;m = momentum * m + rate[0] * g / sqrt(v + epsilon); w -= m",
    examples(2, rho=0.9, epsilon=1e-7, momentum=0.8),
)
def rmsprop_momentum(
    xp: Any, w: Array, g: Array, v: Array, m: Array, rate: Array,
    rho: float, epsilon: float, momentum: float,
) -> None:  # fmt: skip
    """v as in rmsprop; m = μ m + η g / √(v + ε); w -= m"""
    for w_, g_, v_, m_, t in in_blocks(xp, w, g, v, m):
        mean_square(xp, g_, v_, t, rho)
        xp.add(v_, epsilon, out=t)
        _descend_with_momentum(xp, w_, g_, m_, t, rate, momentum)


def _centered_examples(slots: int, **options: float) -> Callable:
    """`v` well above the square of `a`, the last slot"""

    def make(rng: np.random.Generator, dtype: str) -> Iterator:
        for (w, g, v, *rest, a, rate), _ in examples(slots)(rng, dtype):
            yield (w, g, v + 1, *rest, a * 0.1, rate), options

    return make


@update(
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


@update(
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
    mean_square(xp, g, v, t, rho)
    axpby(xp, 1 - rho, g, rho, a, t)
    xp.multiply(a, a, out=t)
    xp.subtract(v, t, out=t)


def mean_square(xp: Any, g: Array, v: Array, t: Array, rho: float) -> None:
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


@update(
    "T g, raw T rate, T rho, T epsilon -> T w, T a, T d",
    "a = rho * a + (T(1) - rho) * g * g; T step = sqrt(d + epsilon) / sqrt(a + epsilon) * g;"
    "d = rho * d + (T(1) - rho) * step * step; w -= rate[0] * step",
    examples(2, rho=0.9, epsilon=1e-7, long=False),
    dtypes=("float32",),
)
def adadelta(
    xp: Any, w: Array, g: Array, a: Array, d: Array, rate: Array, rho: float, epsilon: float
) -> None:
    """a = ρ a + (1 - ρ) g²; δ = g √(d + ε) / √(a + ε); d = ρ d + (1 - ρ) δ²; w -= η δ"""
    for w_, g_, a_, d_, t in in_blocks(xp, w, g, a, d):
        mean_square(xp, g_, a_, t, rho)
        step = g_ * xp.sqrt(d_ + epsilon) / xp.sqrt(a_ + epsilon)
        mean_square(xp, step, d_, t, rho)
        axpby(xp, -rate, step, 1, w_, t)


@update(
    "T g, raw T rate, T power, T l1, T l2, T shrinkage, T beta -> T w, T a, T z",
    "T after = a + g * g; T root = pow(after, power);"
    "z += g + 2 * shrinkage * w - (root - pow(a, power)) / rate[0] * w; a = after;"
    "w = ((z > l1 ? l1 : z < -l1 ? T(-l1) : z) - z) / ((root + beta) / rate[0] + 2 * l2)",
    examples(2, power=0.5, l1=0.1, l2=0.2, shrinkage=0.01, beta=0.3, long=False),
    dtypes=("float32",),
)
def ftrl(
    xp: Any, w: Array, g: Array, a: Array, z: Array, rate: Array,
    power: float, l1: float, l2: float, shrinkage: float, beta: float,
) -> None:  # fmt: skip
    """z += g + 2 s w - ((a + g²)^p - a^p) w / η; a += g²;
    w = (clip(z, ±λ₁) - z) / ((a^p + β) / η + 2 λ₂).  McMahan et al. 2013
    """
    for w_, g_, a_, z_, _ in in_blocks(xp, w, g, a, z):
        before = a_**power
        a_ += g_ * g_
        root = a_**power
        z_ += g_ + 2 * shrinkage * w_ - (root - before) / rate * w_
        w_[...] = (xp.clip(z_, -l1, l1) - z_) / ((root + beta) / rate + 2 * l2)


@update(
    "T g, raw T rate, T beta_1, T beta_2 -> T w, T m",
    "T d = beta_1 * m + (T(1) - beta_1) * g; w -= d > 0 ? rate[0] : d < 0 ? T(-rate[0]) : T(0);"
    "m = beta_2 * m + (T(1) - beta_2) * g",
    examples(1, beta_1=0.9, beta_2=0.99, long=False),
    dtypes=("float32",),
)
def lion(xp: Any, w: Array, g: Array, m: Array, rate: Array, beta_1: float, beta_2: float) -> None:
    """w -= η sign(β₁ m + (1 - β₁) g); m = β₂ m + (1 - β₂) g.  arXiv:2302.06675"""
    for w_, g_, m_, t in in_blocks(xp, w, g, m):
        axpby(xp, -rate, xp.sign(beta_1 * m_ + (1 - beta_1) * g_), 1, w_, t)
        axpby(xp, 1 - beta_2, g_, beta_2, m_, t)
