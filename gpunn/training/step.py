"""Step: what happens with one batch: forward, loss, backward, update, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpunn.autodiff.tape import Tape, no_grad
from gpunn.autodiff.tensor import Tensor, asarray
from gpunn.autodiff.variable import Variable
from gpunn.backend import devices
from gpunn.backend.protocol import Array
from gpunn.layers.context import calls
from gpunn.ops.accumulate import accumulate_mean
from gpunn.training.data import leaves, map_structure


def to_tensors(value: Any) -> Any:
    """Arrays as tensors of the current device, in the structure they come in."""
    return map_structure(_to_tensor, value)


def _to_tensor(array: Array) -> Tensor:
    return Tensor(devices.current().asarray(array))


class Step:
    """The steps of one compiled model. All of its work is kernels on arrays of the device."""

    def __init__(self, model: Any):
        self.model = model
        self.variables: Sequence[Variable] = model.trainable_variables
        self.regularized = [v for v in self.variables if v.regularizer is not None]
        self.classes: int | None = None  # outputs of the model, found when labels are checked
        self._places: list[Array] | None = None  # where the gradients go
        self._seed: Array | None = None

    def is_outdated(self) -> bool:
        """Whether other weights are trainable now than when the step was made."""
        return [*map(id, self.variables)] != [*map(id, self.model.trainable_variables)]

    def train(self, x: Any, y: Any, sample_weight: Any) -> None:
        """One update of the weights."""
        model = self.model
        x, y, sample_weight = to_tensors(x), to_tensors(y), to_tensors(sample_weight)
        with Tape() as tape:
            y_pred = model(x, training=True)
            loss = self.loss(y, y_pred, sample_weight)
        self._count(x, y, y_pred, loss, sample_weight)  # before the update: it may refuse shapes
        if self.variables:
            optimizer = model.optimizer
            if self._places is None:
                self._places = optimizer.gradient_buffers(self.variables)
            found = tape.backward({id(loss): self._one(loss)}, self.variables, self._places)
            optimizer.apply_buffers(self.variables, [g is not None for g in found])

    def test(self, x: Any, y: Any, sample_weight: Any) -> None:
        """Count one batch in the metrics."""
        x, y, sample_weight = to_tensors(x), to_tensors(y), to_tensors(sample_weight)
        y_pred = self.model(x, training=False)
        loss = self.loss(y, y_pred, sample_weight)
        self._count(x, y, y_pred, loss, sample_weight)

    def predict(self, x: Any) -> Any:
        """The outputs for one batch."""
        return self.model(to_tensors(x), training=False)

    def try_loss(self, x: Any, y: Any, sample_weight: Any) -> None:
        """Compute the compiled loss and drop it: what does not fit shows here, early."""
        if self.model.loss is not None:
            with no_grad():
                self.model.loss(to_tensors(y), self.predict(x), to_tensors(sample_weight))

    def loss(self, y: Any, y_pred: Any, sample_weight: Any) -> Tensor:
        """The compiled loss, what layers added, and the regularization of the weights."""
        parts = list(calls.losses)
        if self.model.loss is not None:
            parts.insert(0, self.model.loss(y, y_pred, sample_weight))
        parts += [v.regularizer(v) for v in self.regularized]
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
