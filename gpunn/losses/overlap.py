"""Losses of overlap: how far two sets t and x of pixels, with members in [0, 1], are apart.

`axis`: the axes that are summed, by default all, the batch included; one loss is left for each
index of the others. ε is `gpunn.config.epsilon()`; two empty sets lose 1. Shapes that differ raise
`ShapeError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpunn import config, ops
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import narrowed, targets_and_predictions, wide


def _axes(axis: int | Sequence[int] | None) -> Any:
    return tuple(axis) if isinstance(axis, Sequence) else axis


def dice(y_true: Any, y_pred: Any, axis: int | Sequence[int] | None = None) -> Tensor:
    """1 - 2 Σ t x / (Σ t + Σ x + ε) over the axes, in the float dtype of y_pred.

    >>> gpunn.losses.dice([[1.0, 0.0]], [[1.0, 1.0]]).numpy()  # 1 - 2/3
    array(0.3333333, dtype=float32)
    """
    t, given = targets_and_predictions("dice", y_true, y_pred)
    t, x = wide(t), wide(given)
    both, true, found = (ops.sum(v, axis=_axes(axis)) for v in (t * x, t, x))
    return narrowed(1.0 - 2.0 * both / (true + found + config.epsilon()), given)


def tversky(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.5,
    beta: float = 0.5,
    axis: int | Sequence[int] | None = None,
) -> Tensor:
    """1 - Σ t x / (Σ t x + α Σ t (1 - x) + β Σ (1 - t) x + ε) over the axes.

    α weighs what is missed and β what is found wrongly, as in Keras' numbers. The result has the
    float dtype of y_pred.  arXiv:1706.05721

    >>> gpunn.losses.tversky([[1.0, 0.0]], [[1.0, 1.0]], beta=1.0).numpy()
    array(0.5, dtype=float32)
    """
    t, given = targets_and_predictions("tversky", y_true, y_pred)
    t, x = wide(t), wide(given)
    both, missed, wrong = (ops.sum(v, axis=_axes(axis)) for v in (t * x, t * (1 - x), (1 - t) * x))
    below = both + alpha * missed + beta * wrong + config.epsilon()
    return narrowed(1.0 - both / below, given)
