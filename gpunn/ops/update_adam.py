"""Optimizer updates of the family of Adam; see `updates`."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from gpunn.backend.blas import axpby
from gpunn.backend.cuda import elementwise
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.update_methods import mean_square
from gpunn.ops.updates import DTYPES, examples, in_blocks, update


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
    dtypes=DTYPES,
)
def adam_rate(
    xp: Any, rate: Array, iteration: Array, out: Array, beta_1: float, beta_2: float
) -> None:
    """out = η √(1 - β₂^t) / (1 - β₁^t) with t = iteration + 1, in float64"""
    t = iteration.item() + 1
    out.fill(rate.item() * (sqrt(1 - beta_2**t) / (1 - beta_1**t)))


@update(
    "T g, raw T rate, T beta_1, T beta_2, T epsilon -> T w, T m, T v",
    "m = beta_1 * m + (T(1) - beta_1) * g; v = beta_2 * v + (T(1) - beta_2) * g * g;"
    "w -= rate[0] * m / (sqrt(v) + epsilon)",
    examples(2, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
)
def adam(
    xp: Any, w: Array, g: Array, m: Array, v: Array, rate: Array,
    beta_1: float, beta_2: float, epsilon: float,
) -> None:  # fmt: skip
    """m = β₁ m + (1 - β₁) g; v = β₂ v + (1 - β₂) g²; w -= η̂ m / (√v + ε).  arXiv:1412.6980"""
    for w_, g_, m_, v_, t in in_blocks(xp, w, g, m, v):
        _moments(xp, g_, m_, v_, t, beta_1, beta_2)
        _descend_by_moments(xp, w_, m_, v_, t, rate, epsilon)


@update(
    "T g, raw T rate, T beta_1, T beta_2, T epsilon -> T w, T m, T v, T v_max",
    "m = beta_1 * m + (T(1) - beta_1) * g; v = beta_2 * v + (T(1) - beta_2) * g * g;"
    "v_max = v > v_max ? v : v_max; w -= rate[0] * m / (sqrt(v_max) + epsilon)",
    examples(3, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
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
    mean_square(xp, g, v, t, beta_2)


def _descend_by_moments(
    xp: Any, w: Array, m: Array, v: Array, t: Array, rate: Array, epsilon: float
) -> None:
    """w -= η m / (√v + ε)"""
    xp.sqrt(v, out=t)
    t += epsilon
    xp.divide(m, t, out=t)
    axpby(xp, -rate, t, 1, w, t)


# --- relatives ---


@kernel(
    cuda=elementwise(
        "float32 rate, int32 iteration, float64 beta_1, float64 beta_2, int32 warmup -> raw T out",
        "double t = (double)iteration + 1;"
        "out[0] = T(t < warmup ? rate * t / warmup : (double)rate);"
        "out[1] = T(1 / (1 - pow(beta_1, t)));"
        "out[2] = T(1 / (1 - pow(beta_2, t)));"
        "out[3] = T(1 / t)",
    ),
    examples=lambda rng, dtype: [
        (
            (np.array(1e-3, "float32"), np.array(step, "int32"), np.full(4, np.nan, dtype)),
            {"beta_1": 0.9, "beta_2": 0.999, "warmup": 5},
        )
        for step in (0, 100000)
    ],
    dtypes=("float32",),
)
def corrected_rates(
    xp: Any, rate: Array, iteration: Array, out: Array, beta_1: float, beta_2: float, warmup: int
) -> None:
    """out = η min(t / warmup, 1), 1 / (1 - β₁^t), 1 / (1 - β₂^t), 1 / t with t = iteration + 1"""
    t, eta = iteration.item() + 1, rate.item()
    eta = eta * t / warmup if t < warmup else eta
    out[...] = xp.array([eta, 1 / (1 - beta_1**t), 1 / (1 - beta_2**t), 1 / t])


@update(
    "T g, raw T rate, T beta_1, T beta_2, T epsilon -> T w, T m, T u",
    "T size = g < 0 ? T(-g) : g; m = beta_1 * m + (T(1) - beta_1) * g;"
    "u = beta_2 * u > size ? T(beta_2 * u) : size; w -= rate[0] * rate[1] * m / (u + epsilon)",
    examples(2, rates=4, beta_1=0.9, beta_2=0.999, epsilon=1e-7, long=False),
    dtypes=("float32",),
)
def adamax(
    xp: Any, w: Array, g: Array, m: Array, u: Array, rate: Array,
    beta_1: float, beta_2: float, epsilon: float,
) -> None:  # fmt: skip
    """m = β₁ m + (1 - β₁) g; u = max(β₂ u, |g|); w -= η / (1 - β₁^t) m / (u + ε)"""
    for w_, g_, m_, u_, t in in_blocks(xp, w, g, m, u):
        axpby(xp, 1 - beta_1, g_, beta_1, m_, t)
        u_ *= beta_2
        xp.maximum(u_, xp.abs(g_, out=t), out=u_)
        xp.divide(m_, xp.add(u_, epsilon, out=t), out=t)
        axpby(xp, -rate[:1] * rate[1:2], t, 1, w_, t)


def _nesterov_momentum(step: float, beta_1: float) -> float:
    """μ_t = β₁ (1 - 0.96^t / 2)"""
    return beta_1 * (1 - 0.5 * 0.96**step)


@update(
    "raw int32 iteration, float64 beta_1 -> T product",
    "product *= T(beta_1 * (1 - 0.5 * pow(0.96, (double)(iteration[0] + 1))))",
    lambda rng, dtype: [
        ((np.array(0.5, dtype), np.array([step], "int32")), {"beta_1": 0.9}) for step in (0, 40)
    ],
    dtypes=("float32",),
)
def nadam_product(xp: Any, product: Array, iteration: Array, beta_1: float) -> None:
    """Π *= μ_t with t = iteration + 1"""
    product *= product.dtype.type(_nesterov_momentum(iteration.item() + 1, beta_1))


@update(
    "float32 rate, int32 iteration, P product, float64 beta_1, float64 beta_2 -> raw T out",
    "double t = (double)iteration + 1, total = (double)product;"
    "double now = beta_1 * (1 - 0.5 * pow(0.96, t));"
    "double next = beta_1 * (1 - 0.5 * pow(0.96, t + 1));"
    "out[0] = T(rate * next / (1 - total * next)); out[1] = T(rate * (1 - now) / (1 - total));"
    "out[2] = T(1 / (1 - pow(beta_2, t)))",
    lambda rng, dtype: [
        (
            (
                np.array(1e-3, "float32"), np.array(9, "int32"), np.array(0.01, "float32"),
                np.zeros(3, dtype),
            ),
            {"beta_1": 0.9, "beta_2": 0.999},
        )
    ],
    dtypes=("float32",),
)  # fmt: skip
def nadam_rates(
    xp: Any, rate: Array, iteration: Array, product: Array, out: Array, beta_1: float, beta_2: float
) -> None:
    """out = η μ_{t+1} / (1 - Π μ_{t+1}), η (1 - μ_t) / (1 - Π), 1 / (1 - β₂^t)"""
    t, eta, total = iteration.item() + 1, rate.item(), product.item()
    now, following = _nesterov_momentum(t, beta_1), _nesterov_momentum(t + 1, beta_1)
    m_part, g_part = following / (1 - total * following), (1 - now) / (1 - total)
    out[...] = xp.array([eta * m_part, eta * g_part, 1 / (1 - beta_2**t)])


@update(
    "T g, raw T rate, T beta_1, T beta_2, T epsilon -> T w, T m, T v",
    "m = beta_1 * m + (T(1) - beta_1) * g; v = beta_2 * v + (T(1) - beta_2) * g * g;"
    "w -= (rate[0] * m + rate[1] * g) / (sqrt(v * rate[2]) + epsilon)",
    examples(2, rates=3, beta_1=0.9, beta_2=0.999, epsilon=1e-7, long=False),
    dtypes=("float32",),
)
def nadam(
    xp: Any, w: Array, g: Array, m: Array, v: Array, rate: Array,
    beta_1: float, beta_2: float, epsilon: float,
) -> None:  # fmt: skip
    """m, v as in adam; w -= (η₀ m + η₁ g) / (√(η₂ v) + ε).  Dozat 2015"""
    for w_, g_, m_, v_, t in in_blocks(xp, w, g, m, v):
        _moments(xp, g_, m_, v_, t, beta_1, beta_2)
        w_ -= (rate[0] * m_ + rate[1] * g_) / (xp.sqrt(v_ * rate[2]) + epsilon)


@update(
    "raw T rate, T beta_1, T beta_2, T epsilon -> T g, T m, T v",
    "m = beta_1 * m + (T(1) - beta_1) * g; v = beta_2 * v + (T(1) - beta_2) * g * g;"
    "g = m * rate[1] / (sqrt(v * rate[2]) + epsilon)",
    lambda rng, dtype: (
        (arrays[1:], options)
        for arrays, options in examples(
            2, rates=4, beta_1=0.9, beta_2=0.9, epsilon=1e-7, long=False
        )(rng, dtype)
    ),
    dtypes=("float32",),
)
def lamb_direction(
    xp: Any, g: Array, m: Array, v: Array, rate: Array,
    beta_1: float, beta_2: float, epsilon: float,
) -> None:  # fmt: skip
    """m, v as in adam; g = m̂ / (√v̂ + ε), in place of the gradient"""
    for g_, m_, v_, t in in_blocks(xp, g, m, v):
        _moments(xp, g_, m_, v_, t, beta_1, beta_2)
        xp.sqrt(xp.multiply(v_, rate[2], out=t), out=t)
        t += epsilon
        xp.divide(m_, t, out=g_)
        g_ *= rate[1]


@update(
    "T u, raw T rate, raw float64 ww, raw float64 uu -> T w",
    "T trust = ww[0] > 0 && uu[0] > 0 ? T(sqrt(ww[0] / uu[0])) : T(1); w -= rate[0] * trust * u",
    lambda rng, dtype: [
        ((*rng.standard_normal((2, 9)).astype(dtype), np.full(4, 0.1, dtype), ww, uu), {})
        for ww, uu in np.array([[[9.0], [4.0]], [[0.0], [4.0]]])
    ],
    dtypes=("float32",),
)
def lamb(xp: Any, w: Array, u: Array, rate: Array, ww: Array, uu: Array) -> None:
    """w -= η u ‖w‖ / ‖u‖ with the squared norms given; 1 in place of a ratio with 0"""
    known = (ww > 0) & (uu > 0)
    trust = xp.where(known, xp.sqrt(ww / xp.where(known, uu, 1)), 1).astype(w.dtype)
    for w_, u_, t in in_blocks(xp, w, u):
        axpby(xp, -rate[:1] * trust, u_, 1, w_, t)


@update(
    "T g, raw T rate, T beta_1, T beta_2, T epsilon -> T w, T z, T v",
    "v = beta_2 * v + (T(1) - beta_2) * g * g; T x = (w - (T(1) - beta_1) * z) / beta_1;"
    "z -= rate[0] * g / (sqrt(v * rate[2]) + epsilon); x += rate[3] * (z - x);"
    "w = (T(1) - beta_1) * z + beta_1 * x",
    examples(2, rates=4, beta_1=0.9, beta_2=0.999, epsilon=1e-8, long=False),
    dtypes=("float32",),
)
def schedule_free_adamw(
    xp: Any, w: Array, g: Array, z: Array, v: Array, rate: Array,
    beta_1: float, beta_2: float, epsilon: float,
) -> None:  # fmt: skip
    """v as in adam; x = (w - (1 - β₁) z) / β₁; z -= η g / (√v̂ + ε); x += (z - x) / t;
    w = (1 - β₁) z + β₁ x.  arXiv:2405.15682
    """
    for w_, g_, z_, v_, t in in_blocks(xp, w, g, z, v):
        mean_square(xp, g_, v_, t, beta_2)
        x = (w_ - (1 - beta_1) * z_) / beta_1
        z_ -= rate[0] * g_ / (xp.sqrt(v_ * rate[2]) + epsilon)
        x += rate[3] * (z_ - x)
        w_[...] = (1 - beta_1) * z_ + beta_1 * x
