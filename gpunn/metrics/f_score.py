"""F scores: the harmonic mean of precision and recall, and its relatives."""

from __future__ import annotations

from typing import Any

from gpunn import config, ops
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError, unknown_name
from gpunn.losses.alignment import as_tensor
from gpunn.metrics.metric import Metric
from gpunn.metrics.reduction import broadcasting

_AVERAGES = (None, "micro", "macro", "weighted")
_NOTHING = 1e-9  # a greatest prediction below it names no class
_NAMES = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")


def _above_threshold(p: Tensor, threshold: float | None) -> Tensor:
    """[p > threshold], or [p is the greatest of its row], as numbers."""
    if threshold is not None:
        return ops.cast(ops.greater(p, threshold), p.dtype)
    greatest = ops.greater_equal(p, ops.max(p, axis=-1, keepdims=True))
    return ops.cast(ops.logical_and(greatest, ops.greater(ops.abs(p), _NOTHING)), p.dtype)


class FBetaScore(Metric):
    """(1 + β²) P R / (β² P + R) of precision P = tp / (tp + fp) and recall R = tp / (tp + fn).

    y_true and y_pred `(samples, classes)`. A class is called where its prediction is > `threshold`
    or, if that is None, where it is the greatest of its row. `average`: None gives one score a
    class, "macro" their mean, "weighted" their mean weighted by the targets, "micro" the score of
    the counts of all classes together. Weights `(samples,)`. Denominators are epsilon larger.

    >>> y = [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    >>> p = [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]
    >>> gpunn.metrics.FBetaScore(beta=2.0, threshold=0.5)(y, p)  # [0.3846, 0.9090, 0.8333]
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ):
        kind = type(self).__name__
        if average not in _AVERAGES:
            raise unknown_name(f"average of {kind}", average, [str(a) for a in _AVERAGES])
        if not isinstance(beta, float) or beta <= 0:
            raise ValueError(f"{kind}: beta must be a float > 0, received {beta!r}.")
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            raise ValueError(
                f"{kind}: threshold must be a float in (0, 1] or None, received {threshold!r}."
            )
        super().__init__(dtype, name)
        self.average, self.beta, self.threshold = average, beta, threshold
        self._counts: list[Variable] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        with no_grad():
            p = as_tensor(y_pred, self._dtype)
            t = as_tensor(y_true, self._dtype, like=p)
            if p.ndim != 2 or t.shape != p.shape:
                raise ShapeError(
                    f"{self.name}: y_true and y_pred must both have shape (samples, classes), "
                    f"received y_true {t.shape} and y_pred {p.shape}. Make labels one-hot."
                )
            if not self._counts:
                shape = () if self.average == "micro" else p.shape[1:]
                self._counts = self._add_late(_NAMES, shape, p)
            called = _above_threshold(p, self.threshold)
            hits = ops.multiply(called, t)
            parts = hits, ops.subtract(called, hits), ops.subtract(t, hits), t
            for variable, part in zip(self._counts, parts, strict=True):
                if sample_weight is not None:
                    part = ops.multiply(*broadcasting(self.name, part, sample_weight))
                variable.assign_add(ops.sum(part, axis=None if self.average == "micro" else 0))

    def result(self) -> Tensor:
        """A number, or without `average` one a class."""
        if not self._counts:
            raise ValueError(
                f"{self.name}: there is no result before the first batch, as the number of classes "
                f"is not known. Call update_state first."
            )
        with no_grad():
            tp, fp, fn, support = self._counts
            epsilon = config.epsilon()
            precision = ops.divide(tp, ops.add(ops.add(tp, fp), epsilon))
            recall = ops.divide(tp, ops.add(ops.add(tp, fn), epsilon))
            squared = self.beta**2
            below = ops.add(ops.add(ops.multiply(squared, precision), recall), epsilon)
            score = ops.multiply(ops.divide(ops.multiply(precision, recall), below), 1 + squared)
            if self.average is None:
                return score
            if self.average == "weighted":
                weights = ops.divide(support, ops.add(ops.sum(support), epsilon))
                return ops.sum(ops.multiply(score, weights))
            return ops.mean(score)

    def get_config(self) -> dict[str, Any]:
        options = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **options}


class F1Score(FBetaScore):
    """2 P R / (P + R): the `FBetaScore` with β = 1.

    >>> gpunn.metrics.F1Score(average="macro")([[1, 0], [0, 1]], [[0.8, 0.2], [0.6, 0.4]])  # 1 / 3
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ):
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {key: value for key, value in super().get_config().items() if key != "beta"}
