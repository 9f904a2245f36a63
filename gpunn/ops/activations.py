"""Activations: y = f(x), elementwise. CUDA twins: kernels/activations.cuh.

Each is declared once by `pointwise`: its equation, forward, derivative, and whether the derivative
reads x or y. Sources: ELU arXiv:1511.07289, SELU arXiv:1706.02515, GELU arXiv:1606.08415,
SiLU arXiv:1702.03118, Mish arXiv:1908.08681, CELU arXiv:1704.07483, squareplus arXiv:2112.11687.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from gpunn.backend.protocol import Array
from gpunn.ops.pointwise import pointwise
from gpunn.ops.special import erf

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


def logistic(xp: Any, x: Array, out: Array) -> None:
    """out = 1 / (1 + e^-x), by e^-|x|: no overflow, and exact to a few ulp in the tails"""
    e = xp.exp(-xp.abs(x))
    xp.divide(xp.where(x >= 0, x.dtype.type(1), e), 1 + e, out=out)


def _normal_cdf(xp: Any, x: Array) -> Array:
    return 0.5 * (1.0 + erf(xp, x * sqrt(0.5)))


def rectify(xp: Any, x: Array, out: Array) -> None:
    """out = max(x, 0); NumPy clips twice as fast as it takes the maximum with a number"""
    if x.dtype.kind == "f":
        x.clip(0, xp.inf, out)
    else:
        xp.maximum(x, 0, out=out)


def _scale(xp: Any, slope: Array, dy: Array, dx: Array) -> None:
    """dx = slope · dy; the slope may be boolean, dx is not dy"""
    xp.copyto(dx, slope)  # as 0 and 1: dy times booleans would convert them piece by piece
    xp.multiply(dx, dy, out=dx)


# --- piecewise linear ---

relu = pointwise(
    "relu",
    "y = max(x, 0)",
    rectify,
    lambda xp, x, y, dy, dx: _scale(xp, y > 0, dy, dx),
    uses="y",
    cuda=True,
    promotes=None,
)

relu6 = pointwise(
    "relu6",
    "y = min(max(x, 0), 6)",
    lambda xp, x, out: xp.clip(x, 0, 6, out=out),
    lambda xp, x, y, dy, dx: _scale(xp, (y > 0) & (y < 6), dy, dx),
    uses="y",
    cuda=True,
    promotes=None,
    domain=(-3.0, 9.0),
)


def _leaky_relu_forward(xp: Any, x: Array, out: Array, negative_slope: float) -> None:
    xp.copyto(out, xp.where(x > 0, x, x * negative_slope))


def _leaky_relu_backward(
    xp: Any, x: Array, y: Array, dy: Array, dx: Array, negative_slope: float
) -> None:
    xp.copyto(dx, xp.where(x > 0, dy, dy * negative_slope))


leaky_relu = pointwise(
    "leaky_relu",
    "y = x if x > 0, else negative_slope · x",
    _leaky_relu_forward,
    _leaky_relu_backward,
    cuda=True,
    negative_slope=0.2,
)

hard_sigmoid = pointwise(
    "hard_sigmoid",
    "y = min(max(x/6 + 1/2, 0), 1)",
    lambda xp, x, out: xp.clip(x / 6 + 0.5, 0, 1, out=out),
    lambda xp, x, y, dy, dx: _scale(xp, (xp.abs(x) < 3) / x.dtype.type(6), dy, dx),
    cuda=True,
    domain=(-5.0, 5.0),
)

hard_silu = pointwise(
    "hard_silu",
    "y = x · hard_sigmoid(x)",
    lambda xp, x, out: xp.multiply(x, xp.clip(x / 6 + 0.5, 0, 1), out=out),
    lambda xp, x, y, dy, dx: xp.multiply(
        dy, xp.clip(x / 6 + 0.5, 0, 1) + x * (xp.abs(x) < 3) / x.dtype.type(6), out=dx
    ),
    cuda=True,
    domain=(-5.0, 5.0),
)

hard_tanh = pointwise(
    "hard_tanh",
    "y = min(max(x, -1), 1)",
    lambda xp, x, out: xp.clip(x, -1, 1, out=out),
    lambda xp, x, y, dy, dx: _scale(xp, (x > -1) & (x < 1), dy, dx),
    cuda=True,
)

hard_shrink = pointwise(
    "hard_shrink",
    "y = x where |x| > threshold, else 0",
    lambda xp, x, out, threshold: xp.multiply(x, xp.abs(x) > threshold, out=out),
    lambda xp, x, y, dy, dx, threshold: _scale(xp, xp.abs(x) > threshold, dy, dx),
    cuda=True,
    threshold=0.5,
)

soft_shrink = pointwise(
    "soft_shrink",
    "y = sign(x) · max(|x| - threshold, 0)",
    lambda xp, x, out, threshold: xp.subtract(x, xp.clip(x, -threshold, threshold), out=out),
    lambda xp, x, y, dy, dx, threshold: _scale(xp, xp.abs(x) > threshold, dy, dx),
    cuda=True,
    threshold=0.5,
)

threshold = pointwise(
    "threshold",
    "y = x where x > threshold, else default_value",
    lambda xp, x, out, threshold, default_value: xp.copyto(
        out, xp.where(x > threshold, x, x.dtype.type(default_value))
    ),
    lambda xp, x, y, dy, dx, threshold, default_value: _scale(xp, x > threshold, dy, dx),
    cuda=True,
    threshold=0.0,
    default_value=0.0,
)

sparse_sigmoid = pointwise(
    "sparse_sigmoid",
    "y = min(max((x + 1)/2, 0), 1)",
    lambda xp, x, out: xp.clip(0.5 * (x + 1), 0, 1, out=out),
    lambda xp, x, y, dy, dx: xp.multiply(0.5 * dy, (x > -1) & (x < 1), out=dx),
    cuda=True,
)

# --- smooth ---

sigmoid = pointwise(
    "sigmoid",
    "y = 1 / (1 + e^-x)",
    logistic,
    lambda xp, x, y, dy, dx: xp.multiply(dy, y * (1 - y), out=dx),
    uses="y",
    cuda=True,
    domain=(-9.0, 9.0),
)

tanh = pointwise(
    "tanh",
    "y = tanh(x)",
    lambda xp, x, out: xp.tanh(x, out=out),
    lambda xp, x, y, dy, dx: xp.multiply(dy, 1 - y * y, out=dx),
    uses="y",
    cuda=True,
)


def _elu_forward(xp: Any, x: Array, out: Array, alpha: float) -> None:
    xp.copyto(out, xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0))))


elu = pointwise(
    "elu",
    "y = x if x > 0, else alpha · (e^x - 1)",
    _elu_forward,
    lambda xp, x, y, dy, dx, alpha: xp.multiply(
        dy, xp.where(x > 0, x.dtype.type(1), alpha * xp.exp(xp.minimum(x, 0))), out=dx
    ),
    cuda=True,
    alpha=1.0,
)


def _celu_forward(xp: Any, x: Array, out: Array, alpha: float) -> None:
    xp.copyto(out, xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0) / alpha)))


celu = pointwise(
    "celu",
    "y = max(x, 0) + min(0, alpha · (e^(x/alpha) - 1))",
    _celu_forward,
    lambda xp, x, y, dy, dx, alpha: xp.multiply(dy, xp.exp(xp.minimum(x, 0) / alpha), out=dx),
    cuda=True,
    alpha=1.0,
)


def _selu_forward(xp: Any, x: Array, out: Array) -> None:
    xp.copyto(out, xp.where(x > 0, x, SELU_ALPHA * xp.expm1(xp.minimum(x, 0))))
    out *= SELU_SCALE


selu = pointwise(
    "selu",
    "y = scale · elu(x, alpha), with the scale and alpha that keep mean 0 and variance 1",
    _selu_forward,
    lambda xp, x, y, dy, dx: xp.multiply(
        SELU_SCALE * dy,
        xp.where(x > 0, x.dtype.type(1), SELU_ALPHA * xp.exp(xp.minimum(x, 0))),
        out=dx,
    ),
    cuda=True,
)

gelu_exact = pointwise(
    "gelu",
    "y = x Φ(x) = x/2 · (1 + erf(x/√2)), exact",
    lambda xp, x, out: xp.multiply(x, _normal_cdf(xp, x), out=out),
    lambda xp, x, y, dy, dx: xp.multiply(
        dy, _normal_cdf(xp, x) + x * xp.exp(-0.5 * x * x) / sqrt(2 * pi), out=dx
    ),
    cuda=True,
)


def _gelu_inner(xp: Any, x: Array) -> Array:
    return xp.tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))


def _gelu_tanh_backward(xp: Any, x: Array, y: Array, dy: Array, dx: Array) -> None:
    t = _gelu_inner(xp, x)
    slope = sqrt(2 / pi) * (1 + 3 * 0.044715 * x * x)
    xp.multiply(dy, 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope, out=dx)


gelu_tanh = pointwise(
    "gelu_tanh",
    "y = x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))",
    lambda xp, x, out: xp.multiply(0.5 * x, 1 + _gelu_inner(xp, x), out=out),
    _gelu_tanh_backward,
    cuda=True,
)


def _silu_forward(xp: Any, x: Array, out: Array) -> None:
    s = xp.empty_like(x)
    logistic(xp, x, s)
    xp.multiply(x, s, out=out)


def _silu_backward(xp: Any, x: Array, y: Array, dy: Array, dx: Array) -> None:
    s = xp.empty_like(x)
    logistic(xp, x, s)
    xp.multiply(dy, s * (1 + x * (1 - s)), out=dx)


silu = pointwise("silu", "y = x · sigmoid(x)", _silu_forward, _silu_backward, cuda=True)


def _softplus(xp: Any, x: Array) -> Array:
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


def _softplus_backward(xp: Any, x: Array, y: Array, dy: Array, dx: Array) -> None:
    s = xp.empty_like(x)
    logistic(xp, x, s)
    xp.multiply(dy, s, out=dx)


softplus = pointwise(
    "softplus",
    "y = log(1 + e^x)",
    lambda xp, x, out: xp.copyto(out, _softplus(xp, x)),
    _softplus_backward,
    cuda=True,
    domain=(-9.0, 9.0),
)

log_sigmoid = pointwise(
    "log_sigmoid",
    "y = log(sigmoid(x)) = -softplus(-x)",
    lambda xp, x, out: xp.negative(_softplus(xp, -x), out=out),
    lambda xp, x, y, dy, dx: _softplus_backward(xp, -x, y, dy, dx),
    cuda=True,
    domain=(-9.0, 9.0),
)

softsign = pointwise(
    "softsign",
    "y = x / (1 + |x|)",
    lambda xp, x, out: xp.divide(x, 1 + xp.abs(x), out=out),
    lambda xp, x, y, dy, dx: xp.divide(dy, (1 + xp.abs(x)) ** 2, out=dx),
    cuda=True,
)


def _mish_backward(xp: Any, x: Array, y: Array, dy: Array, dx: Array) -> None:
    t = xp.tanh(_softplus(xp, x))
    s = xp.empty_like(x)
    logistic(xp, x, s)
    xp.multiply(dy, t + x * (1 - t * t) * s, out=dx)


mish = pointwise(
    "mish",
    "y = x · tanh(softplus(x))",
    lambda xp, x, out: xp.multiply(x, xp.tanh(_softplus(xp, x)), out=out),
    _mish_backward,
    cuda=True,
)

tanh_shrink = pointwise(
    "tanh_shrink",
    "y = x - tanh(x)",
    lambda xp, x, out: xp.subtract(x, xp.tanh(x), out=out),
    lambda xp, x, y, dy, dx: xp.multiply(dy, xp.tanh(x) ** 2, out=dx),
    cuda=True,
)

squareplus = pointwise(
    "squareplus",
    "y = (x + √(x² + b)) / 2",
    lambda xp, x, out, b: xp.multiply(0.5, x + xp.sqrt(x * x + b), out=out),
    lambda xp, x, y, dy, dx, b: xp.multiply(dy, 0.5 * (1 + x / xp.sqrt(x * x + b)), out=dx),
    cuda=True,
    b=4.0,
)

sparse_plus = pointwise(
    "sparse_plus",
    "y = 0 below -1, x above 1, (x + 1)²/4 between",
    lambda xp, x, out: xp.copyto(out, xp.where(x >= 1, x, 0.25 * (xp.clip(x, -1, 1) + 1) ** 2)),
    lambda xp, x, y, dy, dx: xp.multiply(dy, 0.5 * (xp.clip(x, -1, 1) + 1), out=dx),
    cuda=True,
)


def gelu(x: Any, approximate: bool = True) -> Any:
    """y = x Φ(x), by default in the tanh form, as in `keras.ops.gelu`.  arXiv:1606.08415"""
    return gelu_tanh(x) if approximate else gelu_exact(x)


__all__ = [
    "celu", "elu", "gelu", "gelu_exact", "gelu_tanh", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_tanh", "leaky_relu", "log_sigmoid", "logistic", "mish", "relu", "relu6", "selu",
    "sigmoid", "silu", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid",
    "squareplus", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip
