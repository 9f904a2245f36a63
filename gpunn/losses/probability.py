"""Losses of probabilities and rates beside the cross-entropies.

ε is `gpunn.config.epsilon()`. Shapes that differ raise `ShapeError`.
"""

from __future__ import annotations

import math
from typing import Any

from gpunn import config, ops
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import (
    labels_and_predictions,
    narrowed,
    targets_and_predictions,
    wide,
)


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Σ t log(t / p) over the last axis, t and p clipped to [ε, 1] (Kullback and Leibler).

    y_true, y_pred `(..., n)`: probabilities; the result `(...)` has the float dtype of y_pred.

    >>> gpunn.losses.kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]).numpy()
    array([0.14384106], dtype=float32)
    """
    t, given = targets_and_predictions("kl_divergence", y_true, y_pred)
    t, p = (ops.clip(wide(v), config.epsilon(), 1.0) for v in (t, given))
    return narrowed(ops.sum(t * ops.log(t / p), axis=-1), given)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """(1/n) Σ x - t log(x + ε) over the last axis, for counts t and their expected values x.

    The negative log-likelihood of Poisson's distribution, without the constant log t!.
    y_true, y_pred `(..., n)`; the result `(...)` has the float dtype of y_pred, and is NaN for
    negative x.

    >>> gpunn.losses.poisson([[1.0, 2.0]], [[1.0, 2.0]]).numpy()  # (1 + 2 - 2 log 2) / 2
    array([0.80685276], dtype=float32)
    """
    t, given = targets_and_predictions("poisson", y_true, y_pred)
    t, x = wide(t), wide(given)
    return narrowed(ops.mean(x - t * ops.log(x + config.epsilon()), axis=-1), given)


def check_q(name: str, q: float) -> None:
    """Refuse a q outside (0, 1)."""
    if not 0 < q < 1:
        raise ValueError(f"{name}: q must lie in the interval (0, 1), received {q!r}.")


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Tensor:
    """(1 - p[t]^q) / q: between the cross-entropy (q near 0) and the absolute error (q = 1).

    Robust against wrong labels: those with a small p pull less than in the cross-entropy.
    y_true `(...)` or `(..., 1)`: integer labels, others than 0 to classes - 1 give NaN. y_pred
    `(..., classes)`: probabilities; the result `(...)` has its float dtype. arXiv:1805.07836

    >>> gpunn.losses.categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5).numpy()
    array([1.], dtype=float32)
    """
    name = "categorical_generalized_cross_entropy"
    if not q > 0:
        raise ValueError(f"{name}: q must be positive, received {q!r}.")
    labels, given = labels_and_predictions(name, y_true, y_pred)
    x = wide(given)
    marked = ops.one_hot(labels, x.shape[-1], dtype=x.dtype)
    p = ops.sum(marked * x, axis=-1)
    p = ops.where(ops.max(marked, axis=-1) > 0, p, math.nan)
    zero = ops.equal(p, 0.0)  # there p^q has no derivative
    power = ops.where(zero, 0.0, ops.power(ops.where(zero, 1.0, p), q))
    return narrowed((1.0 - power) / q, given)
