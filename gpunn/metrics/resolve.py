"""Which accuracy or cross-entropy the words "accuracy" and "crossentropy" mean, by the shapes."""

from __future__ import annotations

from collections.abc import Sequence

from gpunn.metrics.metric import Metric
from gpunn.metrics.standard import (
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
)

_Shape = Sequence[int | None]


def _kind(y_true_shape: _Shape, y_pred_shape: _Shape) -> int:
    """0 binary: one output. 1 sparse: the targets have no axis of classes. 2 categorical."""
    if len(y_pred_shape) < 2 or y_pred_shape[-1] == 1:
        return 0
    if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        return 1
    return 2


def resolve_accuracy(y_true_shape: _Shape, y_pred_shape: _Shape) -> type[Metric]:
    """The class of the accuracy for targets and predictions of these shapes.

    >>> resolve_accuracy((32,), (32, 10))
    <class 'gpunn.metrics.standard.SparseCategoricalAccuracy'>
    """
    kinds = BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy
    return kinds[_kind(y_true_shape, y_pred_shape)]


def resolve_crossentropy(y_true_shape: _Shape, y_pred_shape: _Shape) -> type[Metric]:
    """The class of the cross-entropy for targets and predictions of these shapes.

    >>> resolve_crossentropy((32, 1), (32, 1))
    <class 'gpunn.metrics.standard.BinaryCrossentropy'>
    """
    kinds = BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy
    return kinds[_kind(y_true_shape, y_pred_shape)]
