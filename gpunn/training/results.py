"""What a model has counted: its metrics under the labels of the logs, and their order in lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpunn.training.compiled import CompiledLoss, CompiledMetrics, by_label


class Results:
    """The metrics of a compiled model and those of its own, and their results so far."""

    optimizer: Any = None
    _compile_loss: CompiledLoss
    _compile_metrics: CompiledMetrics
    _loss_tracker: Any = None

    @property
    def compiled(self) -> bool:
        """True after `compile`."""
        return self.optimizer is not None

    @property
    def metrics(self) -> list[Any]:
        """The loss's running mean, the compiled metrics as one ("compile_metrics"), the losses of
        several outputs, and the metrics that are attributes of the model and its layers.
        """
        own = super().metrics  # type: ignore[misc]
        if not self.compiled:
            return own
        compiled = [self._compile_metrics] if self._compile_metrics else []
        return [self._loss_tracker, *compiled, *self._compile_loss.trackers.values(), *own]

    def _compiled_results(self) -> dict[str, Any]:
        """What `compile` made, by its label in the logs."""
        if not self.compiled:
            return {}
        compiled = self._compile_metrics.metrics or {}
        return {"loss": self._loss_tracker, **compiled, **self._compile_loss.trackers}

    @property
    def metrics_names(self) -> list[str]:
        """The names in the order in which `evaluate` returns values."""
        return list(self.get_metrics_result())

    def reset_metrics(self) -> None:
        """Forget what the metrics counted."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The metrics so far as tensors of the device, by their label."""
        labels = {id(metric): label for label, metric in self._compiled_results().items()}
        return self._ordered(by_label({labels.get(id(m), m.name): m for m in self.metrics}))

    def _ordered(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """The loss, metrics, and losses of outputs; after them, by name, metrics of outputs that
        have names, and what else a step of the model's own returns.
        """
        known = self._compiled_results()
        if self.compiled and self._compile_metrics.by_output:
            known = {k: v for k, v in known.items() if k not in self._compile_metrics.metrics}  # type: ignore[operator]
        first = [*known, *(metric.name for metric in self.metrics)]
        ordered = {name: results[name] for name in first if name in results}
        return ordered | {k: results[k] for k in sorted(set(results) - set(ordered))}

    def _logs(self, own: Any = None) -> dict[str, Any]:
        """The metrics so far as Python numbers, by name; waits for the device.

        `own`: what the model's own step returned; it stands where it has other names.
        """
        results = self.get_metrics_result()
        order = sorted(results)
        if isinstance(own, Mapping):
            own = _flat(own)
            order = list(own)
            results = results if set(own) == set(results) else own
        return {name: _plain(results[name]) for name in order}

    def _as_list(self, logs: Mapping[str, Any]) -> Any:
        """Logs as a list in the order of `metrics_names`; one alone as itself."""
        values = list(self._ordered(logs).values())
        return values[0] if len(values) == 1 else values


def _flat(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Logs by name, in which a result that is a dict has given way to its parts."""
    found: dict[str, Any] = {}
    for name, value in sorted(logs.items()):
        found.update(_flat(value) if isinstance(value, Mapping) else {name: value})
    return found


def _plain(value: Any) -> Any:
    """A number as Python's, more of them as an array."""
    array = np.asarray(value)
    return array.item() if array.size == 1 else array
