"""Losses of regression: errors e = t - x of the predictions x, squared, absolute or in between.

All take y_true and y_pred `(..., n)`, give `(...)` in the float dtype of y_pred, and raise
`ShapeError` where the shapes differ. ε is `gpunn.config.epsilon()`.
"""

from __future__ import annotations

from math import log
from typing import Any

from gpunn import config, ops
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import narrowed, needs_gradient, targets_and_predictions, wide
from gpunn.ops.losses import absolute_error_loss, squared_error_loss


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """(1/n) Σ (t - x)² over the last axis.

    y_true, y_pred `(..., n)`; the result `(...)` has the float dtype of y_pred. Different shapes
    raise `ShapeError`.

    >>> gpunn.losses.mean_squared_error([[0.0, 2.0]], [[1.0, 2.0]]).numpy()
    array([0.5], dtype=float32)
    """
    t, x = targets_and_predictions("mean_squared_error", y_true, y_pred)
    if needs_gradient(t):  # the fused loss has no gradient of the targets
        return ops.mean(ops.square(ops.subtract(t, x)), axis=-1)
    return squared_error_loss(x, t)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """(1/n) Σ |t - x| over the last axis; the gradient at t = x is 0.

    y_true, y_pred `(..., n)`; the result `(...)` has the float dtype of y_pred. Different shapes
    raise `ShapeError`.

    >>> gpunn.losses.mean_absolute_error([[0.0, 2.0]], [[1.0, 2.0]]).numpy()
    array([0.5], dtype=float32)
    """
    t, x = targets_and_predictions("mean_absolute_error", y_true, y_pred)
    if needs_gradient(t):
        return ops.mean(ops.abs(ops.subtract(t, x)), axis=-1)
    return absolute_error_loss(x, t)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """(100/n) Σ |t - x| / max(|t|, ε) over the last axis.

    >>> gpunn.losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 5.0]]).numpy()
    array([37.5], dtype=float32)
    """
    t, given = targets_and_predictions("mean_absolute_percentage_error", y_true, y_pred)
    t, x = wide(t), wide(given)
    relative = ops.abs((t - x) / ops.maximum(ops.abs(t), config.epsilon()))
    return narrowed(100.0 * ops.mean(relative, axis=-1), given)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """(1/n) Σ (log(1 + t) - log(1 + x))² over the last axis, of t and x at least ε.

    Of what is below ε the gradient is 0.

    >>> gpunn.losses.mean_squared_logarithmic_error([[0.0]], [[1.0]]).numpy()  # (log 2)²
    array([0.48045287], dtype=float32)
    """
    t, given = targets_and_predictions("mean_squared_logarithmic_error", y_true, y_pred)
    t, x = (ops.log1p(ops.maximum(wide(v), config.epsilon())) for v in (t, given))
    return narrowed(ops.mean(ops.square(t - x), axis=-1), given)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """(1/n) Σ e²/2 where |e| ≤ δ, else δ (|e| - δ/2), of e = t - x, over the last axis.

    Squared near 0, absolute far away, so outliers pull with the force δ at most.
    P. J. Huber, Robust estimation of a location parameter, Ann. Math. Statist. 35 (1964).

    >>> gpunn.losses.huber([[0.0, 0.0]], [[0.5, 3.0]]).numpy()  # (0.125 + 2.5) / 2
    array([1.3125], dtype=float32)
    """
    t, x = targets_and_predictions("huber", y_true, y_pred)
    size = ops.abs(t - x)
    near = ops.minimum(size, delta)  # all of |e|, or δ of it
    return ops.mean(0.5 * near * near + delta * (size - near), axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """(1/n) Σ log cosh(x - t) over the last axis: e²/2 near 0, |e| - log 2 far away.

    >>> gpunn.losses.log_cosh([[0.0, 0.0]], [[0.0, 1.0]]).numpy()
    array([0.2168904], dtype=float32)
    """
    t, x = targets_and_predictions("log_cosh", y_true, y_pred)
    e = x - t  # log cosh e = log (1 + e^(-2e)) + e - log 2
    return ops.mean(ops.softplus(-2.0 * e) + e - log(2.0), axis=-1)
