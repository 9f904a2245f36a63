"""What `compile` made: losses and metrics of each output, under the names the user gave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn import losses as losses_module
from gpunn import metrics as metrics_module
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.metrics.resolve import resolve_accuracy, resolve_crossentropy
from gpunn.naming import to_snake_case
from gpunn.ops.accumulate import accumulate_mean
from gpunn.structure import leaves, map_structure
from gpunn.training.outputs import Outputs

_BY_SHAPES = {
    "accuracy": resolve_accuracy,
    "acc": resolve_accuracy,
    "crossentropy": resolve_crossentropy,
    "ce": resolve_crossentropy,
}


def _loss(given: Any) -> Any:
    """A `Loss` of a name, function or instance; None stays None."""
    found = losses_module.get(given)
    if found is None or isinstance(found, losses_module.Loss):
        return found
    name = getattr(found, "__name__", to_snake_case(type(found).__name__))
    name = given if isinstance(given, str) else name
    return losses_module.LossFunctionWrapper(found, name=name)


class CompiledLoss:
    """Σ wᵢ Lᵢ over the outputs i that have a loss.

    `loss`: one for all outputs, or a list or dict of them; `loss_weights` likewise. With more than
    one, the mean of each Lᵢ is kept as `<output>_loss`.
    """

    def __init__(self, loss: Any, loss_weights: Any):
        is_config = isinstance(loss, Mapping) and "class_name" in loss
        self._given = _loss(loss) if is_config else map_structure(_loss, loss)
        self._weights = loss_weights
        self.objects = leaves(self._given)
        for weight in leaves(loss_weights):
            if isinstance(weight, bool) or not isinstance(weight, (int, float)):
                hint = " Metrics? Write metrics=[...]." if isinstance(weight, str) else ""
                raise ValueError(f"loss_weights must be numbers, received {weight!r}.{hint}")
        self.outputs: Outputs | None = None
        self.losses: list[Any] = []
        self.weights: list[float | None] = []
        self.trackers: dict[str, Any] = {}  # in the order of a dict of losses for a dict of outputs
        self._means: list[Any] = []  # the same in the order of the outputs

    def __bool__(self) -> bool:
        return self._given is not None

    def check(self, outputs: Outputs) -> None:
        """Refuse what does not fit the outputs."""
        outputs.spread("loss", self._given, share=True)
        outputs.spread("loss_weights", self._weights, share=True)

    def build(self, outputs: Outputs) -> None:
        """Decide which loss belongs to which output."""
        self.losses = outputs.spread("loss", self._given, share=True)
        left = isinstance(self._given, Mapping) and set(outputs.names or ()) - set(self._given)
        if left and outputs.keys is None:
            raise ValueError(
                f"The loss dict has the keys {sorted(self._given)}, the outputs are "
                f"{outputs.names}. Give one for each, None where there is none."
            )
        self.weights = outputs.spread("loss_weights", self._weights, share=outputs.count == 1)
        used = [i for i, loss in enumerate(self.losses) if loss is not None]
        if len(used) > 1:
            names = outputs.names or [getattr(loss, "name", "") for loss in self.losses]
            labels = _numbered([f"{names[i]}_loss" for i in used])
            self._means = [metrics_module.Mean(name=label) for label in labels]
            order = list(range(len(used)))
            if outputs.keys is not None and isinstance(self._given, Mapping):
                place = {name: at for at, name in enumerate(self._given)}
                order = sorted(order, key=lambda at: place[names[used[at]]])
            self.trackers = {labels[at]: self._means[at] for at in order}
        self.outputs = outputs

    def pairs(self, y: Any, y_pred: Any, names: Any) -> list[tuple[Any, Any, Any]]:
        """(loss, targets, predictions) of each output that has a loss."""
        outputs = self._built(y_pred, names)
        parts = zip(self.losses, outputs.spread("y", y), outputs.flat(y_pred), strict=True)
        return [part for part in parts if part[0] is not None]

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any, names: Any = None) -> Tensor:
        """The weighted sum for a batch."""
        if y_pred is None:
            raise ValueError("The model's call() returned None. It must return the outputs.")
        alone = self.weights == [None] and isinstance(y_pred, Tensor) and isinstance(y, Tensor)
        if alone and self.losses[0] is not None:  # as in most models
            return self.losses[0](y, y_pred, sample_weight)
        outputs = self._built(y_pred, names)
        total, means = None, iter(self._means)
        weights = outputs.spread("sample_weight", sample_weight, share=True)
        parts = outputs.spread("y", y), outputs.flat(y_pred), weights
        for loss, factor, t, x, w in zip(self.losses, self.weights, *parts, strict=True):
            if loss is None:
                continue
            if t is None:
                raise ValueError(
                    f"The output{outputs._listed()} has the loss '{loss.name}', but no targets. "
                    f"Give y for it, or None as its loss."
                )
            value = loss(t, x, w)
            if self._means:
                mean, rows = next(means), x.shape[0]
                accumulate_mean(mean.total, mean.count, value, scale=rows, rows=rows)
            value = value if factor is None else value * factor
            total = value if total is None else total + value
        if total is None:
            raise ValueError("All losses are None: there is nothing to minimize.")
        return total

    def _built(self, y_pred: Any, names: Any) -> Outputs:
        if self.outputs is None:
            self.build(Outputs(y_pred, names))
        return self.outputs  # type: ignore[return-value]


class CompiledMetrics(metrics_module.Metric):
    """The metrics of the outputs as one. Names that depend on shapes are resolved at a first batch.

    A `train_step` of the user's own finds it in `model.metrics`: it updates from ``(y, y_pred)``,
    its result is a dict.
    """

    def __init__(self, metrics: Any, weighted_metrics: Any, names: Any = None):
        super().__init__(name="compile_metrics")
        self._names = names  # of the outputs, where they are known already
        self._given = _checked("metrics", metrics), _checked("weighted_metrics", weighted_metrics)
        self.metrics: dict[str, Any] | None = None
        self._parts: list[tuple[int, Any, bool]] = []  # output, metric, weighted
        self._outputs: Any = None
        self.by_output = False  # whether the labels begin with names of outputs

    @property
    def objects(self) -> list[Any]:
        """The metrics and functions that were given as such, not by name."""
        return [given for given in leaves(self._given) if not isinstance(given, str)]

    def __bool__(self) -> bool:
        return bool(leaves(self._given))

    @property
    def variables(self) -> list[Any]:
        """The states of the metrics; none before the first batch."""
        return [v for metric in (self.metrics or {}).values() for v in metric.variables]

    def reset_state(self) -> None:
        """Forget what was counted, by metric objects also for another model."""
        for metric in [*self.objects, *(self.metrics or {}).values()]:
            if isinstance(metric, metrics_module.Metric):
                metric.reset_state()

    def result(self) -> dict[str, Any]:
        """The results by their labels in the logs; nothing before the first batch."""
        return by_label(self.metrics or {})

    def check(self, outputs: Outputs) -> None:
        """Refuse what does not fit the outputs."""
        _per_output("metrics", self._given[0], outputs)
        _per_output("weighted_metrics", self._given[1], outputs)

    def build(self, y: Any, y_pred: Any, names: Any = None) -> None:
        """Make the metric objects, given the first targets and predictions."""
        outputs = self._outputs = Outputs(y_pred, names)
        plain, weighted = (
            _per_output(kind, given, outputs)
            for kind, given in zip(("metrics", "weighted_metrics"), self._given, strict=True)
        )
        targets, predictions = outputs.spread("y", y), outputs.flat(y_pred)
        self.by_output = bool(outputs.names) and outputs.count > 1
        labels = []
        for i in range(outputs.count):
            prefix = f"{outputs.names[i]}_" if outputs.names and self.by_output else ""
            shared = {_key(given) for given in plain[i]}
            for given in plain[i]:
                labels.append(prefix + _key(given))
                self._parts.append((i, _made(given, targets[i], predictions[i]), False))
            for given in weighted[i]:
                name = f"weighted_{_key(given)}" if _key(given) in shared else _key(given)
                labels.append(prefix + name)
                self._parts.append((i, _made(given, targets[i], predictions[i]), True))
        metrics = [metric for _, metric, _ in self._parts]
        self.metrics = dict(zip(_numbered(labels), metrics, strict=True))

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, names: Any = None
    ) -> None:
        """Count one batch in; the weights concern `weighted_metrics` only."""
        if self.metrics is None:
            self.build(y_true, y_pred, names or self._names)
        if not self._parts:
            return
        ys, xs = self._outputs.spread("y", y_true), self._outputs.flat(y_pred)
        weights = self._outputs.spread("sample_weight", sample_weight, share=True)
        for i, metric, weighted in self._parts:
            if ys[i] is not None:
                try:
                    metric.update_state(ys[i], xs[i], weights[i] if weighted else None)
                except ShapeError as error:
                    error.args = (f"The metric '{metric.name}' refuses this. {error}",)
                    raise


def by_label(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The results of the metrics; one that is a dict brings its own labels."""
    found: dict[str, Any] = {}
    for label, metric in metrics.items():
        result = metric.result()
        found.update(result if isinstance(result, Mapping) else {label: result})
    return found


