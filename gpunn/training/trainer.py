"""Trainer: compile, fit, evaluate, predict, and their batch-wise forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpunn import optimizers
from gpunn.arguments import true_or_false, whole_number
from gpunn.autodiff.tape import no_grad
from gpunn.backend import devices
from gpunn.callbacks import Callback, History
from gpunn.errors import GpunnError
from gpunn.metrics import Mean
from gpunn.structure import map_structure
from gpunn.tracebacks import filter_traceback
from gpunn.training.compile_config import CompileConfig
from gpunn.training.compiled import CompiledLoss, CompiledMetrics
from gpunn.training.data import (
    Batch,
    make_data,
    make_validation,
    one_batch,
    split_data,
    to_tensors,
)
from gpunn.training.loop import Loop
from gpunn.training.outputs import Outputs
from gpunn.training.results import Results
from gpunn.training.step import Step, can_record, overrides
from gpunn.training.step_functions import StepFunctions
from gpunn.utils.packing import unpack_x_y_sample_weight


class NotCompiledError(GpunnError, ValueError):
    """fit or evaluate was called before compile."""


class Trainer(Results, CompileConfig, StepFunctions):
    """What makes a layer a model that learns."""

    loss: Any = None  # as given to compile
    run_eagerly = False
    steps_per_execution = 1
    jit_compile: Any = "auto"
    output: Any
    output_names: Any
    _told_why_eager = False
    stop_training = False
    history: History | None = None
    _step: Step | None = None

    # --- compile ---

    @filter_traceback
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
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how the model learns.

        `optimizer`: a name or an Optimizer. `loss`: a name, a Loss or a function
        ``f(y_true, y_pred)`` written with `gpunn.ops`. `metrics`: names, Metrics or functions, of
        unweighted samples; `weighted_metrics` take sample and class weights into account. For
        several outputs `loss`, `loss_weights` and metrics are lists in their order or dicts by
        their names.

        `steps_per_execution`: callbacks see the end of every so many batches only.
        `jit_compile`: whether steps are recorded once and replayed, several times faster
        for small models: ``"auto"`` where layers, loss and metrics are gpunn's own, True also with
        your own (which must do all their work with `gpunn.ops`, the same in each step), or False;
        `run_eagerly=True` means False, too. `auto_scale_loss`: under the policy "mixed_float16" the
        optimizer is wrapped in a `LossScaleOptimizer`.

        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        """
        steps_per_execution = whole_number("steps_per_execution", steps_per_execution)
        _check_modes(run_eagerly, jit_compile)
        found = self._chosen_optimizer(optimizer, auto_scale_loss)
        compile_loss = CompiledLoss(loss, loss_weights)
        compile_metrics = CompiledMetrics(metrics, weighted_metrics, self.output_names)
        if self.output_names is not None:
            outputs = Outputs(self.output, self.output_names)
            compile_loss.check(outputs)
            compile_metrics.check(outputs)
        self.optimizer, self.loss = found, loss
        self._compile_loss, self._compile_metrics = compile_loss, compile_metrics
        self._loss_tracker = Mean(name="loss")
        self.run_eagerly, self.steps_per_execution = bool(run_eagerly), steps_per_execution
        self.jit_compile = False if run_eagerly else jit_compile
        self._compile_given = {
            "optimizer": found, "loss": loss, "loss_weights": loss_weights, "metrics": metrics,
            "weighted_metrics": weighted_metrics, "run_eagerly": self.run_eagerly,
            "steps_per_execution": steps_per_execution, "jit_compile": jit_compile,
        }  # fmt: skip
        self._step, self._told_why_eager = None, False
        compile_metrics.reset_state()

    def _chosen_optimizer(self, given: Any, auto_scale_loss: bool) -> Any:
        """The optimizer of a name or object; float16 asks for scaled losses."""
        found = optimizers.get(given)
        if found is None:
            raise ValueError(
                "compile: optimizer is None. Give one, such as 'sgd', also to a model that is "
                "only evaluated."
            )
        half = self.dtype_policy.name == "mixed_float16"  # type: ignore[attr-defined]
        if half and auto_scale_loss and not isinstance(found, optimizers.LossScaleOptimizer):
            return optimizers.LossScaleOptimizer(found)
        return found

    # --- one step, to override ---

    def train_step(self, data: Any) -> dict[str, Any]:
        """One update with a batch ``x``, ``(x, y)`` or ``(x, y, sample_weight)``; returns logs.

        Override it for a step of your own: compute with `gpunn.GradientTape`, update by
        ``self.optimizer.apply_gradients``, return a dict of tensors.

        >>> def train_step(self, data):
        ...     x, y = data
        ...     with gpunn.GradientTape() as tape:
        ...         loss = self.compute_loss(x, y, self(x, training=True))
        ...     gradients = tape.gradient(loss, self.trainable_variables)
        ...     self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        ...     return {"loss": loss}
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        return self.step_for(x)._train(x, y, sample_weight) or self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        """Count a batch in the metrics; returns logs."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        return self.step_for(x)._test(x, y, sample_weight) or self.get_metrics_result()

    def predict_step(self, data: Any) -> Any:
        """The outputs for a batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """What training minimizes: the compiled loss, what layers added, the regularization."""
        return self._total_loss(y, y_pred, sample_weight, self.losses)  # type: ignore[attr-defined]

    def _total_loss(self, y: Any, y_pred: Any, sample_weight: Any, penalties: Sequence[Any]) -> Any:
        """The compiled loss and the penalties that layers and weights add."""
        parts = list(penalties)
        if self._compile_loss:
            parts.insert(0, self._compile_loss(y, y_pred, sample_weight, self.output_names))
        if not parts:
            raise ValueError(
                f"Nothing to minimize: model '{self.name}' was compiled without a loss, and "  # type: ignore[attr-defined]
                f"no layer adds one. Call compile(loss=...)."
            )
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Count a batch in the compiled metrics; returns all results."""
        if y is not None:
            self._compile_metrics.update_state(y, y_pred, sample_weight, self.output_names)
        return self.get_metrics_result()

    # --- steps ---

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
        own = any(overrides(self, m) for m in ("train_step", "test_step", "predict_step"))
        if x is not None and not self.built and not own:  # type: ignore[attr-defined]
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

    @filter_traceback
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
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Train for a number of passes over the data; returns the metrics of each as a `History`.

        `x`, `y`: arrays (NumPy, CuPy, lists, pandas) of one length, or `x` an iterable of batches
        ``(x, y[, sample_weight])``. `class_weight`: ``{label: weight}``. `validation_freq`: after
        every so many epochs, or a list of their numbers, from 1. `verbose`: 0 silent, 1 a progress
        line, 2 one line an epoch. Ctrl-C ends between two steps: the model and
        `model.history` stay usable.

        >>> history = model.fit(x, y, epochs=5, batch_size=128, validation_split=0.1)
        """
        self._need_compiled("fit")
        shuffle = true_or_false("shuffle", shuffle)
        data = make_data(x, y, sample_weight, batch_size)
        size = batch_size if validation_batch_size is None else validation_batch_size
        validation = None
        if validation_data is not None:
            validation = make_validation(validation_data, batch_size, validation_batch_size)
        elif validation_split:
            data, validation = split_data(data, validation_split, size)
        if class_weight is not None:
            data = data.weighted(class_weight)
        loop = Loop(self, verbose, callbacks, epochs=epochs, initial_epoch=initial_epoch)
        return loop.fit(
            data, validation, shuffle, steps_per_epoch, validation_steps, validation_freq
        )

    @filter_traceback
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
        return results if return_dict else self._as_list(results)

    @filter_traceback
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

    @filter_traceback
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
        batch = one_batch(x, y, sample_weight, class_weight)
        return self._on_batch("train", batch, return_dict)

    @filter_traceback
    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and metrics of one batch."""
        self._need_compiled("test_on_batch")
        return self._on_batch("test", one_batch(x, y, sample_weight), return_dict)

    def _on_batch(self, kind: str, batch: Batch, return_dict: bool) -> Any:
        step = self.step_for(batch[0])
        Loop(self, 0, None).check(step, batch)
        before = [(v, v.data.copy()) for metric in self.metrics for v in metric.variables]
        self.reset_metrics()
        try:
            results = self._logs(getattr(step, kind)(*batch))
        except Exception:  # the batch is refused, and does not count
            for variable, values in before:
                variable.assign(values)
            raise
        return results if return_dict else self._as_list(results)

    @filter_traceback
    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch as NumPy arrays."""
        (x, _, _) = one_batch(x)
        step = self.step_for(x)
        return map_structure(lambda t: np.array(devices.to_numpy(t.data)), step.predict(x))


def _check_modes(run_eagerly: Any, jit_compile: Any) -> None:
    true_or_false("run_eagerly", run_eagerly)
    if not isinstance(jit_compile, bool) and str(jit_compile) != "auto":
        raise ValueError(f'jit_compile must be "auto", True or False, received {jit_compile!r}.')
