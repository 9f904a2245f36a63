"""Model: a layer of layers that can be trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.autodiff.variable import Variable
from gpunn.layers import Layer
from gpunn.models.summary import print_summary
from gpunn.training.trainer import Trainer


class Model(Trainer, Layer):
    """A layer that `fit`, `evaluate` and `predict` work on.

    Subclass it: make layers in `__init__`, use them in `call`.

    >>> class Autoencoder(gpunn.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.encoder = gpunn.layers.Dense(8, activation="relu")
    ...         self.decoder = gpunn.layers.Dense(64)
    ...
    ...     def call(self, x):
    ...         return self.decoder(self.encoder(x))
    """

    #: Attributes that belong to training, not to the model's weights.
    _untracked = (*Layer._untracked, "optimizer", "loss", "compiled_metrics", "loss_tracker",
                  "history", "_step")  # fmt: skip
    _outside_steps = ("history", "stop_training")
    supports_masking = True

    def __init__(self, *args: Any, **kwargs: Any):
        if args or {"inputs", "outputs"} & set(kwargs):
            raise TypeError(
                "Model(inputs, outputs), the functional API, does not exist in this version. "
                "Use gpunn.Sequential or subclass gpunn.Model."
            )
        super().__init__(**kwargs)
        self.built = False  # true after the first call: the layers inside are built then

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outputs = super().__call__(*args, **kwargs)
        self.built = True
        return outputs

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside."""
        return self._sublayers()  # type: ignore[return-value]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its position."""
        if (name is None) == (index is None):
            raise ValueError("get_layer takes a name or an index.")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"There is no layer {index} in '{self.name}': it has {len(self.layers)}."
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f"There is no layer '{name}' in '{self.name}'. Its layers: {known}.")

    @property
    def metrics_variables(self) -> list[Variable]:
        """The states of the metrics; `variables` holds those of the layers only."""
        return [v for metric in self.metrics for v in metric.variables]

    def summary(
        self,
        line_length: int | None = None,
        print_fn: Callable[[str], None] | None = None,
        show_trainable: bool = False,
    ) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters."""
        print_summary(self, self._output_shapes(), line_length, print_fn, show_trainable)

    def _output_shapes(self) -> dict[int, Any]:
        """The output shapes of the first call, by id of the layer; the batch axis None."""
        return {id(layer): any_batch(layer._first_output) for layer in self.layers}

    def _attach_mask(self, inputs: Any, outputs: Any, mask: Any) -> None:
        """The layers inside have set the masks of the outputs."""


def any_batch(shape: Any) -> Any:
    """A shape, or several, with None for the batch; "?" where it is not known."""
    if isinstance(shape, list):
        return [any_batch(s) for s in shape]
    if isinstance(shape, dict):
        return {k: any_batch(s) for k, s in shape.items()}
    return (None, *shape[1:]) if shape else "?"
