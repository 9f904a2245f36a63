"""MonitorCallback: callbacks that watch one value of the logs, which is to fall or to rise."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from gpunn.callbacks.callback import Callback, Logs
from gpunn.tracebacks import warn_user

#: Metrics that are to rise, and those that are to fall; of others the user must say it.
_RISES = frozenset({
    "AUC", "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "ConcordanceCorrelation",
    "CosineSimilarity", "FBetaScore", "IoU", "PearsonCorrelation", "Precision",
    "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity",
    "TopKCategoricalAccuracy", "BinaryIoU", "F1Score", "MeanIoU", "OneHotIoU", "OneHotMeanIoU",
})  # fmt: skip
_FALLS = frozenset({
    "BinaryCrossentropy", "CategoricalCrossentropy", "CategoricalHinge", "Hinge", "KLDivergence",
    "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "Poisson", "RootMeanSquaredError",
    "SparseCategoricalCrossentropy", "SquaredHinge",
})  # fmt: skip


class MonitorCallback(Callback):
    """Base of the callbacks that ask whether the monitored value got better.

    `mode`: "min", "max", or "auto": the loss is to fall, metrics as their kind says. `min_delta`:
    how much better counts. `best` is the best value so far, `baseline` at the start;
    `monitor_op(a, b)` says whether a is better than b, once the first epoch is over.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warn_user(
                f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', received {mode!r}; "
                f"'auto' is taken.",
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best: Any = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[Any, Any], Any] | None = None

    def _set_monitor_op(self) -> None:
        """Find the direction; the metrics are there only after the first epoch."""
        if self.monitor_op is None:
            falls = self.mode == "min" if self.mode != "auto" else self._falls()
            self.monitor_op = operator.lt if falls else operator.gt
            if falls:
                self.min_delta *= -1

    def _falls(self) -> bool:
        """Whether the monitored value is to fall, by its name."""
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return True
        metrics = {metric.name: metric for metric in getattr(self.model, "metrics", ())}
        compiled = getattr(self.model, "_compile_metrics", None)  # under the names of the logs
        metrics |= (compiled and compiled.metrics) or {}
        kinds = {cls.__name__ for cls in type(metrics.get(name)).__mro__}
        if kinds & (_RISES | _FALLS):
            return not kinds & _RISES
        raise ValueError(
            f"{type(self).__name__}: it is not known whether monitor='{self.monitor}' is to rise "
            f"or to fall. Pass mode='max' or mode='min'."
        )

    def _is_improvement(self, value: Any, reference: Any) -> bool:
        if reference is None:
            return True
        assert self.monitor_op is not None
        return bool(self.monitor_op(value - self.min_delta, reference))

    def _missing(self, what: str, logs: Logs) -> None:
        warn_user(
            f"{type(self).__name__}: {what} depends on '{self.monitor}', which is not available. "
            f"Available metrics are: {', '.join(logs)}.",
        )
