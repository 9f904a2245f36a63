"""Sums and means over everything seen: what most metrics are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.dtypes import is_float
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.losses.alignment import as_tensor, dtype_of, is_tensor, same_rank
from gpunn.metrics.functions import FUNCTIONS
from gpunn.metrics.metric import Metric
from gpunn.objects import lookup, serialize
from gpunn.ops.accumulate import (
    accumulate_mean,
    accumulate_sum,
    accumulate_weighted_mean,
    divide_no_nan,
)


def broadcasting(name: str, values: Tensor, sample_weight: Any) -> tuple[Tensor, Tensor]:
    """Values v and weights of as many axes: weights of fewer axes belong to the first axes of v."""
    weights = as_tensor(sample_weight, values.data.dtype, like=values)
    values, weights = same_rank(values, weights)
    shape = (*weights.shape, *[1] * (values.ndim - weights.ndim))
    if len(shape) > values.ndim or any(a not in (1, b) for a, b in zip(shape, values.shape)):
        raise ShapeError(
            f"{name}: sample_weight does not fit the values (sample_weight {weights.shape}, values "
            f"{values.shape}). Give it the shape of the values, or of their first axes."
        )
    return values, weights if shape == weights.shape else ops.reshape(weights, shape)


class Sum(Metric):
    """Σ v w over all values v seen.

    >>> gpunn.metrics.Sum()([1.0, 2.0])  # 3.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None):
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values; weights have their shape, or that of their first axes."""
        with no_grad():
            values = as_tensor(values, self._dtype, like=self.total)
            if sample_weight is not None:
                values, weights = broadcasting(self.name, values, sample_weight)
                values = ops.multiply(values, weights)
            accumulate_sum(self.total, values)

    def result(self) -> Tensor:
        return Tensor(self.total.data.copy())


class Mean(Metric):
    """Σ v w / Σ w over all samples seen, where v is the mean of a sample's values; 0 of none.

    >>> gpunn.metrics.Mean()([1.0, 3.0])  # 2.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None):
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add values `(samples, ...)`; weights have their shape, or that of their first axes."""
        with no_grad():
            values = as_tensor(values, self._dtype, like=self.total)
            if sample_weight is None:
                shape = values.data.shape
                rows = shape[0] if shape else 1
                self._add(values, rows)
            elif type(sample_weight) in (int, float):
                self._add(values, sample_weight)
            else:
                inner = values.size if np.ndim(sample_weight) == 0 else prod(values.shape[1:])
                values, weights = broadcasting(self.name, values, sample_weight)
                accumulate_weighted_mean(
                    self.total, self.count, values, weights, scale=1 / max(inner, 1)
                )

    def _add(self, values: Tensor, rows: float) -> None:
        """The mean of the values, with the weight of so many rows."""
        size = values.data.size
        accumulate_mean(
            self.total, self.count, values, scale=rows / size if size else 0.0, rows=rows
        )

    def result(self) -> Tensor:
        with no_grad():
            return divide_no_nan(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)`, a function that gives one value a sample.

    What is masked in `y_pred` (or, as an ignored class, in the values) does not count.

    >>> gpunn.metrics.MeanMetricWrapper(gpunn.losses.mean_squared_error, name="my_mse")
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ):
        super().__init__(name, dtype)
        self.fn = fn
        self.options = kwargs

    def update_state(  # type: ignore[override]  # as in Keras, other arguments than Mean's
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Add a batch; weights `(n,)`, or more axes of the values."""
        with no_grad():
            x = self._wide(y_pred)
            values = as_tensor(self.fn(y_true, x, **self.options), self._dtype, self.total)
            for mask in (getattr(y_pred, "_keras_mask", None), values._keras_mask):
                if mask is not None:
                    values, sample_weight = _masked(self.name, values, sample_weight, mask)
        super().update_state(values, sample_weight)

    def _wide(self, y_pred: Any) -> Any:
        """Predictions in 16 bits are compared in the metric's dtype: squares would overflow."""
        half = is_tensor(y_pred) and is_float(y_pred.dtype) and dtype_of(y_pred).itemsize == 2
        return ops.cast(y_pred, self._dtype) if half else y_pred

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fn": serialize(self.fn), **self.options}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> MeanMetricWrapper:
        """The wrapper of a function, or of one of our own by its name."""
        return cls(**{**config, "fn": lookup("metric function", config["fn"], FUNCTIONS)})


def _masked(name: str, values: Tensor, sample_weight: Any, mask: Any) -> tuple[Tensor, Tensor]:
    """The values with 0 where they are masked, and their weights, with 0 there too."""
    valid = as_tensor(mask, np.dtype("bool"), like=values)
    values, weights = broadcasting(name, values, ops.cast(valid, values.dtype))
    values = ops.where(weights, values, 0.0)
    if sample_weight is not None:
        weights = ops.multiply(weights, broadcasting(name, values, sample_weight)[1])
    return values, weights
