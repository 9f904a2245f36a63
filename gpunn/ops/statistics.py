"""Statistics and norms, composed of other ops."""

from __future__ import annotations

from typing import Any

from gpunn import config
from gpunn.autodiff.dtypes import as_dtype
from gpunn.errors import DTypeError, ShapeError
from gpunn.ops import arithmetic, compare, creation, elementwise, gemm, reduce, shaping
from gpunn.ops.composite import in_single
from gpunn.ops.norms import norm
from gpunn.ops.operands import as_float, operands
from gpunn.ops.rules import normalize_axis


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Σ (x - mean x)² / n over the axes (None: all); of 16-bit floats computed in 32 bits."""
    x = as_float(x)
    wide = creation.cast(x, "float32") if as_dtype(x.dtype).itemsize == 2 else x
    centered = arithmetic.subtract(wide, reduce.mean(wide, axis=axis, keepdims=True))
    variance = reduce.mean(elementwise.square(centered), axis=axis, keepdims=keepdims)
    return creation.cast(variance, x.dtype)


def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """√var over the axes (None: all)."""
    return elementwise.sqrt_(var(x, axis=axis, keepdims=keepdims))


@in_single
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ e^x over the axes (None: all), without overflow."""
    top = creation.stop_gradient(reduce.max(x, axis=axis, keepdims=True))
    shift = compare.where(compare.isfinite(top), top, 0)  # inf - inf would be NaN
    total = reduce.sum(elementwise.exp(arithmetic.subtract(x, shift)), axis=axis, keepdims=True)
    total = arithmetic.maximum(total, 0.5)  # it is 1 at least, but 0 where top is -inf
    result = arithmetic.add(elementwise.log_(total), top)
    if keepdims:
        return result
    if axis is None:
        return shaping.reshape(result, ())
    return shaping.squeeze(result, axis)


@in_single
def normalize(x: Any, axis: Any = -1, order: Any = 2, epsilon: float | None = None) -> Any:
    """x / max(‖x‖, epsilon) along an axis, or several; epsilon None: that of `gpunn.config`."""
    epsilon = config.epsilon() if epsilon is None else epsilon
    if order == 2:  # the square root comes after the maximum: its derivative at 0 is infinite
        squares = reduce.sum(elementwise.square(x), axis=axis, keepdims=True)
        return arithmetic.multiply(x, elementwise.rsqrt(arithmetic.maximum(squares, epsilon**2)))
    return arithmetic.divide(x, arithmetic.maximum(norm(x, order, axis, True), epsilon))


def psnr(x1: Any, x2: Any, max_val: float) -> Any:
    """The peak signal-to-noise ratio, 10 log₁₀(max_val² / mean (x1 - x2)²), in decibels.

    >>> gpunn.ops.psnr(images, restored, max_val=255)
    """
    x1, x2 = creation.convert_to_tensor(x1), creation.convert_to_tensor(x2)
    if tuple(x1.shape) != tuple(x2.shape):
        raise ShapeError(
            f"psnr: the signals need the same shape, received {tuple(x1.shape)} and "
            f"{tuple(x2.shape)}."
        )
    noise = reduce.mean(elementwise.square(arithmetic.subtract(x1, x2)))
    peak = creation.cast(max_val, noise.dtype)
    bels = arithmetic.subtract(
        arithmetic.multiply(elementwise.log10(peak), 2.0), elementwise.log10(noise)
    )
    return arithmetic.multiply(bels, 10.0)


def polar(abs_: Any, angle: Any) -> Any:
    """Refused: it would be abs_ · e^(i · angle), and gpunn has no complex numbers."""
    raise DTypeError(
        "polar: its result is complex, and gpunn has no complex numbers. Compute the two parts: "
        "abs_ * ops.cos(angle) and abs_ * ops.sin(angle)."
    )


def amax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """max x over the axes (None: all)."""
    return reduce.max(x, axis=axis, keepdims=keepdims)


def amin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """min x over the axes (None: all)."""
    return reduce.min(x, axis=axis, keepdims=keepdims)


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """max x - min x over the axes (None: all)."""
    return arithmetic.subtract(amax(x, axis, keepdims), amin(x, axis, keepdims))


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Π x over the axes (None: all), of x cast to `dtype` if one is named."""
    x = creation.convert_to_tensor(x, dtype)
    return reduce.prod_(x, axis=axis, keepdims=keepdims)


def count_nonzero(x: Any, axis: Any = None) -> Any:
    """How many elements along the axes (None: all) are not 0; int32."""
    return reduce.sum(creation.cast(compare.not_equal(x, 0), "int32"), axis=axis)


def average(x: Any, axis: Any = None, weights: Any = None) -> Any:
    """Σ w x / Σ w over the axes (None: all), w = 1 unless given.

    weights: of the shape of x, or one number a position along an axis.
    """
    if weights is None:
        return reduce.mean(x, axis=axis)
    x, weights = operands(x, weights, floating=True)
    if len(weights.shape) == 1 and isinstance(axis, int):
        behind = len(x.shape) - 1 - normalize_axis("average", axis, len(x.shape))
        weights = shaping.reshape(weights, (-1,) + (1,) * behind)
    elif len(weights.shape) != len(x.shape) or any(
        n != m and None not in (n, m) for n, m in zip(weights.shape, x.shape, strict=True)
    ):
        raise ShapeError(
            f"average: weights need the shape of x, or one axis and an integer `axis` (weights "
            f"{tuple(weights.shape)}, x {tuple(x.shape)}, axis {axis})."
        )
    weights = creation.zeros_like(x) + weights
    return reduce.sum(x * weights, axis=axis) / reduce.sum(weights, axis=axis)


def corrcoef(x: Any) -> Any:
    """r_ij = c_ij / √(c_ii c_jj), the correlation of the rows of x (variables, n)."""
    x = as_float(x)
    rows = shaping.reshape(x, (1, -1)) if len(x.shape) == 1 else x
    centered = rows - reduce.mean(rows, axis=1, keepdims=True)
    lengths = elementwise.sqrt_(reduce.sum(elementwise.square(centered), axis=1, keepdims=True))
    unit = centered / lengths
    r = elementwise.clip(gemm.matmul(unit, shaping.transpose(unit)), -1.0, 1.0)
    return shaping.reshape(r, ()) if len(x.shape) == 1 else r
