"""Cross-entropies: what log-likelihood a prediction p, or logits x, gives to the targets t.

Probabilities are clipped to [ε, 1 - ε] with ε = `gpunn.config.epsilon()`. Where a target needs a
gradient, plain ops take the place of the fused ones, which have none for it.
"""

from __future__ import annotations

import warnings
from typing import Any

from gpunn import config, ops
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import labels_and_predictions, targets_and_predictions
from gpunn.ops.losses import (
    binary_cross_entropy_loss,
    cross_entropy_loss,
    sigmoid_cross_entropy_loss,
    softmax_cross_entropy_loss,
    sparse_cross_entropy_loss,
    sparse_softmax_cross_entropy_loss,
)


def _wide(x: Tensor) -> Any:
    """x, half precision widened: there 1 - ε is 1, and its logarithm no help."""
    return x if x.data.dtype.itemsize >= 4 else ops.cast(x, "float32")


def _narrowed(loss: Tensor, like: Tensor) -> Tensor:
    return loss if loss.data.dtype == like.data.dtype else ops.cast(loss, like.dtype)


def _check_smoothing(name: str, label_smoothing: float) -> None:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: label_smoothing must be in [0, 1], received {label_smoothing}.")


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
    t, given = targets_and_predictions("binary_crossentropy", y_true, y_pred, axis)
    _check_smoothing("binary_crossentropy", label_smoothing)
    t, x = _wide(t), _wide(given)
    if label_smoothing:
        t = t * (1 - label_smoothing) + 0.5 * label_smoothing
    if t.tracked:
        loss = _binary_of_ops(t, x, from_logits)
    elif from_logits:
        loss = sigmoid_cross_entropy_loss(x, t)
    else:
        loss = binary_cross_entropy_loss(x, t, epsilon=config.epsilon())
    return _narrowed(loss, given)


def _binary_of_ops(t: Any, x: Any, from_logits: bool) -> Tensor:
    if from_logits:
        return ops.mean(ops.softplus(x) - x * t, axis=-1)
    p = ops.clip(x, config.epsilon(), 1 - config.epsilon())
    return -ops.mean(t * ops.log(p) + (1 - t) * ops.log(1 - p), axis=-1)


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
    t, given = targets_and_predictions(name, y_true, y_pred, axis)
    _check_smoothing(name, label_smoothing)
    t, x = _wide(t), _wide(given)
    classes = x.data.shape[-1]
    if classes == 1:
        warnings.warn(
            f"{name}: y_pred of shape {given.shape} has one class only, so the loss is always 0. "
            f"For two classes with one output use binary_crossentropy.",
            stacklevel=2,
        )
    if label_smoothing:
        t = t * (1 - label_smoothing) + label_smoothing / classes
    if t.tracked:
        loss = _categorical_of_ops(t, x, from_logits)
    elif from_logits:
        loss = softmax_cross_entropy_loss(x, t)
    else:
        loss = cross_entropy_loss(x, t, epsilon=config.epsilon())
    return _narrowed(loss, given)


def _categorical_of_ops(t: Any, x: Any, from_logits: bool) -> Tensor:
    if from_logits:
        return -ops.sum(t * ops.log_softmax(x), axis=-1)
    p = x / ops.sum(x, axis=-1, keepdims=True)
    return -ops.sum(t * ops.log(ops.clip(p, config.epsilon(), 1 - config.epsilon())), axis=-1)


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
    labels, given = labels_and_predictions("sparse_categorical_crossentropy", y_true, y_pred, axis)
    x = _wide(given)
    if ignore_class is not None:
        counts = ops.not_equal(labels, ignore_class)
        labels = ops.where(counts, labels, 0)
    if from_logits:
        loss = sparse_softmax_cross_entropy_loss(x, labels)
    else:
        loss = sparse_cross_entropy_loss(x, labels, epsilon=config.epsilon())
    loss = _narrowed(loss, given)
    if ignore_class is not None:
        loss = ops.where(counts, loss, 0.0)
        loss._keras_mask = counts
    return loss
