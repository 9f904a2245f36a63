"""Moments and normalization: of batches, layers, groups, and by the root mean square.

Statistics and parameters are computed in float32 for halves, else in x's dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from gpunn import config
from gpunn.autodiff.dtypes import as_dtype, to_float
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops import arithmetic, elementwise, shaping
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.normalization_fused import (
    batch_norm,
    channel_norm,
    group_norm,
    leading_moments,
    row_norm,
)
from gpunn.ops.normalization_statistics import moving_average, statistics_dtype
from gpunn.ops.rules import normalize_axes, normalize_axis


def _floating(x: Any) -> Any:
    x = convert_to_tensor(x)
    return cast(x, to_float(x.dtype))


def _wide(x: Any, like: Any) -> Any:
    """x in the dtype of statistics; None stays."""
    return None if x is None else cast(x, statistics_dtype(as_dtype(like.dtype)))


def wide(x: Any) -> Any:
    """x in the dtype in which its statistics are computed."""
    return _wide(x, x)


def refuse_synchronized(name: str, synchronized: bool) -> None:
    """Statistics over several devices are not to be had."""
    if synchronized:
        raise ValueError(
            f"{name}: synchronized=True needs training on several devices, which gpunn does not "
            f"do. Leave it False."
        )


def moments(
    x: Any, axes: int | Sequence[int], keepdims: bool = False, synchronized: bool = False
) -> Any:
    """(mean, variance): Σ x / n and Σ (x - mean)² / n over the axes.

    >>> mean, variance = gpunn.ops.moments(x, axes=[0, 1])
    """
    refuse_synchronized("moments", synchronized)
    x = _floating(x)
    reduced = normalize_axes("moments", axes, x.ndim)
    order = (*reduced, *(a for a in range(x.ndim) if a not in reduced))
    moved = x if order == tuple(range(x.ndim)) else shaping.transpose(x, axes=order)
    found = leading_moments(moved, leading=len(reduced))
    if keepdims:
        for axis in reduced:
            found = tuple(shaping.expand_dims(s, axis) for s in found)
    return found


def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Any:
    """y = (x - mean) / √(variance + ε) · scale + offset, with vectors along `axis`.

    >>> gpunn.ops.batch_normalization(x, mean, variance, axis=-1)
    """
    x = _floating(x)
    along = normalize_axis("batch_normalization", axis, x.ndim)
    vectors = [_wide(v, x) for v in (mean, variance, scale, offset)]
    y = channel_norm(_last(x, along), *vectors, epsilon=epsilon)
    return _back(y, along)


def normalize_batch(x: Any, axis: int, gamma: Any, beta: Any, epsilon: float) -> tuple:
    """(y, mean, variance): x normalized by its own moments over all axes but `axis`."""
    gamma, beta = _wide(gamma, x), _wide(beta, x)
    y, mean, variance = batch_norm(_last(x, axis), gamma, beta, epsilon=epsilon)
    return _back(y, axis), mean, variance


def _last(x: Any, axis: int) -> Any:
    return x if axis == x.ndim - 1 else shaping.moveaxis(x, axis, -1)


def _back(y: Any, axis: int) -> Any:
    return y if axis == y.ndim - 1 else shaping.moveaxis(y, -1, axis)


def _parameter(name: str, what: str, value: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """γ or β as a vector over the normalized axes."""
    lengths = tuple(x.shape[a] for a in axes)
    if None in lengths:
        raise ShapeError(
            f"{name}: the normalized axes {axes} must be known (x {tuple(x.shape)}). Give the "
            f"input their lengths."
        )
    if value is None:
        return None
    value = _wide(convert_to_tensor(value), x)
    if prod(value.shape) != prod(lengths):
        raise ShapeError(
            f"{name}: {what} needs one element for each place of the axes {axes} ({what} "
            f"{tuple(value.shape)}, x {tuple(x.shape)}). Give it shape {lengths}."
        )
    return value if value.ndim == 1 else shaping.reshape(value, -1)


def _over_axes(
    name: str, x: Any, gamma: Any, beta: Any, axis: Any, epsilon: float | None, centered: bool
) -> Any:
    axes = normalize_axes(name, axis, x.ndim)
    what = ("gamma", "beta") if centered else ("scale", "offset")
    vectors = [_parameter(name, w, v, x, axes) for w, v in zip(what, (gamma, beta), strict=True)]
    order = (*(a for a in range(x.ndim) if a not in axes), *axes)
    settings = {
        "axes": len(axes),
        "epsilon": config.epsilon() if epsilon is None else epsilon,
        "centered": centered,
    }
    if order == tuple(range(x.ndim)):
        return row_norm(x, *vectors, **settings)
    y = row_norm(shaping.transpose(x, axes=order), *vectors, **settings)
    return shaping.transpose(y, axes=tuple(sorted(range(x.ndim), key=order.__getitem__)))


def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Any:
    """y = (x - mean) / √(variance + ε) · γ + β over the axes.  arXiv:1607.06450

    `epsilon`: None is that of `gpunn.config`. With `rms_scaling` (deprecated, as in Keras)
    y = x / √(variance + ε) · γ.

    >>> gpunn.ops.layer_normalization(x, gamma, beta)
    """
    x = _floating(x)
    if not rms_scaling:
        return _over_axes("layer_normalization", x, gamma, beta, axis, epsilon, centered=True)
    if beta is not None:
        raise ValueError("layer_normalization: rms_scaling=True has no beta. Leave it None.")
    axes = normalize_axes("layer_normalization", axis, x.ndim)
    gamma, wide = _parameter("layer_normalization", "gamma", gamma, x, axes), _wide(x, x)
    _, variance = moments(wide, axes, keepdims=True)
    shift = config.epsilon() if epsilon is None else epsilon
    y = arithmetic.multiply(wide, elementwise.rsqrt(arithmetic.add(variance, shift)))
    if gamma is not None:
        lengths = tuple(x.shape[a] if a in axes else 1 for a in range(x.ndim))
        y = arithmetic.multiply(y, shaping.reshape(gamma, lengths))
    return cast(y, x.dtype)


def rms_normalization(
    x: Any, scale: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Any:
    """y = x / √(mean x² + ε) · scale over the axes.  arXiv:1910.07467

    >>> gpunn.ops.rms_normalization(x, scale)
    """
    return _over_axes("rms_normalization", _floating(x), scale, None, axis, epsilon, centered=False)


def group_normalization(
    x: Any, groups: int, axis: int, gamma: Any, beta: Any, epsilon: float
) -> Any:
    """y = x̂ γ + β, x̂ with mean 0 and variance 1 in each sample and group.  arXiv:1803.08494"""
    wide = _wide(_last(x, axis), x)
    y = group_norm(wide, groups=groups, epsilon=epsilon)
    y = y if gamma is None else arithmetic.multiply(y, _wide(gamma, x))
    y = y if beta is None else arithmetic.add(y, _wide(beta, x))
    return cast(_back(y, axis), x.dtype)


def update_average(variable: Tensor, value: Any, momentum: float) -> None:
    """variable = momentum · variable + (1 - momentum) · value, in place, unless it is symbolic."""
    if isinstance(value, Tensor):
        moving_average(variable.data, packed(value.data), momentum=momentum)
