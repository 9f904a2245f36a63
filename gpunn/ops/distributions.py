"""Draws from the gamma and the beta distribution, and random orders; each advances its stream.

Gamma: Marsaglia & Tsang 2000, A simple method for generating gamma variables: for a ≥ 1, with
d = a - 1/3 and c = 1/√(9 d), y = d v is accepted if log u < x²/2 + d - d v + d log v, where x is
normal, u uniform and v = (1 + c x)³ > 0. Below 1, y(a) = y(a + 1) u^(1/a). More than 95 % of the
trials are accepted, so a fixed number of them is made, of which the first accepted one counts.
"""

from __future__ import annotations

from typing import Any

from gpunn.ops.activations import sigmoid
from gpunn.ops.compare import greater, less, logical_and, where
from gpunn.ops.creation import cast, convert_to_tensor, full
from gpunn.ops.elementwise import exp, log_, rsqrt, square
from gpunn.ops.indexing import getitem
from gpunn.ops.noise import normal, uniform
from gpunn.ops.sorting import argsort

_TRIALS = 10  # all of them fail with a probability of 1e-13
_SMALLEST = 1e-30  # instead of log 0


def _log_gamma_draw(state: Any, shape: tuple[int, ...], a: Any) -> Any:
    """log y for y ~ Γ(a); it does not underflow for small a."""
    d = a + (1 - 1 / 3)  # of a + 1
    c = rsqrt(d * 9)
    x = normal(state, (_TRIALS, *shape), dtype="float32")
    u = uniform(state, (_TRIALS, *shape), dtype="float32")
    v = (x * c + 1) ** 3
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


def _parameter(a: Any) -> Any:
    """A tensor; numbers are written by a kernel, so that a step with them can be recorded."""
    if isinstance(a, (int, float)):
        return full((), a, "float32")
    return cast(convert_to_tensor(a), "float32")


def gamma(state: Any, shape: tuple[int, ...], alpha: Any, dtype: Any) -> Any:
    """y ~ Γ(alpha), of density y^(alpha - 1) e^-y / Γ(alpha)"""
    return cast(exp(_log_gamma_draw(state, tuple(shape), _parameter(alpha))), dtype)


def beta(state: Any, shape: tuple[int, ...], alpha: Any, beta: Any, dtype: Any) -> Any:
    """y = g / (g + h), g ~ Γ(alpha), h ~ Γ(beta): of density ∝ y^(alpha - 1) (1 - y)^(beta - 1)"""
    g, h = (_log_gamma_draw(state, tuple(shape), _parameter(a)) for a in (alpha, beta))
    return cast(sigmoid(g - h), dtype)


def permutation(state: Any, n: int) -> Any:
    """The numbers 0 to n - 1 in random order, int32."""
    return argsort(uniform(state, (n,), dtype="float64"))
