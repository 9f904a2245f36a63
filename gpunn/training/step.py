"""Step: what happens with one batch: forward, loss, backward, update, metrics."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.tape import Tape, no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.backend.protocol import Array
from gpunn.backend.threads import Sharing
from gpunn.changes import changes
from gpunn.errors import ShapeError, described
from gpunn.layers.context import calls
from gpunn.ops.accumulate import accumulate_mean
from gpunn.structure import leaves
from gpunn.tracebacks import warn_user
from gpunn.training.data import Batch, signature, to_tensors
from gpunn.training.describe import describe
from gpunn.training.recording import Recordings, quiet
from gpunn.utils.packing import pack_x_y_sample_weight

#: What a user's class may override without changing what a step does.
_HARMLESS = {"__init__", "build", "get_config", "from_config", "compile", "get_build_config"}


def can_record(model: Any) -> bool:
    """True if layers, loss, metrics and optimizer are gpunn's own: all their work is kernels."""
    parts = [*model._flatten_layers(), *model.metrics]
    if model.compiled:
        parts += model._compile_metrics.objects
        parts += model._compile_loss.objects
        parts += map(type, model.optimizer.flattened())  # a learning rate may be a user's
    return all(_is_ours(part) for part in parts)


def _is_ours(part: Any) -> bool:
    functions = [value for value in getattr(part, "__dict__", {}).values() if callable(value)]
    if isinstance(part, type) or not hasattr(type(part), "get_config"):
        functions.append(part)  # an optimizer's class, or a function
    else:
        functions += [
            value
            for cls in type(part).__mro__
            for name, value in vars(cls).items()
            if callable(value) and name not in _HARMLESS
        ]
    return all(_module(value).startswith(("gpunn.", "builtins")) for value in functions)


def _module(value: Any) -> str:
    return str(getattr(value, "__module__", None) or "builtins")


#: What a model's class may override to train in its own way.
HOOKS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")


def overrides(model: Any, method: str) -> bool:
    """Whether the model has a method of the user's own under this name."""
    return not getattr(type(model), method).__module__.startswith("gpunn.")


