"""Draws from distributions, and random orders, by operations alone; each advances its stream.

Gamma: Marsaglia & Tsang 2000, A simple method for generating gamma variables: for a ≥ 1, with
d = a - 1/3 and c = 1/√(9 d), y = d v is accepted if log u < x²/2 + d - d v + d log v, where x is
normal, u uniform and v = (1 + c x)³ > 0. Below 1, y(a) = y(a + 1) u^(1/a). More than 95 % of the
trials are accepted, so a fixed number of them is made, of which the first accepted one counts.

Binomial: Hörmann 1993, The generation of binomial random variates, algorithm BTRS, where 10 or more
successes are expected: again a number of trials, more than 70 % of which are accepted. Otherwise
the inverse distribution function, term by term.
"""

from __future__ import annotations

from math import erf, sqrt
from typing import Any

from gpunn.ops.activations import sigmoid
from gpunn.ops.arithmetic import maximum, minimum
from gpunn.ops.compare import greater, greater_equal, less, less_equal, logical_and, where
from gpunn.ops.creation import cast, convert_to_tensor, full
from gpunn.ops.elementwise import abs_, clip, exp, floor, log1p, log_, rsqrt, sqrt_, square
from gpunn.ops.indexing import getitem
from gpunn.ops.mathematics import erfinv
from gpunn.ops.noise import normal, uniform
from gpunn.ops.shaping import broadcast_to
from gpunn.ops.sorting import argsort

_TRIALS = 12  # all of them fail with a probability of 1e-15 (gamma), below 1e-6 (binomial)
_SMALLEST = 1e-30  # instead of log 0
_TERMS = 50  # with less than 10 expected, more successes have a probability of 1e-19


def _log_gamma_draw(state: Any, shape: tuple[int, ...], a: Any) -> Any:
    """log y for y ~ Γ(a); it does not underflow for small a."""
    d = a + (1 - 1 / 3)  # of a + 1
    c = rsqrt(d * 9)
    x = normal(state, (_TRIALS, *shape), dtype="float32")
    u = uniform(state, (_TRIALS, *shape), dtype="float32")
    v = x * c + 1
    v = v * v * v
    possible = greater(v, 0.0)
    v = where(possible, v, 1.0)
    log_v = log_(v)
    bound = square(x) * 0.5 + d - d * v + d * log_v
    accepted = logical_and(possible, less(log_(u + _SMALLEST), bound))
    found = getitem(log_v, _TRIALS - 1)
    for trial in range(_TRIALS - 2, -1, -1):
        found = where(getitem(accepted, trial), getitem(log_v, trial), found)
    boost = uniform(state, shape, dtype="float32")
    return log_(d) + found + log_(boost + _SMALLEST) / a


def _parameter(a: Any, dtype: str = "float32") -> Any:
    """A tensor; numbers are written by a kernel, so that a step with them can be recorded."""
    if isinstance(a, (int, float)):
        return full((), a, dtype)
    return cast(convert_to_tensor(a), dtype)


def gamma(state: Any, shape: tuple[int, ...], alpha: Any, dtype: Any) -> Any:
    """y ~ Γ(alpha), of density y^(alpha - 1) e^-y / Γ(alpha)"""
    return cast(exp(_log_gamma_draw(state, tuple(shape), _parameter(alpha))), dtype)


def beta(state: Any, shape: tuple[int, ...], alpha: Any, beta: Any, dtype: Any) -> Any:
    """y = g / (g + h), g ~ Γ(alpha), h ~ Γ(beta): of density ∝ y^(alpha - 1) (1 - y)^(beta - 1)"""
    g, h = (_log_gamma_draw(state, tuple(shape), _parameter(a)) for a in (alpha, beta))
    return cast(sigmoid(g - h), dtype)


