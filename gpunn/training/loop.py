"""Loop: epochs and batches around the steps, with callbacks and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from gpunn import config
from gpunn.arguments import whole_number
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tape import no_grad
from gpunn.backend import devices
from gpunn.backend.random import host_generator
from gpunn.callbacks import Callback, CallbackList, History, ProgbarLogger
from gpunn.losses.checks import check_labels
from gpunn.seeding import next_seed
from gpunn.structure import map_structure
from gpunn.tracebacks import warn_user
from gpunn.training.data import (
    ArrayData,
    Batch,
    Data,
    IterableData,
    epoch_of,
    to_tensors,
)
from gpunn.training.interrupt import InterruptBetweenSteps
from gpunn.training.recording import quiet
from gpunn.training.step import Step, overrides

#: Hooks between a batch and its step. They may train, too, and overwrite a recording's inputs.
_BEFORE = ("on_train_batch_begin", "on_batch_begin")
_VERBOSE = {"auto": 1, "0": 0, "1": 1, "2": 2, "False": 0, "True": 1}


class Loop:
    """One run of fit, evaluate or predict."""

    def __init__(
        self,
        model: Any,
        verbose: Any,
        callbacks: Callback | Sequence[Callback] | None,
        epochs: int = 1,
        initial_epoch: int = 0,
    ):
        if str(verbose) not in _VERBOSE:
            raise ValueError(f'verbose must be "auto", 0, 1 or 2, received {verbose!r}.')
        given: Sequence[Any] = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
        for callback in given:
            if not isinstance(callback, Callback | None):
                raise TypeError(
                    f"callbacks must be instances of gpunn.callbacks.Callback, received "
                    f"{callback!r}. Write EarlyStopping(), not EarlyStopping."
                )
        self.model = model
        self.verbose = _VERBOSE[str(verbose)]
        if verbose == "auto" and not config.is_interactive_logging_enabled():
            self.verbose = 2
        self.given = [callback for callback in given if callback is not None]
        self.own: Any = None  # what the model's own step returned last
        self.trained = False  # whether there was a step that changed the weights
        self.epochs = whole_number("epochs", epochs, least=0)
        most = config.max_epochs()
        if most is not None:
            self.epochs = min(self.epochs, most)
        self.initial_epoch = whole_number("initial_epoch", initial_epoch, least=0)

    def _callbacks(self, steps: int | None, extra: Sequence[Callback]) -> CallbackList:
        own = any(isinstance(callback, ProgbarLogger) for callback in self.given)
        logger = [ProgbarLogger()] if self.verbose and not own else []
        params: dict[str, Any] = {"epochs": self.epochs, "steps": steps, "verbose": self.verbose}
        return CallbackList([*logger, *self.given, *extra], model=self.model, **params)

    # --- fit ---

    def fit(
        self,
        data: Data,
        validation: Data | None,
        shuffle: bool,
        steps: int | None,
        validation_steps: int | None,
        validation_freq: int | Sequence[int],
    ) -> History:
        """Train; returns the history."""
        model = self.model
        if isinstance(validation_freq, (list, tuple)):
            validation_freq = [whole_number("validation_freq", n) for n in validation_freq]
        else:
            validation_freq = whole_number("validation_freq", validation_freq)
        steps = _limited("steps_per_epoch", steps)
        validation_steps = _limited("validation_steps", validation_steps)
        step = self._checked_step(data)
        if validation is not None:
            self._checked_step(validation, "validation_data")
        given = [c for c in self.given if isinstance(c, History)]
        history = given[0] if given else History()
        model.history, model.stop_training = history, False
        total = steps or data.steps
        callbacks = self._callbacks(total, [] if given else [history])
        generator = host_generator(next_seed(), 0) if shuffle else None
        source = _Source(data, generator, steps)
        with _closing(callbacks), InterruptBetweenSteps() as interrupt:
            model._initial_epoch = None  # BackupAndRestore may set it
            callbacks.call("on_train_begin")
            judge = partial(self._judge, validation, validation_steps, validation_freq)
            try:
                step, logs = self._epochs(source, step, judge, callbacks, interrupt)
            finally:  # also after Ctrl-C: the averages of the weights, where they are asked for
                if self.trained and model.optimizer is not None:
                    model.optimizer.finalize_variable_values(model.trainable_variables)
            callbacks.call("on_train_end", logs=logs)
        return history

    def _epochs(
        self,
        source: _Source,
        step: Step | None,
        judge: Callable[..., dict[str, float]],
        callbacks: CallbackList,
        interrupt: InterruptBetweenSteps,
    ) -> tuple[Step | None, dict[str, float]]:
        """All epochs; the step of the last one, and its logs."""
        model, logs = self.model, {}
        for epoch in range(model._initial_epoch or self.initial_epoch, self.epochs):
            model.reset_metrics()
            callbacks.call("on_epoch_begin", epoch)
            step = self._train_epoch(source, step, callbacks, interrupt)
            if step is None:
                break
            logs = {**model._logs(self.own), **judge(epoch, callbacks, interrupt)}
            callbacks.call("on_epoch_end", epoch, logs=logs)
            if model.stop_training:
                break
        return step, logs

    def _judge(
        self,
        validation: Data | None,
        steps: int | None,
        freq: int | Sequence[int],
        epoch: int,
        callbacks: CallbackList,
        interrupt: InterruptBetweenSteps,
    ) -> dict[str, float]:
        """The validation logs of every `freq`-th epoch, or of those in the list `freq`."""
        due = (epoch + 1) % freq == 0 if isinstance(freq, int) else epoch + 1 in freq
        if validation is None or not due:
            return {}
        found = self._evaluate(validation, steps, callbacks, interrupt)
        return {f"val_{k}": v for k, v in found.items()}

    def _train_epoch(
        self,
        source: _Source,
        step: Step | None,
        callbacks: CallbackList,
        interrupt: InterruptBetweenSteps,
    ) -> Step | None:
        """The steps of one epoch; None where the data has run out."""
        before = callbacks.using(*_BEFORE)
        after = callbacks.using("on_train_batch_end", "on_batch_end")
        lent = source.lend(None if before else step)
        together = self.model.steps_per_execution
        number = -1
        for number, batch in enumerate(source.epoch()):
            if number % together == 0:
                _call(before, number, {})
            if step is None or not step.has_optimizer():  # a callback may compile
                step = self.model.step_for(batch[0])
            if isinstance(source.data, IterableData):
                self.check(step, batch)
            self.own = step.train(*batch, owned=lent)
            self.trained = True
            if number % together == together - 1:
                self._ended(after, number, callbacks)
            interrupt.check()
            if self.model.stop_training:
                break
        if (number + 1) % together:
            self._ended(after, number, callbacks)
        if number < 0:
            if step is None:
                raise ValueError("The data gave no batch. Is the generator used up?")
            warn_user(
                "The data ran out of batches, so training ends before the last epoch. A generator "
                "can be walked once: let it go on forever and give steps_per_epoch.",
            )
            return None
        return step

    def _ended(self, hooks: list[Any], number: int, callbacks: CallbackList) -> None:
        """Call what waits for the end of a batch."""
        if hooks:
            logs = self.model._logs(self.own) if callbacks.reads_batch_logs else {}
            _call(hooks, number, logs)

    def _checked_step(self, data: Data, what: str = "y") -> Step | None:
        """The step, once arrays were checked, two samples by a trial; iterables' batches later."""
        if not isinstance(data, ArrayData):
            return None
        few = [map_structure(lambda a: a[:2], part) for part in data.parts]
        step = self.model.step_for(few[0])
        self.check(step, data.parts, what)
        if not self._is_stateful():
            step.try_loss(*few)
        return step

    def _is_stateful(self) -> bool:
        """Whether a trial batch would move the states of layers."""
        return any(getattr(layer, "stateful", False) for layer in self.model._flatten_layers())

    def check(self, step: Step, batch: Batch, what: str = "y") -> None:
        """Refuse missing targets and labels out of range before they reach the weights."""
        loss, y = self.model._compile_loss, batch[1]
        if not loss or any(overrides(self.model, m) for m in ("train_step", "compute_loss")):
            return
        if y is None:
            remedy = "Give y." if what == "y" else f"Give {what}=(x, y)."
            if isinstance(batch[0], tuple):
                remedy += " A tuple in the place of x is several inputs."
            raise ValueError(
                f"The model was compiled with a loss, but there are no targets. {remedy}"
            )
        if any(getattr(part, "takes_labels", False) for part in loss.objects):
            with no_grad(), quiet():
                outputs = self._outputs(step, batch)
            for part, labels, x in loss.pairs(y, outputs, self.model.output_names):
                if part.takes_labels and hasattr(labels, "shape"):
                    ignored = part.options.get("ignore_class")
                    check_labels(part.name, devices.to_numpy(labels), x.shape[-1], ignored)

    def _outputs(self, step: Step, batch: Batch) -> Any:
        """Symbols of the model's outputs, found once."""
        if step.outputs is None:
            if self._is_stateful():
                y_pred = step.model(map_structure(_any_number, batch[0]), training=False)
            else:
                x = to_tensors(map_structure(lambda a: a[:1], batch[0]))
                y_pred = step.model(x, training=False)
            step.outputs = map_structure(_any_number, y_pred)
        return step.outputs

    # --- evaluate ---

    def evaluate(self, data: Data, steps: int | None) -> dict[str, float]:
        """The metrics on the data."""
        steps = _limited("steps", steps)
        callbacks = self._callbacks(steps or data.steps, [])
        self._checked_step(data)
        with _closing(callbacks), InterruptBetweenSteps() as interrupt:
            return self._evaluate(data, steps, callbacks, interrupt)

    def _evaluate(
        self,
        data: Data,
        steps: int | None,
        callbacks: CallbackList,
        interrupt: InterruptBetweenSteps,
    ) -> dict[str, float]:
        model = self.model
        model.reset_metrics()
        before = callbacks.using("on_test_batch_begin")
        after = callbacks.using("on_test_batch_end")
        together = model.steps_per_execution
        callbacks.call("on_test_begin")
        step, number = None, -1
        with no_grad():
            for number, batch in enumerate(epoch_of(data, islice(data.batches(), steps))):
                step = step or model.step_for(batch[0])
                if isinstance(data, IterableData):
                    self.check(step, batch)
                if number % together == 0:
                    _call(before, number, {})
                self.own = step.test(*batch)
                if number % together == together - 1:
                    self._ended(after, number, callbacks)
                interrupt.check()
        if (number + 1) % together:
            self._ended(after, number, callbacks)
        if step is None:
            raise ValueError("There was no batch to evaluate. Is the generator used up?")
        results = model._logs(self.own)
        callbacks.call("on_test_end", logs=results)
        return results

    # --- predict ---

    def predict(self, data: Data, steps: int | None) -> Any:
        """The outputs for the data."""
        steps = _limited("steps", steps)
        callbacks = self._callbacks(steps or data.steps, [])
        before = callbacks.using("on_predict_batch_begin")
        after = callbacks.using("on_predict_batch_end")
        outputs: list[Any] = []
        with _closing(callbacks), InterruptBetweenSteps() as interrupt, no_grad():
            callbacks.call("on_predict_begin")
            step = None
            for number, batch in enumerate(epoch_of(data, islice(data.batches(), steps))):
                step = step or self.model.step_for(batch[0])
                for hook in before:
                    hook(number, {})
                found = map_structure(lambda t: devices.to_numpy(t.data), step.predict(batch[0]))
                outputs.append(found)
                for hook in after:
                    hook(number, {"outputs": found})
                interrupt.check()
            callbacks.call("on_predict_end")
        return _joined(outputs)


class _Source:
    """The batches of each epoch: a pass over the data, or `steps` batches, over several passes."""

    def __init__(self, data: Data, generator: np.random.Generator | None, steps: int | None):
        self.data, self.generator, self.steps = data, generator, steps
        self._pass: Iterator[Batch] | None = None
        self._seen = 0  # batches of this pass

    def lend(self, step: Step | None) -> bool:
        """Make shuffled batches where a step reads them, if one does; returns whether it does."""
        data = self.data
        if not isinstance(data, ArrayData) or self.generator is None:
            return False
        data.buffers = None if step is None else step.place_for(data.empty_batch())
        return data.buffers is not None

    def epoch(self) -> Iterator[Batch]:
        """The batches of the next epoch; fewer than `steps` where a pass ends."""
        return epoch_of(self.data, self._next())

    def _next(self) -> Iterator[Batch]:
        if self._pass is None:
            self._pass, self._seen = self.data.batches(self.generator), 0
        number = 0
        for batch in islice(self._pass, self.steps):
            number += 1
            yield batch
        self._seen += number
        if self.steps and 0 < number < self.steps:
            warn_user(
                f"The data ran out: this epoch had {number} batches, not steps_per_epoch="
                f"{self.steps}. Give more data, or a smaller steps_per_epoch."
            )
        if number != self.steps or self._seen == self.data.steps:
            self._pass = None


