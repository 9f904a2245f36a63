"""The losses as classes: a function of this package, its options, a reduction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn.losses.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from gpunn.losses.loss import Loss, LossFunctionWrapper
from gpunn.losses.regression import mean_absolute_error, mean_squared_error


class _StandardLoss(LossFunctionWrapper):
    """A wrapper whose class says which function it wraps."""

    def get_config(self) -> dict[str, Any]:
        return {**Loss.get_config(self), **self.options}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        return cls(**config)


class MeanSquaredError(_StandardLoss):
    """The mean of (t - x)².

    >>> gpunn.losses.MeanSquaredError()([[0.0, 2.0]], [[1.0, 2.0]])  # 0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: Any = None,
    ):
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(_StandardLoss):
    """The mean of |t - x|.

    >>> gpunn.losses.MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 2.0]])  # 0.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: Any = None,
    ):
        super().__init__(mean_absolute_error, reduction, name, dtype)


class BinaryCrossentropy(_StandardLoss):
    """The mean of -t log p - (1 - t) log(1 - p): two classes, or several independent ones.

    `from_logits`: p = σ(y_pred), safer than a sigmoid in the model. See `binary_crossentropy`.

    >>> gpunn.losses.BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])  # log 2
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            binary_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalCrossentropy(_StandardLoss):
    """The mean of -Σ t log p: one of several classes, targets one-hot.

    `from_logits`: p = softmax(y_pred), safer than a softmax in the model. See
    `categorical_crossentropy`.

    >>> gpunn.losses.CategoricalCrossentropy(from_logits=True)([[0.0, 1.0]], [[0.0, 0.0]])  # log 2
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(_StandardLoss):
    """The mean of -log p[t]: one of several classes, targets integer labels.

    `ignore_class`: samples with this label do not count. See `sparse_categorical_crossentropy`.

    >>> gpunn.losses.SparseCategoricalCrossentropy(from_logits=True)([1], [[0.0, 0.0]])  # log 2
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ):
        super().__init__(
            sparse_categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip
