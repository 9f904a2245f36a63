"""Metrics under Keras' names: numbers that accumulate over batches, on the device."""

from collections.abc import Mapping
from typing import Any

from gpunn import objects
from gpunn.losses.functions import (
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    sparse_categorical_crossentropy,
)
from gpunn.metrics.functions import (
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from gpunn.metrics.metric import Metric
from gpunn.metrics.reduction import Mean, MeanMetricWrapper, Sum
from gpunn.metrics.standard import (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)

_TABLE = objects.by_names(
    Mean,
    Sum,
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    TopKCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    MeanSquaredError,
    MeanAbsoluteError,
    RootMeanSquaredError,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    MeanMetricWrapper=MeanMetricWrapper,
    mse=MeanSquaredError,
    mae=MeanAbsoluteError,
    bce=BinaryCrossentropy,
)


def get(identifier: Any) -> Any:
    """The metric of a name, config, class or callable; None stays None.

    Names give an instance, functions themselves; unknown names raise `ValueError`. The words
    "accuracy" and "crossentropy" depend on the shapes: see `gpunn.metrics.resolve`.

    >>> gpunn.metrics.get("mse")
    <MeanSquaredError name=mean_squared_error>
    """
    return objects.lookup("metric", identifier, _TABLE)


def serialize(metric: Any) -> Any:
    """A plain description of a metric: its class name and config, or a function's name."""
    return objects.serialize(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The metric of a description; `custom_objects` adds names of one's own."""
    return objects.lookup("metric", config, {**_TABLE, **(custom_objects or {})})
