"""What the cells of recurrent networks share: arguments, weights, dropout masks."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import numpy as np

from gpunn import activations, constraints, initializers, ops, random, regularizers
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.autodiff.variable import Variable
from gpunn.layers.layer import Layer
from gpunn.objects import serialize

_WEIGHTS = ("kernel", "recurrent", "bias")


class DropoutCell(Layer):
    """A cell whose dropout masks are drawn once and hold for all steps of a sequence."""

    _untracked = (*Layer._untracked, "_masks")
    dropout: float = 0.0
    recurrent_dropout: float = 0.0

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._masks: dict[str, Any] = {}

    def dropout_masks(self, name: str, rate: float, x: Any, count: int | None) -> Any:
        """The mask of this name, or `count` of them: kept until `reset_dropout_masks`."""
        if name not in self._masks:
            ones = ops.ones_like(x)
            drawn = [
                random.dropout(ones, rate, seed=self.seed_generator) for _ in range(count or 1)
            ]
            self._masks[name] = drawn[0] if count is None else drawn
        return self._masks[name]

    def reset_dropout_masks(self) -> None:
        """Draw new masks the next time: a new sequence begins."""
        self._masks = {}


class GatedCell(DropoutCell):
    """What the three cells share: arguments, weights and products with dropped-out inputs.

    `implementation=1` (always, with recurrent dropout) has dropout masks of its own for each gate.
    """

    gates = 1
    bias_shape: tuple[int, ...]

    def __init__(
        self, units: int, activation: Any, use_bias: bool, dropout: float,
        recurrent_dropout: float, seed: int | None, settings: dict[str, Any], **kwargs: Any,
    ):  # fmt: skip
        implementation = kwargs.pop("implementation", 2) if self.gates > 1 else 2
        super().__init__(**kwargs)
        if isinstance(units, bool) or not isinstance(units, (int, np.integer)) or units <= 0:
            raise ValueError(
                f"{type(self).__name__}: units must be a positive integer, received {units!r}."
            )
        if implementation not in (0, 1, 2):
            raise ValueError(f"implementation must be 1 or 2, received {implementation!r}.")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        for part in _WEIGHTS:
            for kind, module in (
                ("initializer", initializers), ("regularizer", regularizers),
                ("constraint", constraints),
            ):  # fmt: skip
                name = f"{part}_{kind}"
                setattr(self, name, module.get(settings[name]))
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self.implementation = 1 if self.recurrent_dropout and self.gates > 1 else implementation
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.state_size: Any = self.units
        self.output_size = self.units
        self.bias_shape = (self.gates * self.units,)
        self.bias: Variable | None = None

    def build(self, input_shape: SymbolicShape) -> None:
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': the last axis of the input must be known, "
                f"received shape {tuple(input_shape)}."
            )
        width = self.gates * self.units
        self.kernel = self._weight("kernel", (features, width), "kernel")
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, width), "recurrent")
        if self.use_bias:
            self.bias = self._weight("bias", self.bias_shape, "bias")

    def _weight(self, name: str, shape: tuple[int, ...], part: str) -> Variable:
        return self.add_weight(
            shape,
            self._initializer(part),
            regularizer=getattr(self, f"{part}_regularizer"),
            constraint=getattr(self, f"{part}_constraint"),
            name=name,
        )

    def _initializer(self, part: str) -> Any:
        return getattr(self, f"{part}_initializer")

    def _dropped(self, name: str, rate: float, x: Any, training: bool) -> Any:
        """The input of each gate: one for all of them, or a list."""
        if not training or not 0 < rate < (1 if self.gates > 1 else 2):
            return x
        count = self.gates if self.implementation == 1 and self.gates > 1 else None
        masks = self.dropout_masks(name, rate, x, count)
        return [x * mask for mask in masks] if count else x * masks

    def _product(self, x: Any, kernel: Any, bias: Any = None) -> Any:
        """x W + b; where x is a list, one input for each gate's columns."""
        if not isinstance(x, list):
            return ops.dense(x, kernel, bias)
        parts = ops.split(kernel, self.gates, axis=1)
        y = ops.concatenate([ops.matmul(v, part) for v, part in zip(x, parts)], axis=-1)
        return y if bias is None else y + bias

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Zeros, (batch_size, units) for each state."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [ops.zeros((batch_size, n), self.compute_dtype) for n in sizes]

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
        }
        for kind in ("initializer", "regularizer", "constraint"):
            for part in _WEIGHTS:
                config[f"{part}_{kind}"] = serialize(getattr(self, f"{part}_{kind}"))
        return {
            **config,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }


def settings_of(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor, without self, the class and kwargs."""
    return {k: v for k, v in given.items() if k not in ("self", "__class__", "kwargs")}


def show_settings_of_cell(layer: type, *names: str) -> None:
    """Give a class of layers properties that read those of its `cell`."""
    for name in names:
        read = attrgetter(f"cell.{name}")
        setattr(layer, name, property(read, doc=f"The cell's {name}."))
