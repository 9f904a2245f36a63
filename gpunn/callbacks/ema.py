"""SwapEMAWeights: evaluate, and save, with the moving averages of the weights."""

from __future__ import annotations

from typing import Any

from gpunn.callbacks.callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Puts the averages of an optimizer with `use_ema=True` into the model while it is evaluated.

    Weights and averages change places, so that no memory is needed. With `swap_on_epoch` they do
    so at the end of each epoch, too, for callbacks after this one such as `ModelCheckpoint`, and
    back at the start of the next.

    >>> model.compile(gpunn.optimizers.SGD(use_ema=True), "mse")
    >>> model.fit(x, y, validation_split=0.2, callbacks=[gpunn.callbacks.SwapEMAWeights()])
    """

    def __init__(self, swap_on_epoch: bool = False):
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._ema_weights_in_model = False

    def _pairs(self) -> list[tuple[Any, Any]]:
        """The weights and their averages."""
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                f"SwapEMAWeights needs an optimizer with averages, '{optimizer.name}' has none. "
                f"Make it as {type(optimizer).__name__}(..., use_ema=True)."
            )
        if not optimizer.built:  # before the first step there is nothing to swap
            return []
        averages = optimizer._model_variables_moving_average
        return list(zip(optimizer._trainable_variables, averages, strict=True))

    def _swap(self, ema: bool) -> None:
        """Let the averages (`ema`), or the weights, be in the model."""
        pairs = self._pairs()
        if self._ema_weights_in_model is not ema:
            for variable, average in pairs:
                before = variable.numpy()
                variable.assign(average)
                average.assign(before)
            self._ema_weights_in_model = ema

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap(ema=False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap(ema=True)
            if epoch == self.params["epochs"] - 1 or self.model.stop_training:
                for variable, average in self._pairs():  # fit ends by copying them to the weights
                    average.assign(variable)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap(ema=True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap(ema=False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap(ema=True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap(ema=False)
