"""Metrics under Keras' names: numbers that accumulate over batches, on the device."""

from collections.abc import Mapping
from typing import Any

from gpunn import objects
from gpunn.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from gpunn.metrics.auc import AUC
from gpunn.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from gpunn.metrics.correlation import ConcordanceCorrelation, PearsonCorrelation
from gpunn.metrics.determination import R2Score
from gpunn.metrics.f_score import F1Score, FBetaScore
from gpunn.metrics.functions import (
    binary_accuracy,
    categorical_accuracy,
    concordance_correlation,
    pearson_correlation,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from gpunn.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from gpunn.metrics.metric import Metric
from gpunn.metrics.operating_points import (
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from gpunn.metrics.reduction import Mean, MeanMetricWrapper, Sum
from gpunn.metrics.standard import (
    Accuracy,
    BinaryAccuracy,
    BinaryCrossentropy,
    CategoricalAccuracy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy,
    SparseTopKCategoricalAccuracy,
    SquaredHinge,
    StandardMetric,
    TopKCategoricalAccuracy,
)

_TABLE = objects.by_names(
    Mean,
    Sum,
    *StandardMetric.__subclasses__(),
    TruePositives,
    FalsePositives,
    TrueNegatives,
    FalseNegatives,
    Precision,
    Recall,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    PrecisionAtRecall,
    RecallAtPrecision,
    AUC,
    F1Score,
    FBetaScore,
    IoU,
    BinaryIoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
    R2Score,
    MeanMetricWrapper=MeanMetricWrapper,
    mse=MeanSquaredError,
    mae=MeanAbsoluteError,
    mape=MeanAbsolutePercentageError,
    msle=MeanSquaredLogarithmicError,
    logcosh=LogCoshError,
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
