"""Mathematics of one and two tensors that is rare in networks: roots, angles, error functions."""

from __future__ import annotations

from math import log, pi, sqrt
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.backend.protocol import Array
from gpunn.errors import DTypeError
from gpunn.ops.arithmetic import binary
from gpunn.ops.compare import equal, where
from gpunn.ops.creation import cast, convert_to_tensor, stop_gradient, zeros_like
from gpunn.ops.elementwise import abs_, exp2, sin
from gpunn.ops.operands import as_float, operands
from gpunn.ops.pointwise import pointwise
from gpunn.ops.special import bessel
from gpunn.ops.special import erfc as _erfc
from gpunn.ops.special import erfinv as _erfinv

# --- y = f(x) ---

cbrt = pointwise(
    "cbrt",
    "y = ∛x",
    lambda xp, x, out: xp.cbrt(x, out=out),
    lambda xp, x, y, dy, dx: xp.divide(dy, 3 * y * y, out=dx),
    uses="y",
    domain=(0.1, 5.0),
)
erfc = pointwise(
    "erfc",
    "y = 1 - erf(x) = 2/√π ∫ₓ^∞ e^(-t²) dt",
    lambda xp, x, out: xp.copyto(out, _erfc(xp, x)),
    lambda xp, x, y, dy, dx: xp.multiply(dy, -2 / sqrt(pi) * xp.exp(-x * x), out=dx),
)
erfinv = pointwise(
    "erfinv",
    "The y with erf(y) = x, for -1 < x < 1",
    lambda xp, x, out: xp.copyto(out, _erfinv(xp, x)),
    lambda xp, x, y, dy, dx: xp.multiply(dy, sqrt(pi) / 2 * xp.exp(y * y), out=dx),
    uses="y",
    domain=(-0.9, 0.9),
)
i0 = pointwise(
    "i0",
    "y = I₀(x) = 1/2π ∫ e^(x cos θ) dθ, the modified Bessel function of order 0",
    lambda xp, x, out: xp.copyto(out, bessel(xp, x, 0)),
    lambda xp, x, y, dy, dx: xp.multiply(dy, bessel(xp, x, 1), out=dx),
)


def deg2rad(x: Any) -> Any:
    """y = π/180 x, degrees as radians."""
    return as_float(x) * (pi / 180)


def rad2deg(x: Any) -> Any:
    """y = 180/π x, radians as degrees."""
    return as_float(x) * (180 / pi)


def fabs(x: Any) -> Any:
    """y = |x|, of integers in floatx."""
    return abs_(as_float(x))


def sinc(x: Any) -> Any:
    """y = sin(πx) / πx, 1 at 0."""
    x = as_float(x)
    zero = equal(x, 0)
    angle = where(zero, 1.0, x) * pi
    return where(zero, 1.0, sin(angle) / angle)


# --- z = f(x, y) ---


def _over_square_length(xp: Any, x: Any, y: Any) -> Any:
    """1 / (x² + y²), 0 where both are 0"""
    squares = x * x + y * y
    return (squares > 0) / xp.where(squares > 0, squares, 1)


def _over_length(xp: Any, x: Any, y: Any) -> Any:
    """1 / √(x² + y²), 0 where both are 0"""
    length = xp.hypot(x, y)
    return (length > 0) / xp.where(length > 0, length, 1)


def _share_of_exponentials(xp: Any, x: Any, y: Any) -> Any:
    """e^x / (e^x + e^y), by the tanh of half the difference: nothing overflows"""
    equal = xp.equal(x, y)  # so are infinities, whose difference is no number
    difference = xp.where(equal, 0, x) - xp.where(equal, 0, y)
    return 0.5 + 0.5 * xp.tanh(0.5 * difference)