def _made(given: Any, y: Any, y_pred: Any) -> Any:
    """The metric that a name, class, function or object stands for, for such an output."""
    if isinstance(given, str) and given in _BY_SHAPES:
        if y is None:
            raise ValueError(f"The metric '{given}' needs targets: give y.")
        return _BY_SHAPES[given](tuple(y.shape), tuple(y_pred.shape))(name=given)
    return _metric(given, given if isinstance(given, str) else None)


def _numbered(labels: list[str]) -> list[str]:
    """The labels, where one comes again with a number: `mae`, `mae_1`."""
    counts: dict[str, int] = {}
    found = []
    for label in labels:
        n = counts[label] = counts.get(label, -1) + 1
        found.append(f"{label}_{n}" if n else label)
    return found


def _per_output(kind: str, given: Any, outputs: Outputs) -> list[list[Any]]:
    """The metrics of each output as a list."""
    if given is None:
        return [[] for _ in range(outputs.count)]
    if outputs.count == 1 and not isinstance(given, Mapping):
        return [leaves(given)]
    parts = outputs.spread(kind, given)
    return [leaves(part) if isinstance(part, (list, tuple)) else leaves([part]) for part in parts]


def _checked(kind: str, metrics: Any) -> Any:
    """The metrics as given; unknown names raise now, not at the first batch."""
    for given in leaves(metrics):
        if isinstance(given, set):
            raise ValueError(f"{kind} must be names, metrics or functions, received {given!r}.")
        if given not in _BY_SHAPES:
            _metric(given)
    return metrics


def _key(metric: Any) -> str:
    if isinstance(metric, str):
        return metric
    if isinstance(metric, type):
        return to_snake_case(metric.__name__)
    name = getattr(metric, "name", None) or getattr(metric, "__name__", type(metric).__name__)
    return str(name).strip("<>")  # of a lambda


def _metric(given: Any, name: str | None = None) -> Any:
    found = metrics_module.get(given)
    if isinstance(found, metrics_module.Metric):
        return found
    if not callable(found):
        raise ValueError(f"Cannot interpret {given!r} as a metric.")
    return metrics_module.MeanMetricWrapper(found, name=name or _key(found))
