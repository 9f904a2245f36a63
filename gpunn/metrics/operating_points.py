"""The best of one share where another reaches a value: a point of the ROC or the PR curve."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.arguments import whole_number
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.metrics.confusion import ConfusionMetric, even_thresholds
from gpunn.ops.confusion import KINDS

#: The shares by name: part / (part + other).
_SHARES = {
    "sensitivity": ("true_positives", "false_negatives"),
    "recall": ("true_positives", "false_negatives"),
    "specificity": ("true_negatives", "false_positives"),
    "precision": ("true_positives", "false_positives"),
}


class _OperatingPoint(ConfusionMetric):
    """max of `_best` over the thresholds at which `_given` is at least `value`; 0 if nowhere."""

    _best: str
    _given: str

    def __init__(
        self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any
    ):
        kind = type(self).__name__
        if not 0 <= value <= 1:
            raise ValueError(f"{kind}: {self._given} must lie in [0, 1], received {value!r}.")
        num_thresholds = whole_number(f"{kind}: num_thresholds", num_thresholds)
        thresholds = [0.5] if num_thresholds == 1 else even_thresholds(num_thresholds)
        super().__init__(thresholds, name, dtype)
        self.thresholds, self.num_thresholds = thresholds, num_thresholds
        self.value, self.class_id = value, class_id
        setattr(self, self._given, value)
        self._add_counts(*KINDS)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch; weights have the shape of the targets, or that of their first axes."""
        self._count(y_true, y_pred, sample_weight, class_id=self.class_id)

    def result(self) -> Tensor:
        with no_grad():
            given, best = self._share(*_SHARES[self._given]), self._share(*_SHARES[self._best])
            return ops.max(ops.where(ops.greater_equal(given, self.value), best, 0.0))

    def get_config(self) -> dict[str, Any]:
        options = {"class_id": self.class_id, "num_thresholds": self.num_thresholds}
        return {**super().get_config(), **options, self._given: self.value}


class SensitivityAtSpecificity(_OperatingPoint):
    """The largest tp / (tp + fn) where tn / (tn + fp) is at least `specificity`.

    Over `num_thresholds` even thresholds in [0, 1]; of `class_id` of the last axis, if given.

    >>> gpunn.metrics.SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])  # 0.5
    """

    _best, _given = "sensitivity", "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(_OperatingPoint):
    """The largest tn / (tn + fp) where tp / (tp + fn) is at least `sensitivity`.

    >>> gpunn.metrics.SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])  # 2/3
    """

    _best, _given = "specificity", "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(_OperatingPoint):
    """The largest tp / (tp + fp) where tp / (tp + fn) is at least `recall`.

    >>> gpunn.metrics.PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])  # 0.5
    """

    _best, _given = "precision", "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(_OperatingPoint):
    """The largest tp / (tp + fn) where tp / (tp + fp) is at least `precision`.

    >>> gpunn.metrics.RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])  # 0.5
    """

    _best, _given = "recall", "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(precision, num_thresholds, class_id, name, dtype)
