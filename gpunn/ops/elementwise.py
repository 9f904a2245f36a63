"""Elementwise mathematics of one tensor, y = f(x), by NumPy's and CuPy's own functions."""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Any

import numpy as np

from gpunn.ops.arithmetic import maximum, minimum
from gpunn.ops.operands import as_float, as_number
from gpunn.ops.pointwise import pointwise
from gpunn.ops.special import erf as _erf


def _declare(
    name: str, doc: str, slope: Any, *, uses: str = "x", domain: tuple = (-3.0, 3.0)
) -> Any:
    """A function that the array module has under the same name, with derivative `slope`."""
    return pointwise(
        name,
        doc,
        lambda xp, x, out: getattr(xp, name)(x, out=out),
        lambda xp, x, y, dy, dx: xp.multiply(dy, slope(xp, x, y), out=dx),
        uses=uses,
        domain=domain,
    )


exp = _declare("exp", "y = e^x", lambda xp, x, y: y, uses="y")
exp2 = _declare("exp2", "y = 2^x", lambda xp, x, y: y * log(2), uses="y")
expm1 = _declare("expm1", "y = e^x - 1", lambda xp, x, y: y + 1, uses="y")
log_ = _declare("log", "y = ln x", lambda xp, x, y: 1 / x, domain=(0.1, 5.0))
log1p = _declare("log1p", "y = ln(1 + x)", lambda xp, x, y: 1 / (1 + x), domain=(-0.9, 5.0))
log2 = _declare("log2", "y = log₂ x", lambda xp, x, y: 1 / (x * log(2)), domain=(0.1, 5.0))
log10 = _declare("log10", "y = log₁₀ x", lambda xp, x, y: 1 / (x * log(10)), domain=(0.1, 5.0))
sqrt_ = _declare("sqrt", "y = √x", lambda xp, x, y: 0.5 / y, uses="y", domain=(0.1, 5.0))
sin = _declare("sin", "y = sin x", lambda xp, x, y: xp.cos(x))
cos = _declare("cos", "y = cos x", lambda xp, x, y: -xp.sin(x))
tan = _declare("tan", "y = tan x", lambda xp, x, y: 1 + y * y, uses="y", domain=(-1.2, 1.2))
sinh = _declare("sinh", "y = sinh x", lambda xp, x, y: xp.cosh(x))
cosh = _declare("cosh", "y = cosh x", lambda xp, x, y: xp.sinh(x))
_UNIT = (-0.9, 0.9)
arcsin = _declare("arcsin", "y = arcsin x", lambda xp, x, y: 1 / xp.sqrt(1 - x * x), domain=_UNIT)
arccos = _declare("arccos", "y = arccos x", lambda xp, x, y: -1 / xp.sqrt(1 - x * x), domain=_UNIT)
arctan = _declare("arctan", "y = arctan x", lambda xp, x, y: 1 / (1 + x * x))
arcsinh = _declare("arcsinh", "y = arsinh x", lambda xp, x, y: 1 / xp.sqrt(1 + x * x))
arccosh = _declare(
    "arccosh", "y = arcosh x", lambda xp, x, y: 1 / xp.sqrt(x * x - 1), domain=(1.1, 5)
)
arctanh = _declare("arctanh", "y = artanh x", lambda xp, x, y: 1 / (1 - x * x), domain=_UNIT)
negative = pointwise(
    "negative",
    "y = -x",
    lambda xp, x, out: xp.negative(x, out=out),
    lambda xp, x, y, dy, dx: xp.negative(dy, out=dx),
    promotes=None,
)
abs_ = pointwise(
    "absolute",
    "y = |x|",
    lambda xp, x, out: xp.absolute(x, out=out),
    lambda xp, x, y, dy, dx: xp.multiply(dy, xp.sign(x), out=dx),
    promotes=None,
)
square = pointwise(
    "square",
    "y = x²",
    lambda xp, x, out: xp.multiply(x, x, out=out),
    lambda xp, x, y, dy, dx: xp.multiply(dy, 2 * x, out=dx),
    promotes="number",
)
sign = pointwise(
    "sign",
    "y = -1, 0 or 1; the derivative is 0",
    lambda xp, x, out: xp.sign(x, out=out),
    lambda xp, x, y, dy, dx: dx.fill(0),
    promotes=None,
)
reciprocal = pointwise(
    "reciprocal",
    "y = 1/x",
    lambda xp, x, out: xp.divide(1, x, out=out),
    lambda xp, x, y, dy, dx: xp.multiply(dy, -y * y, out=dx),
    uses="y",
    domain=(0.1, 5.0),
)
rsqrt = pointwise(
    "rsqrt",
    "y = 1/√x",
    lambda xp, x, out: xp.divide(1, xp.sqrt(x), out=out),
    lambda xp, x, y, dy, dx: xp.multiply(dy, -0.5 * y * y * y, out=dx),
    uses="y",
    domain=(0.1, 5.0),
)
erf = pointwise(
    "erf",
    "y = 2/√π ∫₀ˣ e^(-t²) dt",
    lambda xp, x, out: xp.copyto(out, _erf(xp, x)),
    lambda xp, x, y, dy, dx: xp.multiply(dy, 2 / sqrt(pi) * xp.exp(-x * x), out=dx),
)


def _rounding(name: str, doc: str) -> Any:
    return pointwise(
        name,
        f"{doc}; the derivative is 0",
        lambda xp, x, out: getattr(xp, name)(x, out=out),
        lambda xp, x, y, dy, dx: dx.fill(0),
    )


floor = _rounding("floor", "y = ⌊x⌋")
ceil = _rounding("ceil", "y = ⌈x⌉")
rint = _rounding("rint", "y = the nearest integer, halves to even")
trunc = _rounding("trunc", "y = x without its fraction")


def _clip_backward(xp: Any, x: Any, y: Any, dy: Any, dx: Any, x_min: float, x_max: float) -> None:
    xp.multiply(dy, (x >= x_min) & (x <= x_max), out=dx)


_clip = pointwise(
    "clip",
    "y = min(max(x, x_min), x_max)",
    lambda xp, x, out, x_min, x_max: xp.clip(x, x_min, x_max, out=out),
    _clip_backward,
    promotes=None,
    x_min=-1.0,
    x_max=1.0,
)


def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """y = min(max(x, x_min), x_max); the gradient passes where x lies within the bounds.

    A bound may be a number, None, or a tensor that broadcasts.
    """
    x = as_number(x)
    low, high = (v.item() if isinstance(v, np.generic) else v for v in (x_min, x_max))
    if not (isinstance(low, (int, float)) and isinstance(high, (int, float))):
        above = x if low is None else maximum(x, low)
        return above if high is None else minimum(above, high)
    if low > high:
        raise ValueError(f"clip: x_min={x_min} is greater than x_max={x_max}. Swap them.")
    if isinstance(low, float) or isinstance(high, float):
        x = as_float(x)
    return _clip(x, x_min=low, x_max=high)
