"""Loop: epochs and batches around the steps, with callbacks and progress."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tape import no_grad
from gpunn.backend import devices
from gpunn.backend.protocol import Array
from gpunn.backend.random import host_generator
from gpunn.callbacks import Callback, CallbackList, History, ProgbarLogger
from gpunn.losses.checks import check_labels
from gpunn.seeding import next_seed
from gpunn.training.data import (
    ArrayData,
    Batch,
    Data,
    IterableData,
    map_structure,
    to_tensors,
    whole_number,
)
from gpunn.training.interrupt import InterruptBetweenSteps
from gpunn.training.recording import quiet
from gpunn.training.step import Step

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
        self.given = [callback for callback in given if callback is not None]
        self.epochs = whole_number("epochs", epochs, least=0)
        self.initial_epoch = whole_number("initial_epoch", initial_epoch, least=0)

    def _callbacks(self, what: str, steps: int | None, extra: Sequence[Callback]) -> CallbackList:
        logger = [ProgbarLogger(what)] if self.verbose else []
        params = {"epochs": self.epochs, "steps": steps, "verbose": self.verbose}
        return CallbackList([*logger, *self.given, *extra], self.model, params)

    # --- fit ---

    def fit(
        self,
        data: Data,
        validation: Data | None,
        shuffle: bool,
        steps: int | None,
        validation_steps: int | None,
        validation_freq: int,
    ) -> History:
        """Train; returns the history."""
        model = self.model
        whole_number("validation_freq", validation_freq)
        _check_steps(steps_per_epoch=steps, validation_steps=validation_steps)
        given = [c for c in self.given if isinstance(c, History)]
        history = given[0] if given else History()
        model.history, model.stop_training = history, False
        total = steps or data.steps
        callbacks = self._callbacks("train", total, [] if given else [history])
        generator = host_generator(next_seed(), 0) if shuffle else None
        source = _Source(data, generator, steps)
        step = self._checked_step(data)
        if step is not None and isinstance(data, ArrayData):  # the last fit's: recorded inputs
            data.buffers, step.buffers = step.buffers, None
        if validation is not None:
            self._checked_step(validation)
        logs: dict[str, float] = {}
        with _closing(callbacks), InterruptBetweenSteps() as interrupt:
            callbacks.call("on_train_begin")
            for epoch in range(self.initial_epoch, self.epochs):
                model.reset_metrics()
                callbacks.call("on_epoch_begin", epoch)
                step = self._train_epoch(source, step, callbacks, interrupt)
                if step is None:
                    break
                logs = model.get_metrics_result()
                if validation is not None and (epoch + 1) % validation_freq == 0:
                    found = self._evaluate(validation, validation_steps, callbacks, interrupt)
                    logs = {**logs, **{f"val_{k}": v for k, v in found.items()}}
                callbacks.call("on_epoch_end", epoch, logs=logs)
                if model.stop_training:
                    break
            callbacks.call("on_train_end", logs=logs)
        if step is not None and isinstance(data, ArrayData):
            step.buffers = data.buffers
        return history

    def _train_epoch(
        self,
        source: _Source,
        step: Step | None,
        callbacks: CallbackList,
        interrupt: InterruptBetweenSteps,
    ) -> Step | None:
        """The steps of one epoch; None where the data has run out."""
        before = callbacks.using("on_train_batch_begin", "on_batch_begin")
        after = callbacks.using("on_train_batch_end", "on_batch_end")
        number = -1
        for number, batch in enumerate(source.epoch()):
            if step is None or not step.has_optimizer():  # a callback may compile
                step = self.model.step_for(batch[0])
            if isinstance(source.data, IterableData):
                self.check(step, batch)
            for hook in before:
                hook(number, {})
            step.train(*batch, owned=source.owns_batches)
            if after:
                logs = self.model.get_metrics_result() if callbacks.reads_batch_logs else {}
                for hook in after:
                    hook(number, logs)
            interrupt.check()
            if self.model.stop_training:
                break
        if number < 0:
            if step is None:
                raise ValueError("The data gave no batch. Is the generator used up?")
            warnings.warn(
                "The data ran out of batches, so training ends before the last epoch. A generator "
                "can be walked once: let it go on forever and give steps_per_epoch.",
                stacklevel=4,
            )
            return None
        return step

    def _checked_step(self, data: Data) -> Step | None:
        """The step, once arrays were checked as a whole; batches of iterables come later."""
        if not isinstance(data, ArrayData):
            return None
        x, y, sample_weight = (map_structure(lambda a: a[:2], part) for part in data.parts)
        step = self.model.step_for(x)
        self.check(step, data.parts)
        if not self._is_stateful():
            step.try_loss(x, y, sample_weight)
        return step

    def _is_stateful(self) -> bool:
        """Whether a trial batch would move the states of layers."""
        return any(getattr(layer, "stateful", False) for layer in self.model._flatten_layers())

    def check(self, step: Step, batch: Batch) -> None:
        """Refuse labels out of range before they reach the weights."""
        loss, y = self.model.loss, batch[1]
        if y is None and loss is not None:
            raise ValueError(
                "The model was compiled with a loss, but there are no targets. Give y."
            )
        if isinstance(y, (dict, list, tuple)):
            raise ValueError(
                f"Model '{self.model.name}' has one output and takes one array of targets, "
                f"received a {type(y).__name__} of {len(y)}."
            )
        if getattr(loss, "takes_labels", False) and hasattr(y, "shape"):
            with no_grad(), quiet():
                classes = self._classes(step, batch)
            check_labels(loss.name, devices.to_numpy(y), classes, loss.options.get("ignore_class"))

    def _classes(self, step: Step, batch: Batch) -> int:
        """The number of outputs of the model, found once."""
        if step.classes is None:
            if self._is_stateful():
                x = map_structure(_any_number, batch[0])
            else:
                x = to_tensors(map_structure(lambda a: a[:1], batch[0]))
            step.classes = step.model(x, training=False).shape[-1]
        return step.classes

    # --- evaluate ---

    def evaluate(self, data: Data, steps: int | None) -> dict[str, float]:
        """The metrics on the data."""
        _check_steps(steps=steps)
        callbacks = self._callbacks("test", steps or data.steps, [])
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
        callbacks.call("on_test_begin")
        step = None
        with no_grad():
            for number, batch in enumerate(islice(data.batches(), steps)):
                step = step or model.step_for(batch[0])
                if isinstance(data, IterableData):
                    self.check(step, batch)
                for hook in before:
                    hook(number, {})
                step.test(*batch)
                if after:
                    logs = model.get_metrics_result() if callbacks.reads_batch_logs else {}
                    for hook in after:
                        hook(number, logs)
                interrupt.check()
        if step is None:
            raise ValueError("There was no batch to evaluate. Is the generator used up?")
        results = model.get_metrics_result()
        callbacks.call("on_test_end", logs=results)
        return results

    # --- predict ---

    def predict(self, data: Data, steps: int | None) -> Any:
        """The outputs for the data."""
        _check_steps(steps=steps)
        callbacks = self._callbacks("predict", steps or data.steps, [])
        before = callbacks.using("on_predict_batch_begin")
        after = callbacks.using("on_predict_batch_end")
        outputs: list[Any] = []
        with _closing(callbacks), InterruptBetweenSteps() as interrupt, no_grad():
            callbacks.call("on_predict_begin")
            step = None
            for number, batch in enumerate(islice(data.batches(), steps)):
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
    """The batches of each epoch: a pass over the data, or `steps` batches of an endless stream."""

    def __init__(self, data: Data, generator: np.random.Generator | None, steps: int | None):
        self.data, self.generator, self.steps = data, generator, steps
        self.owns_batches = isinstance(data, ArrayData) and generator is not None
        self._stream: Iterator[Batch] | None = None

    def epoch(self) -> Iterator[Batch]:
        """The batches of the next epoch."""
        if self.steps is None:
            return self.data.batches(self.generator)
        if self._stream is None:
            self._stream = self._endless()
        return islice(self._stream, self.steps)

    def _endless(self) -> Iterator[Batch]:
        while True:
            empty = True
            for batch in self.data.batches(self.generator):
                empty = False
                yield batch
            if empty:
                return


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


def _any_number(x: Array) -> SymbolicTensor:
    """Stands for a batch of such samples."""
    return SymbolicTensor((None, *x.shape[1:]), x.dtype)


def _check_steps(**steps: int | None) -> None:
    for name, value in steps.items():
        if value is not None:
            whole_number(name, value)


def _joined(outputs: list[Any]) -> Any:
    """Batches of outputs as one array (or structure of arrays)."""
    if not outputs:
        raise ValueError("There was no batch to predict.")
    first = outputs[0]
    if isinstance(first, dict):
        return {k: _joined([o[k] for o in outputs]) for k in first}
    if isinstance(first, (list, tuple)):
        return type(first)([_joined([o[i] for o in outputs]) for i in range(len(first))])
    return np.concatenate(outputs)
