"""R², the coefficient of determination."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.tape import no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError, unknown_name
from gpunn.losses.alignment import targets_and_predictions
from gpunn.metrics.metric import Metric
from gpunn.metrics.reduction import broadcasting
from gpunn.ops.accumulate import divide_no_nan

_AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")
_NAMES = ("squared_sum", "sum", "residual", "count")


class R2Score(Metric):
    """1 - Σ w (t - y)² / Σ w (t - t̄)² of each output, t̄ = Σ w t / Σ w.

    y_true and y_pred `(samples, outputs)`; weights `(samples,)`. `class_aggregation`: the mean over
    the outputs, the mean weighted by Σ w (t - t̄)², or None for one score an output. An output
    whose targets are all equal scores 0, or NaN if it is predicted exactly.

    With p = `num_regressors` > 0, adjusted for so many: 1 - (1 - R²)(n - 1) / (n - p - 1), n the
    number of all targets; where n ≤ p + 1 it is not adjusted.

    >>> gpunn.metrics.R2Score()([[1], [4], [3]], [[2], [4], [4]])  # 0.5714
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ):
        if class_aggregation not in _AGGREGATIONS:
            names = [str(a) for a in _AGGREGATIONS]
            raise unknown_name("class_aggregation of R2Score", class_aggregation, names)
        if num_regressors < 0:
            raise ValueError(f"R2Score: num_regressors must be >= 0, received {num_regressors!r}.")
        super().__init__(dtype, name)
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self._sums: list[Variable] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        with no_grad():
            t, y = targets_and_predictions(self.name, y_true, y_pred)
            t, y = ops.cast(t, self.dtype), ops.cast(y, self.dtype)
            if t.ndim != 2:
                raise ShapeError(
                    f"{self.name}: y_true and y_pred must have shape (samples, outputs), received "
                    f"y_true {t.shape} and y_pred {y.shape}. Reshape one output to (samples, 1)."
                )
            if not self._sums:
                self._sums = self._add_late(_NAMES, t.shape[1:], t)
            weights = ops.ones_like(t)
            if sample_weight is not None:
                weights = ops.multiply(weights, broadcasting(self.name, t, sample_weight)[1])
            weighted = ops.multiply(t, weights)
            errors = ops.multiply(ops.square(ops.subtract(t, y)), weights)
            parts = ops.multiply(t, weighted), weighted, errors, weights
            for variable, part in zip(self._sums, parts, strict=True):
                variable.assign_add(ops.sum(part, axis=0))
            self.num_samples.assign_add(float(t.size))

    def result(self) -> Tensor:
        """A number, or without `class_aggregation` one an output."""
        if not self._sums:
            raise ValueError(
                f"{self.name}: there is no result before the first batch, as the number of outputs "
                f"is not known. Call update_state first."
            )
        with no_grad():
            squares, total, errors, count = self._sums
            spread = ops.subtract(squares, ops.multiply(total, divide_no_nan(total, count)))
            constant = ops.where(ops.equal(errors, 0), float("nan"), 0.0)
            scores = ops.subtract(1.0, divide_no_nan(errors, spread))
            scores = ops.where(ops.equal(spread, 0), constant, scores)
            if self.class_aggregation == "uniform_average":
                scores = ops.mean(scores)
            elif self.class_aggregation == "variance_weighted_average":
                scores = ops.divide(ops.sum(ops.multiply(spread, scores)), ops.sum(spread))
            return self._adjusted(scores) if self.num_regressors else scores

    def _adjusted(self, scores: Tensor) -> Tensor:
        freedom = ops.subtract(self.num_samples, self.num_regressors + 1.0)
        factor = divide_no_nan(ops.subtract(self.num_samples, 1.0), freedom)
        adjusted = ops.subtract(1.0, ops.multiply(ops.subtract(1.0, scores), factor))
        return ops.where(ops.greater(freedom, 0), adjusted, scores)

    def get_config(self) -> dict[str, Any]:
        options = {"class_aggregation": self.class_aggregation}
        return {**super().get_config(), **options, "num_regressors": self.num_regressors}
