"""EinsumDense: a dense layer whose product is any Einstein sum."""

from __future__ import annotations

import re
from typing import Any

from gpunn import activations, constraints, initializers, ops, regularizers
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError
from gpunn.layers.layer import Layer
from gpunn.objects import serialize

_EQUATION = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class EinsumDense(Layer):
    """y = f(einsum(equation, x, W) + b), with the kernel W and the bias b.

    `equation`: "ab,bc->ac", "...x,xy->...y" or "ab...,bc->ac...": the axes of x, of W and of y.
    `output_shape`: the lengths of y without its batch axis and the axes under "..."; None where x
    has them. `bias_axes`: the axes of y that the bias has, None for no bias.

    >>> gpunn.layers.EinsumDense("abc,cd->abd", output_shape=(None, 64), bias_axes="d")
    """

    def __init__(
        self,
        equation: str,
        output_shape: Any,
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        given = {
            "lora_rank": lora_rank, "lora_alpha": lora_alpha,
            "gptq_unpacked_column_size": gptq_unpacked_column_size,
            "quantization_config": quantization_config,
        }  # fmt: skip
        for name, value in given.items():
            if value is not None:
                raise NotImplementedError(f"EinsumDense: {name} is not supported. Leave it out.")
        self._axes = _parsed(equation)
        self.equation, self.bias_axes = equation, bias_axes
        lengths = (output_shape,) if isinstance(output_shape, int) else output_shape
        self.partial_output_shape: SymbolicShape = tuple(lengths)
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.bias: Variable | None = None

    def _lengths(self, input_shape: SymbolicShape) -> tuple[dict[str, Any], SymbolicShape]:
        """The length of each letter, None where it is unknown, and those under "..."."""
        side, x, _, y = self._axes
        hidden = len(input_shape) - len(x)
        if hidden < 0 or (hidden and not side):
            raise ShapeError(
                f"EinsumDense '{self.name}': the equation {self.equation!r} needs inputs of "
                f"{len(x)} axes, received shape {tuple(input_shape)}."
            )
        middle = input_shape[:hidden] if side == "left" else input_shape[len(x) :]
        named = input_shape[hidden:] if side == "left" else input_shape[: len(x)]
        lengths = dict(zip(x, named, strict=True))
        shown = y if side == "left" else y[1:]
        if len(shown) != len(self.partial_output_shape):
            raise ShapeError(
                f"EinsumDense '{self.name}': output_shape needs one length for each of the axes "
                f"'{shown}' of {self.equation!r}, received {self.partial_output_shape}."
            )
        for letter, n in zip(shown, self.partial_output_shape, strict=True):
            known = lengths.get(letter)
            if None not in (n, known) and n != known:
                raise ShapeError(
                    f"EinsumDense '{self.name}': axis '{letter}' has length {known} in the inputs "
                    f"{tuple(input_shape)} and {n} in output_shape {self.partial_output_shape}."
                )
            lengths[letter] = n if known is None else known
        return lengths, tuple(middle)

    def build(self, input_shape: SymbolicShape) -> None:
        lengths, middle = self._lengths(input_shape)
        side, _, w, y = self._axes
        self.kernel = self._weight("kernel", [lengths.get(k) for k in w], w)
        if self.bias_axes is None:
            return
        strange = [k for k in self.bias_axes if k not in y]
        if strange:
            raise ValueError(
                f"EinsumDense '{self.name}': bias_axes {self.bias_axes!r} has '{strange[0]}', "
                f"which is no axis of the output '{y}'."
            )
        tail = y[min(map(y.index, self.bias_axes)) :] if self.bias_axes else ""
        shape = [lengths[k] if k in self.bias_axes else 1 for k in tail]
        self.bias = self._weight("bias", shape + [1] * len(middle) * (side == "right"), tail)

    def _weight(self, name: str, shape: list, letters: str) -> Variable:
        if None in shape:
            unknown = letters[shape.index(None)]
            raise ShapeError(
                f"EinsumDense '{self.name}': the {name} needs the length of axis '{unknown}' of "
                f"{self.equation!r}. Give it in output_shape, or inputs that have it."
            )
        return self.add_weight(
            tuple(shape),
            getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            name=name,
        )

    def call(self, inputs: Any) -> Any:
        y = ops.einsum(self.equation, inputs, self.kernel)
        return self.activation(y if self.bias is None else y + self.bias)

    def compute_output_shape(self, input_shape: SymbolicShape) -> SymbolicShape:
        lengths, middle = self._lengths(input_shape)
        side, _, _, y = self._axes
        named = tuple(lengths[letter] for letter in y)
        return middle + named if side == "left" else named + middle

    def get_config(self) -> dict[str, Any]:
        config = {
            "output_shape": self.partial_output_shape,
            "equation": self.equation,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "activity_regularizer": serialize(self.activity_regularizer),
            "quantization_config": None,
        }
        for kind in ("kernel", "bias"):
            for part in ("initializer", "regularizer", "constraint"):
                config[f"{kind}_{part}"] = serialize(getattr(self, f"{kind}_{part}"))
        return {**super().get_config(), **config}


def _parsed(equation: str) -> tuple[str, str, str, str]:
    """Where "..." stands ("left", "right" or ""), the axes of x, of W and of y."""
    found = _EQUATION.fullmatch(equation.replace(" ", ""))
    if found is None or (found[1], found[3]) != (found[5], found[7]) or (found[1] and found[3]):
        raise ValueError(
            f"EinsumDense: the equation must be like 'ab,bc->ac', '...a,ab->...b' or "
            f"'ab...,bc->ac...', received {equation!r}."
        )
    x, w, y = found[2], found[4], found[6]
    for letter in w:
        if letter not in x + y:
            raise ValueError(
                f"EinsumDense: axis '{letter}' of the kernel is neither an axis of the inputs nor "
                f"of the output ({equation!r}), so its length is unknown."
            )
    for letter in y:
        if letter not in x + w:
            raise ValueError(
                f"EinsumDense: axis '{letter}' of the output is neither an axis of the inputs nor "
                f"of the kernel ({equation!r})."
            )
    return "left" if found[1] else "right" if found[3] else "", x, w, y
