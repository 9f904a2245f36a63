"""What `compile` made: the loss and the metrics, under the names the user gave them."""

from __future__ import annotations

from typing import Any

from gpunn import losses as losses_module
from gpunn import metrics as metrics_module
from gpunn.metrics.resolve import resolve_accuracy, resolve_crossentropy
from gpunn.naming import to_snake_case

_BY_SHAPES = {
    "accuracy": resolve_accuracy,
    "acc": resolve_accuracy,
    "crossentropy": resolve_crossentropy,
    "ce": resolve_crossentropy,
}


def compile_loss(loss: Any) -> Any:
    """A `Loss` of a name, function or instance; None stays None."""
    if isinstance(loss, (list, tuple, dict)):
        raise ValueError(
            f"This model has one output and takes one loss, received {type(loss).__name__}."
        )
    found = losses_module.get(loss)
    if found is None or isinstance(found, losses_module.Loss):
        return found
    name = getattr(found, "__name__", to_snake_case(type(found).__name__))
    return losses_module.LossFunctionWrapper(found, name=name)


class CompiledMetrics:
    """The metrics of one output. Names that depend on shapes are resolved at the first batch."""

    def __init__(self, metrics: Any, weighted_metrics: Any):
        self._given = [(m, False) for m in _listed("metrics", metrics)]
        self._given += [(m, True) for m in _listed("weighted_metrics", weighted_metrics)]
        plain = {_key(m) for m, weighted in self._given if not weighted}
        self._names = [
            f"weighted_{_key(m)}" if weighted and _key(m) in plain else _key(m)
            for m, weighted in self._given
        ]
        duplicates = {n for n in self._names if self._names.count(n) > 1}
        if duplicates:
            raise ValueError(f"Two metrics have the same name: {sorted(duplicates)}. Rename one.")
        self.metrics: list[Any] | None = None
        for metric, _ in self._given:
            if metric not in _BY_SHAPES:
                _metric(metric)  # unknown names raise now, not at the first batch

    @property
    def objects(self) -> list[Any]:
        """The metrics and functions that were given as such, not by name."""
        return [given for given, _ in self._given if not isinstance(given, str)]

    def build(self, y_true: Any, y_pred: Any) -> None:
        """Make the metric objects, given the first targets and predictions."""
        self.metrics = []
        for (given, _), name in zip(self._given, self._names, strict=True):
            if isinstance(given, str) and given in _BY_SHAPES:
                metric = _BY_SHAPES[given](tuple(y_true.shape), tuple(y_pred.shape))(name=name)
            else:
                metric = _metric(given, name if isinstance(given, str) else None)
            self.metrics.append(metric)

    def update(self, y_true: Any, y_pred: Any, sample_weight: Any) -> None:
        """Count one batch in."""
        if self.metrics is None:
            self.build(y_true, y_pred)
        for metric, (_, weighted) in zip(self.metrics or (), self._given, strict=True):
            metric.update_state(y_true, y_pred, sample_weight if weighted else None)

    def results(self) -> dict[str, Any]:
        """Values by name."""
        return {n: m.result() for n, m in zip(self._names, self.metrics or (), strict=False)}

    def reset(self) -> None:
        """Forget what was counted."""
        for metric in self.metrics or ():
            metric.reset_state()


def _listed(kind: str, metrics: Any) -> list[Any]:
    if metrics is None:
        return []
    if isinstance(metrics, dict):
        raise ValueError(f"This model has one output and takes {kind} as a list, received a dict.")
    given = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
    for metric in given:
        if isinstance(metric, (list, tuple, set)):
            raise ValueError(
                f"{kind} must be a list of names, metrics or functions, received {metric!r} in it."
            )
    return given


def _key(metric: Any) -> str:
    if isinstance(metric, str):
        return metric
    if isinstance(metric, type):
        return to_snake_case(metric.__name__)
    return str(getattr(metric, "name", None) or getattr(metric, "__name__", type(metric).__name__))


def _metric(given: Any, name: str | None = None) -> Any:
    found = metrics_module.get(given)
    if isinstance(found, metrics_module.Metric):
        return found
    if not callable(found):
        raise ValueError(f"Cannot interpret {given!r} as a metric.")
    return metrics_module.MeanMetricWrapper(found, name=name or _key(found))
