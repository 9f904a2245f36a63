"""The metrics that are means of a function, as classes.

Each line of declaration makes a constructor: see `gpunn.losses.declare.OfFunction`.
"""

from __future__ import annotations

from typing import Any

from gpunn import losses, ops
from gpunn.arguments import whole_number
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.losses.alignment import targets_and_predictions
from gpunn.losses.declare import OfFunction
from gpunn.metrics import functions
from gpunn.metrics.reduction import MeanMetricWrapper


class StandardMetric(OfFunction, MeanMetricWrapper):
    """A mean whose class says of which function."""

    _order = "name dtype *"


# --- accuracies ---


class Accuracy(StandardMetric, of=functions.accuracy):
    """The share of predictions that equal their target.

    >>> gpunn.metrics.Accuracy()([1, 2], [1, 0])  # 0.5
    """


def _check_threshold(name: str, threshold: float | None) -> None:
    if not isinstance(threshold, (int, float)):
        raise ValueError(
            f"{name}: threshold must be a number (0.5 for probabilities, 0 for logits), received "
            f"{threshold!r}."
        )


class BinaryAccuracy(StandardMetric, of=functions.binary_accuracy, check=_check_threshold):
    """The share of probabilities, or logits, on the right side of the threshold.

    >>> gpunn.metrics.BinaryAccuracy()([1, 0], [0.6, 0.7])  # 0.5
    """


class CategoricalAccuracy(StandardMetric, of=functions.categorical_accuracy):
    """The share of rows whose greatest score is that of the one-hot target.

    >>> gpunn.metrics.CategoricalAccuracy()([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])  # 0.5
    """


class SparseCategoricalAccuracy(StandardMetric, of=functions.sparse_categorical_accuracy):
    """The share of rows whose greatest score is that of the label.

    >>> gpunn.metrics.SparseCategoricalAccuracy()([1, 0], [[0.2, 0.8], [0.3, 0.7]])  # 0.5
    """


def _check_k(name: str, k: int, **_: Any) -> None:
    whole_number(f"{name}: k", k)


class TopKCategoricalAccuracy(
    StandardMetric, of=functions.top_k_categorical_accuracy, order="k name dtype", check=_check_k
):
    """The share of rows in which the one-hot target is among the k greatest scores.

    >>> gpunn.metrics.TopKCategoricalAccuracy(k=2)([[0, 1, 0]], [[0.5, 0.3, 0.2]])  # 1.0
    """


class SparseTopKCategoricalAccuracy(
    StandardMetric,
    of=functions.sparse_top_k_categorical_accuracy,
    order="k name dtype from_sorted_ids",
    check=_check_k,
):
    """The share of rows in which the label is among the k greatest scores.

    >>> gpunn.metrics.SparseTopKCategoricalAccuracy(k=2)([1], [[0.5, 0.3, 0.2]])  # 1.0
    """


# --- regression ---


class MeanSquaredError(StandardMetric, of=losses.mean_squared_error):
    """The mean of (t - x)².

    >>> gpunn.metrics.MeanSquaredError()([[0.0, 2.0]], [[1.0, 2.0]])  # 0.5
    """


class MeanAbsoluteError(StandardMetric, of=losses.mean_absolute_error):
    """The mean of |t - x|.

    >>> gpunn.metrics.MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 2.0]])  # 0.5
    """


class MeanAbsolutePercentageError(StandardMetric, of=losses.mean_absolute_percentage_error):
    """The mean of 100 |t - x| / |t|. See `gpunn.losses.mean_absolute_percentage_error`.

    >>> gpunn.metrics.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 5.0]])  # 37.5
    """


class MeanSquaredLogarithmicError(StandardMetric, of=losses.mean_squared_logarithmic_error):
    """The mean of (log(1 + t) - log(1 + x))². See `gpunn.losses.mean_squared_logarithmic_error`.

    >>> gpunn.metrics.MeanSquaredLogarithmicError()([[0.0]], [[1.0]])  # (log 2)²
    """


