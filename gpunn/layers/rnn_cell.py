"""What the cells of recurrent networks share: arguments, weights, dropout masks."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from gpunn import activations, constraints, initializers, ops, random, regularizers
from gpunn.arguments import is_number, true_or_false, whole_number
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError
from gpunn.layers.layer import Layer
from gpunn.objects import serialize

_WEIGHTS = ("kernel", "recurrent", "bias")


class DropoutCell(Layer):
    """A cell with kernel, recurrent kernel and bias, whose dropout masks hold for a sequence."""

    _untracked = (*Layer._untracked, "_masks")
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    unit_forget_bias = False

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._masks: dict[str, Any] = {}

    def _take(self, settings: dict[str, Any]) -> None:
        """Keep the settings that all cells have: of weights, and of dropout."""
        for part in _WEIGHTS:
            for kind, module in (
                ("initializer", initializers), ("regularizer", regularizers),
                ("constraint", constraints),
            ):  # fmt: skip
                name = f"{part}_{kind}"
                setattr(self, name, module.get(settings[name]))
        for name in ("dropout", "recurrent_dropout"):
            rate = settings[name]
            if not is_number(rate):
                raise ValueError(
                    f"{type(self).__name__}: {name} must be a number, received {rate!r}."
                )
            setattr(self, name, min(1.0, max(0.0, rate)))
        self.seed = settings["seed"]
        self.seed_generator = random.SeedGenerator(self.seed)
        self.bias: Variable | None = None

    def _settings(self) -> dict[str, Any]:
        """What `_take` took, for the config."""
        config = {
            f"{part}_{kind}": serialize(getattr(self, f"{part}_{kind}"))
            for kind in ("initializer", "regularizer", "constraint")
            for part in _WEIGHTS
        }
        names = ("dropout", "recurrent_dropout", "seed")
        return {**config, **{name: getattr(self, name) for name in names}}

    def _weight(self, name: str, shape: tuple[int, ...], part: str) -> Variable:
        forgets = part == "bias" and self.unit_forget_bias
        return self.add_weight(
            shape,
            self._forgetting if forgets else getattr(self, f"{part}_initializer"),
            regularizer=getattr(self, f"{part}_regularizer"),
            constraint=getattr(self, f"{part}_constraint"),
            name=name,
        )

    def _forgetting(self, shape: Any, dtype: Any = None) -> Any:
        """b (4·units,), in which the forget gate begins at 1 (Jozefowicz et al. 2015)."""
        n, rest = shape[0] // 4, self.bias_initializer
        parts = rest((n,), dtype=dtype), ops.ones((n,), dtype), rest((2 * n,), dtype=dtype)
        return ops.concatenate([ops.convert_to_tensor(p) for p in parts])

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
        self, units: int, activation: Any, use_bias: bool, settings: dict[str, Any], **kwargs: Any
    ):
        implementation = kwargs.pop("implementation", 2) if self.gates > 1 else 2
        super().__init__(**kwargs)
        self.units = whole_number(f"{type(self).__name__}: units", units)
        if implementation not in (0, 1, 2):
            raise ValueError(f"implementation must be 1 or 2, received {implementation!r}.")
        self.activation = activations.get(activation)
        self.use_bias = true_or_false(f"{type(self).__name__}: use_bias", use_bias)
        self._take(settings)
        self.implementation = 1 if self.recurrent_dropout and self.gates > 1 else implementation
        self.state_size: Any = self.units
        self.output_size = self.units
        self.bias_shape = (self.gates * self.units,)

    def build(self, input_shape: SymbolicShape) -> None:
        if len(input_shape) != 2:
            raise ShapeError(
                f"{type(self).__name__} '{self.name}' takes one step (batch, features), received "
                f"shape {tuple(input_shape)}."
            )
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

    def drops(self, rate: float) -> bool:
        """Whether this rate has an effect; one of 1 has none in cells with gates, as in Keras."""
        return rate > 0 and (rate < 1 or self.gates == 1)

    def _dropped(self, name: str, rate: float, x: Any, training: bool) -> Any:
        """The input of each gate: one for all of them, or a list."""
        if not training or not self.drops(rate):
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
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            **self._settings(),
        }


def settings_of(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor, without self, the class and kwargs."""
    return {k: v for k, v in given.items() if k not in ("self", "__class__", "kwargs")}


def show_settings_of_cell(layer: type, *names: str) -> None:
    """Give a class of layers properties that read those of its `cell`."""
    for name in names:
        read = attrgetter(f"cell.{name}")
        setattr(layer, name, property(read, doc=f"The cell's {name}."))
