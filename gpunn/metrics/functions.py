"""Accuracies as functions, 1 where a prediction is right, else 0, in floatx; and correlations."""

from __future__ import annotations

from typing import Any

from gpunn import config, ops
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.losses.alignment import (
    INT32,
    as_tensor,
    labels_and_predictions,
    same_rank,
    targets_and_predictions,
)
from gpunn.losses.functions import FUNCTIONS as LOSSES
from gpunn.ops.hits import label_hits, threshold_hits


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """[t = y], elementwise, for predictions that are labels themselves.

    >>> gpunn.metrics.Accuracy()([1, 2], [1, 0])  # 0.5
    """
    x = as_tensor(y_pred)
    t, x = same_rank(as_tensor(y_true, like=x), x)
    if t.shape != x.shape:
        raise ShapeError(
            f"accuracy: y_true and y_pred differ in shape (y_true {t.shape}, y_pred {x.shape}). "
            f"For scores of classes use (sparse_)categorical_accuracy."
        )
    return ops.cast(ops.equal(t, x), None)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """[t = [p > threshold]], elementwise, for targets t in {0, 1}.

    Both of one shape; a trailing axis of length 1 may be missing.

    >>> gpunn.metrics.binary_accuracy([1.0, 0.0], [0.6, 0.7]).numpy()
    array([1., 0.], dtype=float32)
    """
    t, x = targets_and_predictions("binary_accuracy", y_true, y_pred)
    return threshold_hits(x, t, threshold=threshold)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """[argmax t = argmax y] over the last axis; y_true, y_pred `(..., classes)`.

    >>> gpunn.metrics.categorical_accuracy([[0, 1]], [[0.2, 0.8]]).numpy()
    array([1.], dtype=float32)
    """
    t, x = targets_and_predictions("categorical_accuracy", y_true, y_pred)
    return label_hits(x, ops.argmax(t, axis=-1))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """[t = argmax y]; integer labels `(...)` or `(..., 1)`, y_pred `(..., classes)`.

    >>> gpunn.metrics.sparse_categorical_accuracy([1], [[0.2, 0.8]]).numpy()
    array([1.], dtype=float32)
    """
    labels, x = labels_and_predictions("sparse_categorical_accuracy", y_true, y_pred)
    return label_hits(x, labels)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where fewer than k scores are greater than that of argmax t, else 0.

    >>> gpunn.metrics.top_k_categorical_accuracy([[0, 1, 0]], [[0.5, 0.3, 0.2]], k=2).numpy()
    array([1.], dtype=float32)
    """
    t, x = targets_and_predictions("top_k_categorical_accuracy", y_true, y_pred)
    return label_hits(x, ops.argmax(t, axis=-1), k=k, earlier_wins=False)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where fewer than k scores are greater than that of the label, else 0.

    `from_sorted_ids`: y_pred holds class numbers, best first, in place of scores.

    >>> gpunn.metrics.sparse_top_k_categorical_accuracy([1], [[0.5, 0.3, 0.2]], k=2).numpy()
    array([1.], dtype=float32)
    """
    labels, x = labels_and_predictions("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if not from_sorted_ids:
        return label_hits(x, labels, k=k, earlier_wins=False)
    best = ops.cast(x, INT32)[..., :k]
    return ops.cast(ops.any(ops.equal(best, ops.expand_dims(labels, -1)), axis=-1), None)


def _deviations(name: str, y_true: Any, y_pred: Any, axis: int) -> tuple[Tensor, ...]:
    """t - t̄ and y - ȳ along an axis, which is now the last one, and t̄ - ȳ."""
    t, y = targets_and_predictions(name, y_true, y_pred, axis)
    means = [ops.mean(x, axis=-1, keepdims=True) for x in (t, y)]
    a, b = ops.subtract(t, means[0]), ops.subtract(y, means[1])
    return a, b, ops.squeeze(ops.subtract(*means), -1)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """cov(t, y) / (σ_t σ_y) along an axis: `(..., n)` to `(...)`, in [-1, 1]; NaN where t or y is
    constant.

    >>> gpunn.metrics.pearson_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 1.0]])  # [0.8109]
    """
    a, b, _ = _deviations("pearson_correlation", y_true, y_pred, axis)
    norms = [ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)) for x in (a, b)]
    return ops.sum(ops.multiply(ops.divide(a, norms[0]), ops.divide(b, norms[1])), axis=-1)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """2 cov(t, y) / (σ_t² + σ_y² + (t̄ - ȳ)² + epsilon) along an axis: `(..., n)` to `(...)`.

    Lin 1989, A concordance correlation coefficient to evaluate reproducibility.

    >>> gpunn.metrics.concordance_correlation([[0.0, 1.0, 0.5]], [[0.1, 0.9, 1.0]])  # [0.7477]
    """
    a, b, shift = _deviations("concordance_correlation", y_true, y_pred, axis)
    spread = ops.mean(ops.add(ops.square(a), ops.square(b)), axis=-1)
    below = ops.add(ops.add(spread, ops.square(shift)), config.epsilon())
    return ops.divide(ops.multiply(2.0, ops.mean(ops.multiply(a, b), axis=-1)), below)


FUNCTIONS = {
    **LOSSES,
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "top_k_categorical_accuracy": top_k_categorical_accuracy,
    "sparse_top_k_categorical_accuracy": sparse_top_k_categorical_accuracy,
    "pearson_correlation": pearson_correlation,
    "concordance_correlation": concordance_correlation,
}
