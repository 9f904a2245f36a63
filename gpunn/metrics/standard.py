"""The metrics that are means of a function, as classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn import ops
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import targets_and_predictions
from gpunn.losses.functions import (
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from gpunn.metrics import functions
from gpunn.metrics.metric import Metric
from gpunn.metrics.reduction import MeanMetricWrapper


class _StandardMetric(MeanMetricWrapper):
    """A wrapper whose class says which function it wraps."""

    def get_config(self) -> dict[str, Any]:
        return {**Metric.get_config(self), **self.options}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        return cls(**config)


class Accuracy(_StandardMetric):
    """The share of predictions that equal their target.

    >>> gpunn.metrics.Accuracy()([1, 2], [1, 0])  # 0.5
    """

    def __init__(self, name: str | None = "accuracy", dtype: Any = None):
        super().__init__(functions.accuracy, name, dtype)


class BinaryAccuracy(_StandardMetric):
    """The share of probabilities on the right side of the threshold.

    >>> gpunn.metrics.BinaryAccuracy()([1, 0], [0.6, 0.7])  # 0.5
    """

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ):
        if threshold is None or not 0 < threshold < 1:
            raise ValueError(
                f"BinaryAccuracy: threshold must lie between 0 and 1, received {threshold!r}."
            )
        super().__init__(functions.binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(_StandardMetric):
    """The share of rows whose greatest score is that of the one-hot target.

    >>> gpunn.metrics.CategoricalAccuracy()([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])  # 0.5
    """

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None):
        super().__init__(functions.categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(_StandardMetric):
    """The share of rows whose greatest score is that of the label.

    >>> gpunn.metrics.SparseCategoricalAccuracy()([1, 0], [[0.2, 0.8], [0.3, 0.7]])  # 0.5
    """

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None):
        super().__init__(functions.sparse_categorical_accuracy, name, dtype)


def _check_k(name: str, k: int) -> None:
    if not isinstance(k, int) or k < 1:
        raise ValueError(f"{name}: k must be a positive integer, received {k!r}.")


class TopKCategoricalAccuracy(_StandardMetric):
    """The share of rows in which the one-hot target is among the k greatest scores.

    >>> gpunn.metrics.TopKCategoricalAccuracy(k=2)([[0, 1, 0]], [[0.5, 0.3, 0.2]])  # 1.0
    """

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ):
        _check_k("TopKCategoricalAccuracy", k)
        super().__init__(functions.top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(_StandardMetric):
    """The share of rows in which the label is among the k greatest scores.

    >>> gpunn.metrics.SparseTopKCategoricalAccuracy(k=2)([1], [[0.5, 0.3, 0.2]])  # 1.0
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ):
        _check_k("SparseTopKCategoricalAccuracy", k)
        super().__init__(
            functions.sparse_top_k_categorical_accuracy, name, dtype,
            k=k, from_sorted_ids=from_sorted_ids,
        )  # fmt: skip


class MeanSquaredError(_StandardMetric):
    """The mean of (t - x)².

    >>> gpunn.metrics.MeanSquaredError()([[0.0, 2.0]], [[1.0, 2.0]])  # 0.5
    """

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None):
        super().__init__(mean_squared_error, name, dtype)


class MeanAbsoluteError(_StandardMetric):
    """The mean of |t - x|.

    >>> gpunn.metrics.MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 2.0]])  # 0.5
    """

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None):
        super().__init__(mean_absolute_error, name, dtype)


def _squared_errors(y_true: Any, y_pred: Any) -> Tensor:
    """(t - x)², elementwise."""
    t, x = targets_and_predictions("root_mean_squared_error", y_true, y_pred)
    return ops.square(ops.subtract(t, x))


class RootMeanSquaredError(_StandardMetric):
    """The root of the mean of (t - x)² over everything seen.

    >>> gpunn.metrics.RootMeanSquaredError()([[0.0, 0.0]], [[2.0, 2.0]])  # 2.0
    """

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None):
        super().__init__(_squared_errors, name, dtype)

    def result(self) -> Tensor:
        return ops.sqrt(super().result())


class BinaryCrossentropy(_StandardMetric):
    """The mean of -t log p - (1 - t) log(1 - p). See `gpunn.losses.binary_crossentropy`.

    >>> gpunn.metrics.BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])  # log 2
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ):
        super().__init__(
            binary_crossentropy, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing,
        )  # fmt: skip


class CategoricalCrossentropy(_StandardMetric):
    """The mean of -Σ t log p. See `gpunn.losses.categorical_crossentropy`.

    >>> gpunn.metrics.CategoricalCrossentropy(from_logits=True)([[0.0, 1.0]], [[0.0, 0.0]])  # log 2
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ):
        super().__init__(
            categorical_crossentropy, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(_StandardMetric):
    """The mean of -log p[t]. See `gpunn.losses.sparse_categorical_crossentropy`.

    Labels equal to `ignore_class` do not count.

    >>> gpunn.metrics.SparseCategoricalCrossentropy(from_logits=True)([1], [[0.0, 0.0]])  # log 2
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ):
        super().__init__(
            sparse_categorical_crossentropy, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip
