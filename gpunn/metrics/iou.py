"""Intersection over union of predicted and true classes, from a confusion matrix."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn import config, ops
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.losses.alignment import INT32, as_tensor
from gpunn.metrics.metric import Metric
from gpunn.metrics.reduction import broadcasting
from gpunn.ops.confusion import accumulate_pairs

_PRESENT = 1e-9  # a class that is seen less often does not count
_NO_CLASS = -1


class IoU(Metric):
    """The mean over `target_class_ids` of tp / (tp + fp + fn); classes never seen do not count.

    y_true and y_pred hold class numbers, of any shape, or, unless `sparse_y_true` and
    `sparse_y_pred`, scores of the classes along `axis`. Targets equal to `ignore_class` and numbers
    that are no class are left out. Weights have the shape of the class numbers, or that of their
    first axes; in the default dtype, int32, they lose their fractions.

    >>> gpunn.metrics.IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1])  # 1 / 3
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        super().__init__("int32" if dtype is None else dtype, name)
        self.target_class_ids: Any = _checked(type(self).__name__, target_class_ids, num_classes)
        self.num_classes, self.ignore_class = num_classes, ignore_class
        self.sparse_y_true, self.sparse_y_pred, self.axis = sparse_y_true, sparse_y_pred, axis
        self._targets = Tensor(asarray(self.target_class_ids, INT32))
        shape = num_classes, num_classes
        self.total_cm = self.add_variable(shape, "zeros", name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        with no_grad():
            p = self._classes(y_pred, self.sparse_y_pred, self._targets)
            t = self._classes(y_true, self.sparse_y_true, p)
            if t.size != p.size:
                raise ShapeError(
                    f"{self.name}: y_true and y_pred differ in size (y_true {t.shape}, y_pred "
                    f"{p.shape}). Where they are scores, set sparse_y_true or sparse_y_pred "
                    f"to False."
                )
            weights = None
            if sample_weight is not None:
                weights = self._weights(t, sample_weight)
            ignored = _NO_CLASS if self.ignore_class is None else self.ignore_class
            t, p = ops.reshape(t, (-1,)), ops.reshape(p, (-1,))
            accumulate_pairs(self.total_cm, t, p, weights, ignored)

    def _classes(self, y: Any, sparse: bool, like: Tensor) -> Tensor:
        """The class numbers."""
        y = as_tensor(y, None, like=like)
        return as_tensor(y if sparse else ops.argmax(y, axis=self.axis), INT32)

    def _weights(self, t: Tensor, sample_weight: Any) -> Tensor:
        """A weight for each class number, in the metric's dtype."""
        given = as_tensor(sample_weight, None, like=t)
        if self._dtype.kind == "i" and "float" in given.dtype:
            warnings.warn(
                f"{self.name}: weights of dtype {given.dtype} lose their fractions, for the metric "
                f"counts in {self.dtype}. Give the metric dtype='float32'.",
                stacklevel=3,
            )
        values, weights = broadcasting(self.name, as_tensor(t, self._dtype), given)
        return ops.reshape(ops.broadcast_to(weights, values.shape), (-1,))

    def result(self) -> Tensor:
        """The mean so far; 0 if none of the classes was seen."""
        with no_grad():
            hits = ops.reshape(self.total_cm, (-1,))[:: self.num_classes + 1]
            seen = ops.add(ops.sum(self.total_cm, axis=0), ops.sum(self.total_cm, axis=1))
            union = ops.cast(ops.take(ops.subtract(seen, hits), self._targets, axis=0), "float32")
            hits = ops.cast(ops.take(hits, self._targets, axis=0), "float32")
            present = ops.cast(ops.greater(union, _PRESENT), "float32")
            share = ops.multiply(ops.divide(hits, ops.add(union, config.epsilon())), present)
            return ops.divide(ops.sum(share), ops.add(ops.sum(present), config.epsilon()))

    def get_config(self) -> dict[str, Any]:
        names = (
            "num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred",
            "axis",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _checked(kind: str, target_class_ids: Sequence[int], num_classes: int) -> list[int]:
    """The class numbers as a list, if all of them exist."""
    ids = [int(i) for i in np.asarray(target_class_ids).reshape(-1)]
    if any(not 0 <= i < num_classes for i in ids) or not ids:
        raise ValueError(
            f"{kind}: target_class_ids must be numbers of classes, in [0, {num_classes}), received "
            f"{target_class_ids!r}."
        )
    return ids


class BinaryIoU(IoU):
    """`IoU` of two classes: 1 where y_pred is at least `threshold`, else 0.

    >>> gpunn.metrics.BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])  # 1 / 3
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        with no_grad():
            p = as_tensor(y_pred, np.dtype("float32"), like=self._targets)
            p = ops.greater_equal(p, self.threshold)
            super().update_state(y_true, p, sample_weight)

    def get_config(self) -> dict[str, Any]:
        options = {"target_class_ids": self.target_class_ids, "threshold": self.threshold}
        return {**Metric.get_config(self), **options}


class MeanIoU(IoU):
    """`IoU` of all classes.

    >>> gpunn.metrics.MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1])  # 1 / 3
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ):
        super().__init__(
            num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true,
            sparse_y_pred, axis,
        )  # fmt: skip

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "target_class_ids")


class OneHotIoU(IoU):
    """`IoU` of one-hot targets, and of scores or, if `sparse_y_pred`, class numbers.

    >>> metric = gpunn.metrics.OneHotIoU(num_classes=2, target_class_ids=[0])
    >>> metric([[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])  # 0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot targets, and of scores or, if `sparse_y_pred`, class numbers.

    >>> metric = gpunn.metrics.OneHotMeanIoU(num_classes=2)
    >>> metric([[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.3, 0.7], [0.2, 0.8]])  # 0.5
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ):
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:
        return _without(super().get_config(), "sparse_y_true")


def _without(config: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: value for k, value in config.items() if k != key}
