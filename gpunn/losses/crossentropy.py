"""Cross-entropies as losses: `gpunn.ops`' ones with targets brought to the shape of predictions,
label smoothing, and a class that does not count.
"""

from __future__ import annotations

import warnings
from typing import Any

from gpunn import ops
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import labels_and_predictions, targets_and_predictions, wide
from gpunn.ops.crossentropy import mean_binary_crossentropy


def smoothed(name: str, t: Any, label_smoothing: float, classes: int) -> Any:
    """t (1 - s) + s / classes, at least in float32."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: label_smoothing must be in [0, 1], received {label_smoothing}.")
    if not label_smoothing:
        return t
    return wide(t) * (1 - label_smoothing) + label_smoothing / max(classes, 1)


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """(1/n) Σ -t log p - (1 - t) log(1 - p) over the axis; of logits, p = σ(x).

    y_true, y_pred `(..., n)`; the result `(...)` has the float dtype of y_pred. `label_smoothing` s
    makes the targets t (1 - s) + s/2. Different shapes raise `ShapeError`.

    >>> gpunn.losses.binary_crossentropy([[1.0]], [[0.5]]).numpy()
    array([0.6931472], dtype=float32)
    """
    name = "binary_crossentropy"
    t, x = targets_and_predictions(name, y_true, y_pred, axis)
    t = smoothed(name, t, label_smoothing, 2)
    return mean_binary_crossentropy(t, x, from_logits)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-Σ t log p over the axis, with p = x / Σ x; of logits, p = softmax(x).

    y_true (one-hot or probabilities) and y_pred `(..., classes)`; the result `(...)` has the float
    dtype of y_pred. `label_smoothing` s makes the targets t (1 - s) + s / classes. Different shapes
    raise `ShapeError`.

    >>> gpunn.losses.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy()
    array([0.6931472], dtype=float32)
    """
    name = "categorical_crossentropy"
    t, x = targets_and_predictions(name, y_true, y_pred, axis)
    classes = x.shape[-1]
    if classes == 1:
        warnings.warn(
            f"{name}: y_pred of shape {x.shape} has one class only, so the loss is always 0. "
            f"For two classes with one output use binary_crossentropy.",
            stacklevel=2,
        )
    t = smoothed(name, t, label_smoothing, classes)
    return ops.categorical_crossentropy(t, x, from_logits)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:  # fmt: skip
    """-log p[t] with p = x / Σ x along the axis; of logits, p = softmax(x).

    y_true `(...)` or `(..., 1)`: integer labels from 0 to classes - 1; others give NaN (the host
    cannot look at them in a training step, `check_labels` does before it). y_pred
    `(..., classes)`; the result `(...)` has its float dtype. Labels equal to `ignore_class` lose 0
    and are masked in the result. Labels that do not fit raise `ShapeError`.

    >>> gpunn.losses.sparse_categorical_crossentropy([1], [[0.5, 0.5]]).numpy()
    array([0.6931472], dtype=float32)
    """
    labels, x = labels_and_predictions("sparse_categorical_crossentropy", y_true, y_pred, axis)
    if ignore_class is not None:
        counts = ops.not_equal(labels, ignore_class)
        labels = ops.where(counts, labels, 0)
    loss = ops.sparse_categorical_crossentropy(labels, x, from_logits)
    if ignore_class is not None:
        loss = ops.where(counts, loss, 0.0)
        loss._keras_mask = counts
    return loss
