"""Losses of regression: squared and absolute errors."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import targets_and_predictions
from gpunn.ops.losses import absolute_error_loss, squared_error_loss


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """(1/n) Σ (t - x)² over the last axis.

    y_true, y_pred `(..., n)`; the result `(...)` has the float dtype of y_pred. Different shapes
    raise `ShapeError`.

    >>> gpunn.losses.mean_squared_error([[0.0, 2.0]], [[1.0, 2.0]]).numpy()
    array([0.5], dtype=float32)
    """
    t, x = targets_and_predictions("mean_squared_error", y_true, y_pred)
    if t.tracked:  # the fused loss has no gradient of the targets
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
    if t.tracked:
        return ops.mean(ops.abs(ops.subtract(t, x)), axis=-1)
    return absolute_error_loss(x, t)