arctan2 = binary(
    "arctan2",
    "z = the angle of the point (y, x) = (x2, x1) to the first axis, in (-π, π]",
    lambda xp, x, y, out: xp.arctan2(x, y, out=out),
    lambda xp, x, y, dz, out: xp.multiply(dz, y * _over_square_length(xp, x, y), out=out),
    lambda xp, x, y, dz, out: xp.multiply(dz, -x * _over_square_length(xp, x, y), out=out),
    promotes="float",
    domain=(0.5, 3.0),
)
hypot = binary(
    "hypot",
    "z = √(x² + y²), without overflow",
    lambda xp, x, y, out: xp.hypot(x, y, out=out),
    lambda xp, x, y, dz, out: xp.multiply(dz, x * _over_length(xp, x, y), out=out),
    lambda xp, x, y, dz, out: xp.multiply(dz, y * _over_length(xp, x, y), out=out),
    promotes="float",
    domain=(0.5, 3.0),
)
logaddexp = binary(
    "logaddexp",
    "z = ln(e^x + e^y), without overflow",
    lambda xp, x, y, out: xp.logaddexp(x, y, out=out),
    lambda xp, x, y, dz, out: xp.multiply(dz, _share_of_exponentials(xp, x, y), out=out),
    lambda xp, x, y, dz, out: xp.multiply(dz, _share_of_exponentials(xp, y, x), out=out),
    promotes="float",
)
fmod = binary(
    "fmod",
    "z = x - trunc(x / y) · y, the remainder with the sign of x",
    lambda xp, x, y, out: xp.fmod(x, y, out=out),
    None,
    lambda xp, x, y, dz, out: xp.multiply(dz, -xp.trunc(xp.divide(x, y)), out=out),
    promotes="number",
    domain=(1.0, 3.0),
)


def _zero(xp: Any, x: Any, y: Any, dz: Array, out: Array) -> None:
    """0"""
    out.fill(0)


def _nextafter(xp: Any, x: Any, y: Any, out: Array) -> None:
    """By the bits of 16-bit floats, which CuPy computes in 32: they are in order as integers."""
    if out.dtype.itemsize > 2:
        xp.nextafter(x, y, out=out)
        return
    start = xp.empty(out.shape, out.dtype)
    start[...] = x
    bits, up = start.view(np.int16), xp.less(start, y)
    least = xp.where(up, 1, -0x7FFF)  # the smallest numbers beside 0, and its neighbours
    there = xp.where(start == 0, least, bits + xp.where(up == (start > 0), 1, -1))
    out.view(np.int16)[...] = xp.where(xp.equal(start, y), bits, there)
    out[...] = xp.where(xp.isnan(start) | xp.isnan(y), np.nan, out)


nextafter = binary(
    "nextafter",
    "z = the float next to x in the direction of y; the derivative by x is 1",
    _nextafter,
    None,
    _zero,
    promotes="float",
)


def logaddexp2(x1: Any, x2: Any) -> Any:
    """z = log₂(2^x1 + 2^x2), without overflow."""
    x1, x2 = operands(x1, x2, floating=True)
    return logaddexp(x1 * log(2), x2 * log(2)) * (1 / log(2))


def ldexp(x1: Any, x2: Any) -> Any:
    """z = x1 · 2^x2, for integers x2."""
    exponents = convert_to_tensor(x2)
    if as_dtype(exponents.dtype).kind not in "iu":
        raise DTypeError(
            f"ldexp: the exponents x2 must be integers, received dtype {exponents.dtype}. Cast "
            f"them to 'int32', or use x1 * exp2(x2)."
        )
    x1 = as_float(x1)
    return x1 * exp2(cast(exponents, x1.dtype))


def heaviside(x1: Any, x2: Any) -> Any:
    """z = 0 where x1 < 0, x2 where x1 = 0, 1 where x1 > 0, NaN where x1 is NaN."""
    x1, x2 = operands(x1, x2, floating=True)
    step = where(equal(x1, x1), cast(x1 > 0, x1.dtype), np.nan)
    return where(equal(x1, 0), x2, step)


# --- real numbers as complex ones ---


def real(x: Any) -> Any:
    """The real part: x itself, for tensors are real."""
    return convert_to_tensor(x)


def imag(x: Any) -> Any:
    """The imaginary part: 0, for tensors are real."""
    return zeros_like(x)


def conjugate(x: Any) -> Any:
    """The complex conjugate: x itself, for tensors are real."""
    return convert_to_tensor(x)


def angle(x: Any) -> Any:
    """The angle to the positive real axis: 0, or π where x is negative. It is constant."""
    x = stop_gradient(as_float(x))
    return arctan2(zeros_like(x), x)
