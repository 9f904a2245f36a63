"""erf, its relatives and Bessel functions in plain array operations: NumPy has none of them, and
gpunn does not need SciPy for so few functions.
"""

from __future__ import annotations

from math import cos, pi, sqrt
from typing import Any

import numpy as np

# W. J. Cody, Rational Chebyshev approximations for the error function, Math. Comp. 23 (1969).
_A = (3.16112374387056560, 113.864154151050156, 377.485237685302021, 3209.37758913846947,
      0.185777706184603153)  # fmt: skip
_B = (23.6012909523441209, 244.024637934444173, 1282.61652607737228, 2844.23683343917062)
_C = (0.564188496988670089, 8.88314979438837594, 66.1191906371416295, 298.635138197400131,
      881.952221241769090, 1712.04761263407058, 2051.07837782607147, 1230.33935479799725,
      2.15311535474403846e-8)  # fmt: skip
_D = (15.7449261107098347, 117.693950891312499, 537.181101862009858, 1621.38957456669019,
      3290.79923573345963, 4362.61909014324716, 3439.36767414372164,
      1230.33935480374942)  # fmt: skip
_P = (0.305326634961232344, 0.360344899949804439, 0.125781726111229246, 0.0160837851487422766,
      6.58749161529837803e-4, 0.0163153871373020978)  # fmt: skip
_Q = (2.56852019228982242, 1.87295284992346725, 0.527905102951428412, 0.0605183413124413191,
      2.33520497626869185e-3)  # fmt: skip
_ONE_OVER_SQRT_PI = 0.564189583547756287

# Odd rational fit of erf on [-3.83, 3.83] for float32 (the one in Eigen and XLA).
_P32 = (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
        -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02)  # fmt: skip
_Q32 = (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
        -1.42647390514189e-02)  # fmt: skip


def _horner(x: Any, coefficients: tuple[float, ...]) -> Any:
    result = x * coefficients[0] + coefficients[1]
    for c in coefficients[2:]:
        result *= x
        result += c
    return result


def _ratio(x: Any, numerator: tuple[float, ...], denominator: tuple[float, ...]) -> Any:
    """Cody's ordering: the last numerator coefficient leads."""
    top = numerator[-1] * x
    bottom = x
    for a, b in zip(numerator[:-2], denominator[:-1], strict=True):
        top = (top + a) * x
        bottom = (bottom + b) * x
    return (top + numerator[-2]) / (bottom + denominator[-1])


def erf(xp: Any, x: Any) -> Any:
    """erf(x) = 2/√π ∫₀ˣ e^(-t²) dt, to a few ulp of float64, or of float32 for smaller floats."""
    if x.dtype == np.float64:
        a = xp.abs(x)
        small = x * _ratio(xp.minimum(a, 0.5) ** 2, _A, _B)
        middle = xp.clip(a, 0.5, 6.0)  # erf(6) rounds to 1
        tail = 1.0 - xp.exp(-middle * middle) * _ratio(middle, _C, _D)
        return xp.where(a <= 0.5, small, xp.copysign(tail, x))
    clipped = xp.clip(x.astype(np.float32), -3.832506856900711, 3.832506856900711)
    square = clipped * clipped
    result = clipped * _horner(square, _P32) / _horner(square, _Q32)
    result = xp.where(xp.abs(x) > 3.92, xp.sign(clipped), result)  # where erf rounds to ±1
    return result if x.dtype == np.float32 else result.astype(x.dtype)


def erfc(xp: Any, x: Any) -> Any:
    """erfc(x) = 1 - erf(x), without cancellation for large x: W. J. Cody's ranges."""
    wide = x.astype(np.float64)
    a = xp.abs(wide)
    near = 1 - wide * _ratio(xp.minimum(a, 0.5) ** 2, _A, _B)
    middle, far = xp.clip(a, 0.5, 4.0), xp.clip(a, 4.0, 30.0)  # erfc(30) is 0 in float64
    square = 1 / (far * far)
    tail = xp.where(
        a <= 4, _ratio(middle, _C, _D), (_ONE_OVER_SQRT_PI - square * _ratio(square, _P, _Q)) / far
    )
    a = xp.minimum(a, 30.0)
    coarse = xp.trunc(a * 16) / 16  # its square is exact
    tail *= xp.exp(-coarse * coarse) * xp.exp(-(a - coarse) * (a + coarse))
    return xp.where(a <= 0.5, near, xp.where(wide > 0, tail, 2 - tail)).astype(x.dtype)


def erfinv(xp: Any, x: Any) -> Any:
    """The y with erf(y) = x: S. Winitzki's formula (2008, error 2e-3), then Halley's steps."""
    wide = x.astype(np.float64)
    a = xp.abs(wide)
    inside = xp.where(a < 1, a, 0)
    log = xp.log1p(-inside * inside)
    half = 2 / (pi * 0.147) + log / 2
    y = xp.sqrt(xp.sqrt(half * half - log / 0.147) - half)
    for _ in range(2):  # each makes three times as many digits right
        error = xp.where(inside < 0.5, erf(xp, y) - inside, (1 - inside) - erfc(xp, y))
        step = error * (sqrt(pi) / 2) * xp.exp(y * y)
        y -= step / (1 + step * y)
    y = xp.where(a == 1, np.inf, xp.where(a < 1, y, np.nan))
    return xp.copysign(y, wide).astype(x.dtype)


def bessel(xp: Any, x: Any, order: int) -> Any:
    """I_n(x) = 1/2π ∫ e^(x cos θ) cos nθ dθ, the modified Bessel function of order 0 or 1.

    The sum over equally spaced θ converges exponentially: its error is I_N(x) for N points.
    """
    points = 256 if x.dtype == np.float64 else 64  # enough as long as e^x is finite
    a = xp.abs(x)
    total = xp.ones_like(a)
    for k in range(1, points // 2 + 1):
        cosine = cos(2 * pi * k / points)
        weight = (1 if 2 * k == points else 2) * cosine**order
        total += weight * xp.exp(a * (cosine - 1))
    result = xp.exp(a) * total / points
    return result if order == 0 else xp.copysign(result, x)