def _by_terms(state: Any, n: Any, p: Any) -> Any:
    """The smallest y with u < F(y); F(y) - F(y - 1) = (n choose y) p^y (1 - p)^(n - y)"""
    u = uniform(state, n.shape, dtype="float64")
    term = exp(n * log1p(-p))
    total, y = term, n * 0
    for k in range(_TERMS):
        y = y + cast(greater_equal(u, total), "float64")
        term = term * (n - k) / (k + 1) * (p / (1 - p))
        total = total + term
    return minimum(y, n)


def _stirling(k: Any) -> Any:
    """log k! - (½ log 2π + (k + ½) log(k + 1) - (k + 1)), to 1e-7 from k = 3 on"""
    x = 1 / (k + 1)
    return (1 / 12 - (1 / 360 - x * x / 1260) * x * x) * x


def _by_rejection(state: Any, n: Any, p: Any) -> Any:
    """BTRS: k = ⌊(2a/s + b) u + np + ½⌋ with s = ½ - |u|, accepted by its probability."""
    deviation = sqrt_(n * p * (1 - p))
    b = 2.53 * deviation + 1.15
    a = 0.0248 * b + 0.01 * p - 0.0873
    mode = floor((n + 1) * p)
    u = uniform(state, (_TRIALS, *n.shape), -0.5, 0.5, "float64")
    v = uniform(state, (_TRIALS, *n.shape), dtype="float64")
    s = maximum(0.5 - abs_(u), _SMALLEST)
    k = floor((2 * a / s + b) * u + n * p + 0.5)
    possible = logical_and(greater_equal(k, 0.0), less_equal(k, n))
    k = where(possible, k, mode)
    density = (
        (mode + 0.5) * log_((mode + 1) * (1 - p) / (p * (n - mode + 1)))
        + (n + 1) * log_((n - mode + 1) / (n - k + 1))
        + (k + 0.5) * log_((n - k + 1) * p / ((1 - p) * (k + 1)))
        + (_stirling(mode) + _stirling(n - mode) - _stirling(k) - _stirling(n - k))
    )
    height = log_((v + _SMALLEST) * (2.83 + 5.1 / b) * deviation / (a / (s * s) + b))
    accepted = logical_and(possible, less_equal(height, density))
    found = mode
    for trial in range(_TRIALS - 1, -1, -1):
        found = where(getitem(accepted, trial), getitem(k, trial), found)
    return found


def binomial(
    state: Any, shape: tuple[int, ...], counts: Any, probabilities: Any, dtype: Any
) -> Any:
    """y ~ Bin(counts, probabilities): the successes of `counts` trials."""
    n, p = (broadcast_to(_parameter(a, "float64"), shape) for a in (counts, probabilities))
    n, rare = maximum(floor(n), 0.0), minimum(maximum(minimum(p, 1 - p), 0.0), 0.5)
    many = greater_equal(n * rare, 10.0)
    few = _by_terms(state, where(many, 0.0, n), rare)
    found = _by_rejection(state, where(many, n, 40.0), where(many, rare, 0.5))
    y = where(many, found, few)
    return cast(where(greater(p, 0.5), n - y, y), dtype)


def integers(state: Any, shape: tuple[int, ...], minval: Any, maxval: Any, dtype: Any) -> Any:
    """⌊u (maxval - minval)⌋ + minval, u from U[0, 1) in float64"""
    u = uniform(state, shape, dtype="float64")
    return cast(floor(u * (maxval - minval)) + minval, dtype)


_WITHIN = erf(2 / sqrt(2))  # the probability of |z| < 2


def truncated_normal(state: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """z = √2 erf⁻¹(u erf √2), u from U[-1, 1): N(0, 1) given |z| ≤ 2"""
    u = uniform(state, shape, -_WITHIN, _WITHIN, "float64" if dtype == "float64" else "float32")
    return cast(clip(erfinv(u) * sqrt(2), -2.0, 2.0), dtype)


def permutation(state: Any, n: int) -> Any:
    """The numbers 0 to n - 1 in random order, int32."""
    return argsort(uniform(state, (n,), dtype="float64"))
