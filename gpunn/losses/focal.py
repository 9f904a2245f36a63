"""Focal cross-entropies: examples that are already right count less.  arXiv:1708.02002

Probabilities are clipped to [ε, 1 - ε] with ε = `gpunn.config.epsilon()`, those of logits, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gpunn import config, ops
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.devices import device
from gpunn.losses.alignment import dtype_of, narrowed, targets_and_predictions, wide
from gpunn.losses.crossentropy import smoothed


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-(1/n) Σ (1 - q)^γ (t log p + (1 - t) log(1 - p)) over the axis, q = t p + (1 - t)(1 - p).

    Of logits, p = σ(x). With `apply_class_balancing` each term counts α t + (1 - α)(1 - t).
    y_true, y_pred `(..., n)`; the result `(...)` has the float dtype of y_pred. `label_smoothing` s
    makes the targets t (1 - s) + s/2. Different shapes raise `ShapeError`.

    >>> gpunn.losses.binary_focal_crossentropy([[1.0]], [[0.5]]).numpy()  # log 2 / 4
    array([0.1732868], dtype=float32)
    """
    name = "binary_focal_crossentropy"
    t, given = targets_and_predictions(name, y_true, y_pred, axis)
    t, x = wide(smoothed(name, t, label_smoothing, 2)), wide(given)
    p = _clipped(ops.sigmoid(x) if from_logits else x)
    entropy = -(t * ops.log(p) + (1 - t) * ops.log(1 - p))
    right = t * p + (1 - t) * (1 - p)
    loss = ops.power(1 - right, gamma) * entropy
    if apply_class_balancing:
        loss = loss * (alpha * t + (1 - alpha) * (1 - t))
    return narrowed(ops.mean(loss, axis=-1), given)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-Σ α (1 - p)^γ t log p over the axis, with p = x / Σ x; of logits, p = softmax(x).

    `alpha`: one number, or one a class. y_true (one-hot or probabilities) and y_pred
    `(..., classes)`; the result `(...)` has the float dtype of y_pred. `label_smoothing` s makes
    the targets t (1 - s) + s / classes. Different shapes raise `ShapeError`.

    >>> gpunn.losses.categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy()
    array([0.0433217], dtype=float32)
    """
    name = "categorical_focal_crossentropy"
    t, given = targets_and_predictions(name, y_true, y_pred, axis)
    t, x = wide(smoothed(name, t, label_smoothing, given.shape[-1])), wide(given)
    p = ops.softmax(x) if from_logits else x / ops.sum(x, axis=-1, keepdims=True)
    p = _clipped(p)
    loss = _of_classes(name, alpha, x) * ops.power(1 - p, gamma) * t * ops.log(p)
    return narrowed(-ops.sum(loss, axis=-1), given)


def _clipped(p: Any) -> Any:
    return ops.clip(p, config.epsilon(), 1 - config.epsilon())


def _of_classes(name: str, alpha: Any, x: Any) -> Any:
    """One number, or a tensor of one number a class, where x is."""
    if np.ndim(alpha) == 0:
        return alpha
    values = tuple(float(a) for a in alpha)
    if len(values) != x.shape[-1]:
        raise ValueError(
            f"{name}: alpha has {len(values)} numbers, but there are {x.shape[-1]} classes. Give "
            f"one a class, or a single one."
        )
    return _constants(values, dtype_of(x), getattr(x, "device", None))


@lru_cache(maxsize=32)
def _constants(values: tuple[float, ...], dtype: np.dtype, where: str | None) -> Tensor:
    """Made once for each device: a recorded step must not copy from the host."""
    if where is None:
        return Tensor(asarray(values, dtype))
    with device(where):
        return Tensor(asarray(values, dtype))