class LogCoshError(StandardMetric, of=losses.log_cosh, name="logcosh"):
    """The mean of log cosh(x - t). See `gpunn.losses.log_cosh`.

    >>> gpunn.metrics.LogCoshError()([[0.0, 0.0]], [[0.0, 1.0]])  # 0.21689
    """


def _squared_errors(y_true: Any, y_pred: Any) -> Tensor:
    """(t - x)², elementwise."""
    t, x = targets_and_predictions("root_mean_squared_error", y_true, y_pred)
    return ops.square(ops.subtract(t, x))


class RootMeanSquaredError(StandardMetric, of=_squared_errors, name="root_mean_squared_error"):
    """The root of the mean of (t - x)² over everything seen.

    >>> gpunn.metrics.RootMeanSquaredError()([[0.0, 0.0]], [[2.0, 2.0]])  # 2.0
    """

    def result(self) -> Tensor:
        with no_grad():
            return ops.sqrt(super().result())


def _cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Σ t x / (‖t‖ ‖x‖) over the axis: unlike the loss, 1 for one direction."""
    return ops.negative(losses.cosine_similarity(y_true, y_pred, axis))


class CosineSimilarity(StandardMetric, of=_cosine_similarity, name="cosine_similarity"):
    """The mean of Σ t x / (‖t‖ ‖x‖) along an axis: 1 where the directions are one.

    >>> gpunn.metrics.CosineSimilarity()([[0.0, 1.0]], [[3.0, 4.0]])  # 0.8
    """


# --- probabilities ---


class BinaryCrossentropy(
    StandardMetric, of=losses.binary_crossentropy, order="name dtype from_logits label_smoothing"
):
    """The mean of -t log p - (1 - t) log(1 - p). See `gpunn.losses.binary_crossentropy`.

    >>> gpunn.metrics.BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]])  # log 2
    """


class CategoricalCrossentropy(StandardMetric, of=losses.categorical_crossentropy):
    """The mean of -Σ t log p. See `gpunn.losses.categorical_crossentropy`.

    >>> gpunn.metrics.CategoricalCrossentropy(from_logits=True)([[0.0, 1.0]], [[0.0, 0.0]])  # log 2
    """


class SparseCategoricalCrossentropy(StandardMetric, of=losses.sparse_categorical_crossentropy):
    """The mean of -log p[t]. See `gpunn.losses.sparse_categorical_crossentropy`.

    Labels equal to `ignore_class` do not count.

    >>> gpunn.metrics.SparseCategoricalCrossentropy(from_logits=True)([1], [[0.0, 0.0]])  # log 2
    """


class KLDivergence(StandardMetric, of=losses.kl_divergence):
    """The mean of Σ t log(t / p). See `gpunn.losses.kl_divergence`.

    >>> gpunn.metrics.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])  # 0.14384
    """


class Poisson(StandardMetric, of=losses.poisson):
    """The mean of x - t log x, for counts t. See `gpunn.losses.poisson`.

    >>> gpunn.metrics.Poisson()([[1.0, 2.0]], [[1.0, 2.0]])  # 0.80685
    """


# --- margins ---


class Hinge(StandardMetric, of=losses.hinge):
    """The mean of max(1 - t x, 0), for targets -1 and 1 (or 0 and 1).

    >>> gpunn.metrics.Hinge()([[-1.0, 1.0]], [[0.5, 0.5]])  # 1.0
    """


class SquaredHinge(StandardMetric, of=losses.squared_hinge):
    """The mean of max(1 - t x, 0)², for targets -1 and 1 (or 0 and 1).

    >>> gpunn.metrics.SquaredHinge()([[-1.0, 1.0]], [[0.5, 0.5]])  # 1.25
    """


class CategoricalHinge(StandardMetric, of=losses.categorical_hinge):
    """The mean of max(1 + max (1 - t) x - Σ t x, 0), for one-hot targets.

    >>> gpunn.metrics.CategoricalHinge()([[0.0, 1.0]], [[0.3, 0.6]])  # 0.7
    """
