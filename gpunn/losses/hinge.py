"""Hinge losses: scores on the right side of a margin of 1 lose nothing.

All take y_true and y_pred `(..., n)`, give `(...)` in the float dtype of y_pred, and raise
`ShapeError` where the shapes differ.
"""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import targets_and_predictions


def _below_margin(name: str, y_true: Any, y_pred: Any) -> Any:
    """max(1 - t x, 0), elementwise; targets that are all 0 or 1 become -1 and 1."""
    t, x = targets_and_predictions(name, y_true, y_pred)
    binary = ops.all(ops.equal(t * t, t))
    return ops.maximum(1.0 - ops.where(binary, 2.0 * t - 1.0, t) * x, 0.0)


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """(1/n) Σ max(1 - t x, 0) over the last axis, for targets -1 and 1.

    Targets that are all 0 or 1 stand for -1 and 1.

    >>> gpunn.losses.hinge([[-1.0, 1.0]], [[0.5, 0.5]]).numpy()
    array([1.], dtype=float32)
    """
    return ops.mean(_below_margin("hinge", y_true, y_pred), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """(1/n) Σ max(1 - t x, 0)² over the last axis, for targets -1 and 1.

    Targets that are all 0 or 1 stand for -1 and 1.

    >>> gpunn.losses.squared_hinge([[-1.0, 1.0]], [[0.5, 0.5]]).numpy()
    array([1.25], dtype=float32)
    """
    return ops.mean(ops.square(_below_margin("squared_hinge", y_true, y_pred)), axis=-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """max(1 + max (1 - t) x - Σ t x, 0), both over the last axis, for one-hot targets t.

    The true class should score 1 more than the best of the others (if that is not below 0).

    >>> gpunn.losses.categorical_hinge([[0.0, 1.0]], [[0.3, 0.6]]).numpy()
    array([0.6999999], dtype=float32)
    """
    t, x = targets_and_predictions("categorical_hinge", y_true, y_pred)
    wrong = ops.max((1.0 - t) * x, axis=-1)
    right = ops.sum(t * x, axis=-1)
    return ops.maximum(1.0 + wrong - right, 0.0)
