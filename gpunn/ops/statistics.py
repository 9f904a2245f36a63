"""Statistics and norms, composed of other ops."""

from __future__ import annotations

from typing import Any

from gpunn.ops import arithmetic, creation, elementwise, reduce, shaping


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Σ (x - mean x)² / n over the axes (None: all)."""
    centered = arithmetic.subtract(x, reduce.mean(x, axis=axis, keepdims=True))
    return reduce.mean(elementwise.square(centered), axis=axis, keepdims=keepdims)


def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """√var over the axes (None: all)."""
    return elementwise.sqrt_(var(x, axis=axis, keepdims=keepdims))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ e^x over the axes (None: all), without overflow."""
    top = creation.stop_gradient(reduce.max(x, axis=axis, keepdims=True))
    total = reduce.sum(elementwise.exp(arithmetic.subtract(x, top)), axis=axis, keepdims=True)
    result = arithmetic.add(elementwise.log_(total), top)
    if keepdims:
        return result
    if axis is None:
        return shaping.reshape(result, ())
    return shaping.squeeze(result, axis)


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The vector norm (Σ |x|^ord)^(1/ord) over the axes; ord: None or 2, 1, inf, or a number."""
    size = elementwise.abs_(x)
    if ord in (None, 2):
        return elementwise.sqrt_(reduce.sum(elementwise.square(x), axis=axis, keepdims=keepdims))
    if ord == 1:
        return reduce.sum(size, axis=axis, keepdims=keepdims)
    if ord == float("inf"):
        return reduce.max(size, axis=axis, keepdims=keepdims)
    if not isinstance(ord, (int, float)):
        raise ValueError(f"norm: ord must be a number or None, received {ord!r}.")
    total = reduce.sum(arithmetic.power(size, ord), axis=axis, keepdims=keepdims)
    return arithmetic.power(total, 1 / ord)


def normalize(x: Any, axis: int = -1, order: Any = 2, epsilon: float = 1e-12) -> Any:
    """x / max(‖x‖, epsilon) along an axis."""
    if order == 2:  # the square root comes after the maximum: its derivative at 0 is infinite
        squares = reduce.sum(elementwise.square(x), axis=axis, keepdims=True)
        return arithmetic.multiply(x, elementwise.rsqrt(arithmetic.maximum(squares, epsilon**2)))
    return arithmetic.divide(x, arithmetic.maximum(norm(x, order, axis, True), epsilon))