class _closing:  # noqa: N801
    """Close what callbacks hold open, also after an error or Ctrl-C."""

    def __init__(self, callbacks: CallbackList):
        self.callbacks = callbacks

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for callback in self.callbacks.callbacks:
            close: Callable[[], None] | None = getattr(callback, "close", None)
            if close is not None:
                close()


def _call(hooks: list[Any], number: int, logs: dict[str, Any]) -> None:
    for hook in hooks:
        hook(number, logs)


def _any_number(x: Any) -> SymbolicTensor:
    """Stands for a batch of such samples."""
    return SymbolicTensor((None, *x.shape[1:]), x.dtype)


def _limited(name: str, steps: int | None) -> int | None:
    """The number of steps, at most that of `config.set_max_steps_per_epoch`; None: all."""
    if steps is not None:
        whole_number(name, steps)
    limit = config.max_steps_per_epoch()
    return steps if limit is None else min(steps or limit, limit)


def _joined(outputs: list[Any]) -> Any:
    """Batches of outputs as one array (or structure of arrays)."""
    if not outputs:
        raise ValueError("There was no batch to predict.")
    first = outputs[0]
    if first is None:
        raise ValueError("The model's call() returned None. It must return the outputs.")
    if isinstance(first, dict):
        return {k: _joined([o[k] for o in outputs]) for k in first}
    if isinstance(first, (list, tuple)):
        return type(first)([_joined([o[i] for o in outputs]) for i in range(len(first))])
    return np.concatenate(outputs)
