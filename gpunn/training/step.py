"""Step: what happens with one batch: forward, loss, backward, update, metrics."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from gpunn.autodiff.tape import Tape, no_grad
from gpunn.autodiff.tensor import Tensor, asarray
from gpunn.autodiff.variable import Variable
from gpunn.backend.protocol import Array
from gpunn.backend.threads import leading
from gpunn.changes import changes
from gpunn.layers.context import calls
from gpunn.ops.accumulate import accumulate_mean
from gpunn.training.data import leaves, signature, to_tensors
from gpunn.training.describe import describe
from gpunn.training.recording import Recordings, quiet


def can_record(model: Any) -> bool:
    """True if layers, loss, metrics and optimizer are gpunn's own: all their work is kernels."""
    parts = [*model._flatten_layers(), *model.metrics]
    if model.compiled:
        parts += model.compiled_metrics.objects
        parts += [model.loss] if model.loss is not None else []
        parts += [type(model.optimizer)]  # its learning rate may be a user's function
    return all(_is_ours(part) for part in parts)


def _is_ours(part: Any) -> bool:
    functions = [value for value in getattr(part, "__dict__", {}).values() if callable(value)]
    return all(str(getattr(v, "__module__", "")).startswith("gpunn.") for v in [part, *functions])


class Step:
    """The steps of one compiled model. All of its work is kernels on arrays of the device.

    With `records`, batches of one signature are recorded and replayed (`gpunn.training.recording`).
    """

    def __init__(self, model: Any, records: bool = False):
        self.model = model
        self.variables: Sequence[Variable] = model.trainable_variables
        self.classes: int | None = None  # outputs of the model, found when labels are checked
        self.recordings = {name: Recordings() for name in ("train", "test", "predict") if records}
        self.buffers: Any = None  # of the batches of the last `fit`: recorded inputs
        self._optimizer = model.optimizer
        self._places: list[Array] | None = None  # where the gradients go
        self._seed: Array | None = None
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

    def train(self, x: Any, y: Any, sample_weight: Any, owned: bool = False) -> None:
        """One update of the weights. `owned`: the arrays are ours to keep, nobody else's."""
        self._run("train", self._train, (x, y, sample_weight), owned)

    def test(self, x: Any, y: Any, sample_weight: Any) -> None:
        """Count one batch in the metrics."""
        self._run("test", self._test, (x, y, sample_weight))

    def predict(self, x: Any) -> Any:
        """The outputs for one batch."""
        return self._run("predict", self._predict, (x,))

    def describe(self, times: bool = False) -> None:
        """Print what was recorded: the kernels in order, their arrays, options and bytes.

        `times`: run each kernel on its own and print the median time; all values are put back.

        >>> model.step.describe()
        """
        describe(self.model.name, self.recordings, times)

    def try_loss(self, x: Any, y: Any, sample_weight: Any) -> None:
        """Compute the compiled loss and drop it: what does not fit shows here, early."""
        if self.model.loss is not None:
            with no_grad(), quiet():
                y_pred = self._predict(to_tensors(x))
                self.model.loss(to_tensors(y), y_pred, to_tensors(sample_weight))

    def _run(self, name: str, function: Any, batch: tuple, owned: bool = False) -> Any:
        with quiet(), leading():
            recordings = self.recordings.get(name)
            if recordings is None:
                return function(*to_tensors(batch))
            recorded = recordings.find(signature(batch))
            result = recorded(function, batch, owned)
            if recorded.problem is not None and not self.model._told_why_eager:
                self.model._told_why_eager = True
                warnings.warn(
                    f"The step of '{self.model.name}' is not recorded and runs eagerly: "
                    f"{recorded.problem}. compile(jit_compile=False) silences this.",
                    stacklevel=5,
                )
            return result

    def _train(self, x: Any, y: Any, sample_weight: Any) -> None:
        model = self.model
        with Tape() as tape:
            y_pred = model(x, training=True)
            loss = self.loss(y, y_pred, sample_weight)
        self._count(x, y, y_pred, loss, sample_weight)  # before the update: it may refuse shapes
        if self.variables:
            optimizer = model.optimizer
            if self._places is None:
                self._places = optimizer.gradient_buffers(self.variables)
            by_rows = optimizer.takes_rows(self.variables)
            seeds = {id(loss): self._one(loss)}
            found = tape.backward(seeds, self.variables, self._places, by_rows=by_rows)
            optimizer.apply_buffers(self.variables, found)

    def _test(self, x: Any, y: Any, sample_weight: Any) -> None:
        y_pred = self.model(x, training=False)
        loss = self.loss(y, y_pred, sample_weight)
        self._count(x, y, y_pred, loss, sample_weight)

    def _predict(self, x: Any) -> Any:
        return self.model(x, training=False)

    def loss(self, y: Any, y_pred: Any, sample_weight: Any) -> Tensor:
        """The compiled loss, what layers added, and the regularization of the weights."""
        parts = list(calls.losses)
        if self.model.loss is not None:
            parts.insert(0, self.model.loss(y, y_pred, sample_weight))
        parts += [v.regularizer(v) for v in self.variables if v.regularizer is not None]
        if not parts:
            raise ValueError(
                f"Nothing to minimize: model '{self.model.name}' was compiled without a loss, and "
                f"no layer adds one. Call compile(loss=...)."
            )
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def _one(self, loss: Tensor) -> Array:
        """d loss / d loss"""
        if self._seed is None or self._seed.dtype != loss.data.dtype:
            self._seed = asarray(1.0, loss.dtype, like=loss.data)
        return self._seed

    def _count(self, x: Any, y: Any, y_pred: Any, loss: Tensor, sample_weight: Any) -> None:
        rows = (x if isinstance(x, Tensor) else leaves(x)[0]).shape[0]
        tracker = self.model.loss_tracker
        accumulate_mean(tracker.total, tracker.count, loss, scale=rows, rows=rows)
        if y is not None:
            self.model.compiled_metrics.update(y, y_pred, sample_weight)