class Step:
    """The steps of one compiled model. All of its work is kernels on arrays of the device.

    With `records`, batches of one signature are recorded and replayed (`gpunn.training.recording`).
    """

    def __init__(self, model: Any, records: bool = False):
        self.model = model
        self.variables: Sequence[Variable] = model.trainable_variables
        self.outputs: Any = None  # symbols of the model's outputs, found when labels are checked
        self.recordings = {name: Recordings() for name in ("train", "test", "predict") if records}
        self._optimizer = model.optimizer
        self._sharing = Sharing()
        self._places: list[Array] | None = None  # where the gradients go
        self._seed: Array | None = None
        self._own = {name for name in HOOKS if overrides(model, name)}
        self._asked_at = changes.count  # when it was known that the model's steps are recorded

    def is_outdated(self) -> bool:
        """Whether it was made for other trainable weights, another optimizer or other settings."""
        now = self.model.trainable_variables
        if [*map(id, self.variables)] != [*map(id, now)] or not self.has_optimizer():
            return True
        if self._asked_at == changes.count:
            return False
        self._asked_at = changes.count
        return bool(self.recordings) != self.model.records_steps()

    def has_optimizer(self) -> bool:
        """Whether the model still learns by the optimizer that this step was made for."""
        return self._optimizer is self.model.optimizer

    def train(self, x: Any, y: Any, sample_weight: Any, owned: bool = False) -> Any:
        """One update of the weights. `owned`: the arrays are ours to keep, nobody else's.

        Returns what the model's own `train_step` returns; None of the default one.
        """
        function = self._own_train if "train_step" in self._own else self._train
        return self._run("train", function, (x, y, sample_weight), owned)

    def place_for(self, batch: Batch) -> Any:
        """Where to make such batches: in the inputs of a recorded `train`, which are not copied.

        That is `batch` before there are any. None: what runs eagerly may keep its batches.
        """
        recordings = self.recordings.get("train")
        if recordings is None:
            return None
        recorded = recordings.known(signature(batch))
        if recorded is None:
            return batch
        return None if recorded.problem is not None else recorded.host_inputs() or batch

    def test(self, x: Any, y: Any, sample_weight: Any) -> Any:
        """Count one batch in the metrics. Returns what the model's own `test_step` returns."""
        function = self._own_test if "test_step" in self._own else self._test
        return self._run("test", function, (x, y, sample_weight))

    def predict(self, x: Any) -> Any:
        """The outputs for one batch."""
        own = "predict_step" in self._own
        return self._run("predict", self.model.predict_step if own else self._predict, (x,))

    def describe(self, times: bool = False) -> None:
        """Print what was recorded: the kernels in order, their arrays, options and bytes.

        `times`: run each kernel on its own and print the median time; all values are put back.

        >>> model.step.describe()
        """
        describe(self.model.name, self.recordings, times)

    def try_loss(self, x: Any, y: Any, sample_weight: Any) -> None:
        """Compute the compiled loss and drop it: what does not fit shows here, early."""
        loss = self.model._compile_loss
        if loss and not self._own & {"train_step", "compute_loss"}:
            with no_grad(), quiet():
                y_pred = self._predict(to_tensors(x))
                names = self.model.output_names
                try:
                    loss(to_tensors(y), y_pred, to_tensors(sample_weight), names)
                except ShapeError as error:
                    rows = leaves(y_pred)[0].shape[0]
                    error.args = (f"{error} (Tried on the first {rows} samples.)",)
                    raise

    def _run(self, name: str, function: Any, batch: tuple, owned: bool = False) -> Any:
        with quiet():
            recordings = self.recordings.get(name)
            if recordings is None:
                return self._sharing.run(function, *to_tensors(batch))
            recorded = recordings.find(signature(batch))
            result = self._sharing.run(recorded, function, batch, owned)
            if recorded.problem is not None and not self.model._told_why_eager:
                self.model._told_why_eager = True
                warn_user(
                    f"The step of '{self.model.name}' is not recorded and runs eagerly: "
                    f"{recorded.problem}. compile(jit_compile=False) silences this.",
                )
            return result

    def _own_train(self, x: Any, y: Any, sample_weight: Any) -> Any:
        return self._own_logs("train_step", x, y, sample_weight)

    def _own_test(self, x: Any, y: Any, sample_weight: Any) -> Any:
        return self._own_logs("test_step", x, y, sample_weight)

    def _own_logs(self, method: str, x: Any, y: Any, sample_weight: Any) -> Any:
        logs = getattr(self.model, method)(pack_x_y_sample_weight(x, y, sample_weight))
        if not isinstance(logs, Mapping):
            raise ValueError(
                f"{method}() of '{self.model.name}' must return a dict of logs, received "
                f"{described(logs)}. End it by return {{'loss': loss}}, or "
                f"self.get_metrics_result()."
            )
        return logs

    def _train(self, x: Any, y: Any, sample_weight: Any) -> Any:
        model, optimizer = self.model, self.model.optimizer
        if self.variables and self._places is None:  # the weights move: before there is much else
            self._places = optimizer.gradient_buffers(self.variables)
        with Tape() as tape:
            y_pred = model(x, training=True)
            loss = self.loss(x, y, y_pred, sample_weight, True)
            scaled = optimizer.scale_loss(loss)
        logs = self._count(x, y, y_pred, loss, sample_weight)  # before the update: may refuse
        if self.variables:
            by_rows = optimizer.takes_rows(self.variables)
            seeds = {id(scaled): self._one(scaled)}
            found = tape.backward(seeds, self.variables, self._places, by_rows=by_rows)
            optimizer.apply_buffers(self.variables, found)
        return logs

    def _test(self, x: Any, y: Any, sample_weight: Any) -> Any:
        y_pred = self.model(x, training=False)
        loss = self.loss(x, y, y_pred, sample_weight, False)
        return self._count(x, y, y_pred, loss, sample_weight)

    def _predict(self, x: Any) -> Any:
        return self.model(x, training=False)

    def loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Tensor:
        """What training minimizes: `compute_loss` of the model."""
        model = self.model
        if "compute_loss" not in self._own:  # the same, without a search for layers and weights
            penalties = [v.regularizer(v) for v in self.variables if v.regularizer is not None]
            return model._total_loss(y, y_pred, sample_weight, [*calls.losses, *penalties])
        if takes(model.compute_loss, "training"):
            return model.compute_loss(x, y, y_pred, sample_weight, training=training)
        return model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)

    def _one(self, loss: Tensor) -> Array:
        """d loss / d loss"""
        if self._seed is None or self._seed.dtype != loss.data.dtype:
            self._seed = asarray(1.0, loss.dtype, like=loss.data)
        return self._seed

    def _count(self, x: Any, y: Any, y_pred: Any, loss: Tensor, sample_weight: Any) -> Any:
        """Add the batch to the metrics; the logs of a model that computes its own."""
        own = "compute_metrics" in self._own
        if y is not None and not own:  # first: a metric may refuse the batch
            names = self.model.output_names
            self.model._compile_metrics.update_state(y, y_pred, sample_weight, names)
        rows = (x if isinstance(x, Tensor) else leaves(x)[0]).shape[0]
        tracker = self.model._loss_tracker
        accumulate_mean(tracker.total, tracker.count, loss, scale=rows, rows=rows)
        return self.model.compute_metrics(x, y, y_pred, sample_weight) if own else None


def takes(function: Any, name: str) -> bool:
    """Whether a function has a parameter of this name, or takes any keyword."""
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)
