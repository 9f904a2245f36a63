"""Trainer: compile, fit, evaluate, predict, and their batch-wise forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpunn import optimizers
from gpunn.autodiff.tape import no_grad
from gpunn.backend import devices
from gpunn.callbacks import Callback, History
from gpunn.errors import GpunnError
from gpunn.metrics import Mean
from gpunn.training.compiled import CompiledMetrics, compile_loss
from gpunn.training.data import (
    ArrayData,
    make_data,
    make_validation,
    map_structure,
    split_data,
    to_tensors,
    weighted_data,
)
from gpunn.training.loop import Loop
from gpunn.training.step import Step, can_record

_ALL = 2**31 - 1  # a batch size that no data reaches


class NotCompiledError(GpunnError, ValueError):
    """fit or evaluate was called before compile."""


class Trainer:
    """What makes a layer a model that learns."""

    optimizer: Any = None
    loss: Any = None
    compiled_metrics: CompiledMetrics
    loss_tracker: Any = None
    jit_compile: Any = "auto"
    _told_why_eager = False
    stop_training = False
    history: History | None = None
    _step: Step | None = None

    # --- compile ---

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
    ) -> None:
        """Choose how the model learns.

        `optimizer`: a name or an Optimizer. `loss`: a name, a Loss or a function
        ``f(y_true, y_pred)`` written with `gpunn.ops`. `metrics`: names, Metrics or functions, of
        unweighted samples; `weighted_metrics` take sample and class weights into account.

        `jit_compile`: whether steps are recorded once and replayed, several times faster
        for small models: ``"auto"`` where layers, loss and metrics are gpunn's own, True also with
        your own (which must do all their work with `gpunn.ops`, the same in each step), or False;
        `run_eagerly=True` means False, too. `loss_weights` and `steps_per_execution` are there for
        Keras' order of arguments; a model of one output takes their defaults only.

        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        """
        _refuse(type(self), loss_weights, steps_per_execution)
        if jit_compile not in ("auto", True, False):
            raise ValueError(
                f'jit_compile must be "auto", True or False, received {jit_compile!r}.'
            )
        found = optimizers.get(optimizer)
        compiled_loss = compile_loss(loss)
        compiled_metrics = CompiledMetrics(metrics, weighted_metrics)
        self.optimizer, self.loss, self.compiled_metrics = found, compiled_loss, compiled_metrics
        self.loss_tracker = Mean(name="loss")
        self.jit_compile = False if run_eagerly else jit_compile
        self._step, self._told_why_eager = None, False

    @property
    def compiled(self) -> bool:
        """True after `compile`."""
        return self.optimizer is not None

    @property
    def metrics(self) -> list[Any]:
        """The loss's running mean and the metrics."""
        if not self.compiled:
            return []
        return [self.loss_tracker, *(self.compiled_metrics.metrics or ())]

    @property
    def metrics_names(self) -> list[str]:
        """The names in the order in which `evaluate` returns values."""
        return list(self.get_metrics_result())

    def reset_metrics(self) -> None:
        """Forget what the metrics counted."""
        if self.compiled:
            self.loss_tracker.reset_state()
            self.compiled_metrics.reset()

    def get_metrics_result(self) -> dict[str, float]:
        """The metrics so far as Python numbers, the loss first; waits for the device."""
        values = {"loss": self.loss_tracker.result(), **self.compiled_metrics.results()}
        return {name: float(value) for name, value in values.items()}

    def _need_compiled(self, method: str) -> None:
        if not self.compiled:
            raise NotCompiledError(
                f"{method}() needs a compiled model. Call model.compile(optimizer, loss) first."
            )

    @property
    def step(self) -> Step:
        """The step in use, with what it has recorded: ``model.step.describe()``."""
        if self._step is None:
            raise ValueError(f"Model '{self.name}' has made no step yet. Call fit() first.")  # type: ignore[attr-defined]
        return self._step

    def make_step(self, x: Any = None) -> Step:
        """The step for the weights that are trainable now; builds the model on the batch `x`."""
        if x is not None and not self.built:  # type: ignore[attr-defined]
            with no_grad():
                self(to_tensors(x), training=False)  # type: ignore[operator]
        self._step = Step(self, self.records_steps())
        return self._step

    def records_steps(self) -> bool:
        """Whether steps are recorded, with the layers, metrics and settings of now."""
        wanted = can_record(self) if self.jit_compile == "auto" else self.jit_compile
        return bool(wanted and self.compiled)

    def step_for(self, x: Any) -> Step:
        """The step with its recordings, made anew where it no longer fits."""
        step = self._step
        return self.make_step(x) if step is None or step.is_outdated() else step

    # --- fit, evaluate, predict ---

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> History:
        """Train for a number of passes over the data; returns the metrics of each as a `History`.

        `x`, `y`: arrays (NumPy, CuPy, lists, pandas) of one length, or `x` an iterable of batches
        ``(x, y[, sample_weight])``. `class_weight`: ``{label: weight}``. `verbose`: 0 silent, 1 a
        progress line, 2 one line an epoch. Ctrl-C ends between two steps: the model and
        `model.history` stay usable.

        >>> history = model.fit(x, y, epochs=5, batch_size=128, validation_split=0.1)
        """
        self._need_compiled("fit")
        if not isinstance(shuffle, (bool, np.bool_)):
            raise ValueError(f"shuffle must be True or False, received {shuffle!r}.")
        data = make_data(x, y, sample_weight, batch_size)
        size = batch_size if validation_batch_size is None else validation_batch_size
        validation = None
        if validation_data is not None:
            validation = make_validation(validation_data, size)
        elif validation_split:
            data, validation = split_data(data, validation_split, size)
        if class_weight is not None:
            data = weighted_data(data, class_weight)
        loop = Loop(self, verbose, callbacks, epochs=epochs, initial_epoch=initial_epoch)
        return loop.fit(
            data, validation, shuffle, steps_per_epoch, validation_steps, validation_freq
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss and metrics on data: a number, a list, or a dict with `return_dict`."""
        self._need_compiled("evaluate")
        data = make_data(x, y, sample_weight, batch_size)
        results = Loop(self, verbose, callbacks).evaluate(data, steps)
        return results if return_dict else _unwrapped(results)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Any:
        """The outputs for all samples as NumPy arrays, computed batch by batch."""
        return Loop(self, verbose, callbacks).predict(make_data(x, None, None, batch_size), steps)

    # --- one batch ---

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One update; returns the loss and metrics of this batch, from before the update."""
        self._need_compiled("train_on_batch")
        data = ArrayData(x, y, sample_weight, batch_size=_ALL)
        if class_weight is not None:
            data = weighted_data(data, class_weight)
        return self._on_batch("train", data, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and metrics of one batch."""
        self._need_compiled("test_on_batch")
        return self._on_batch("test", ArrayData(x, y, sample_weight, batch_size=_ALL), return_dict)

    def _on_batch(self, kind: str, data: ArrayData, return_dict: bool) -> Any:
        batch = next(data.batches())
        step = self.step_for(batch[0])
        Loop(self, 0, None).check(step, batch)
        self.reset_metrics()
        getattr(step, kind)(*batch)
        results = self.get_metrics_result()
        return results if return_dict else _unwrapped(results)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch as NumPy arrays."""
        (x, _, _) = next(ArrayData(x, batch_size=_ALL).batches())
        step = self.step_for(x)
        return map_structure(lambda t: np.array(devices.to_numpy(t.data)), step.predict(x))


_OVERRIDES = ("train_step", "test_step", "predict_step", "compute_loss", "make_train_function")


def _refuse(model: type, loss_weights: Any, steps_per_execution: Any) -> None:
    """What Keras has and this version has not is refused, not ignored."""
    for name in _OVERRIDES:
        if hasattr(model, name):
            raise NotImplementedError(
                f"{model.__name__}.{name}() would never be called: fit() has no such hook in this "
                f"version. Write the loop yourself with gpunn.GradientTape."
            )
    if loss_weights is not None:
        raise ValueError("loss_weights is for models of several outputs; this one has one loss.")
    if steps_per_execution != 1:
        raise ValueError(f"steps_per_execution must be 1, received {steps_per_execution!r}.")


def _unwrapped(results: dict[str, float]) -> Any:
    values = list(results.values())
    return values[0] if len(values) == 1 else values
