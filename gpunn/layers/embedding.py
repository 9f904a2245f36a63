"""Embedding: a vector for each index; Masking: what of a series does not count."""

from __future__ import annotations

import warnings
from typing import Any

from gpunn import constraints, initializers, ops, regularizers
from gpunn.arguments import whole_number
from gpunn.autodiff.symbolic import SymbolicShape, SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.layers.layer import Layer
from gpunn.objects import serialize
from gpunn.ops.embedding import alarm_for, take_rows


class Embedding(Layer):
    """y_i = E_{index i}: indices (...) of integers in [0, input_dim), y (..., output_dim).

    `mask_zero`: index 0 is padding, masked in the layers that follow. `weights`: E at the start. An
    index out of range raises `IndexError`; on a GPU when the next value is read. In `fit`, methods
    that a gradient of zeros does not move (SGD without momentum, Adagrad) update the rows of the
    batch only. Low-rank adaptation (`lora_rank`) and quantization are not supported.

    >>> gpunn.layers.Embedding(20_000, 64, mask_zero=True)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ):
        input_dim = whole_number("Embedding: input_dim", input_dim)
        output_dim = whole_number("Embedding: output_dim", output_dim)
        refused = {"lora_rank": lora_rank, "lora_alpha": lora_alpha}
        refused["quantization_config"] = quantization_config
        for name, value in refused.items():
            if value is not None:
                raise ValueError(
                    f"Embedding: {name} is not supported, received {value!r}. Leave it out."
                )
        if kwargs.pop("input_length", None) is not None:
            warnings.warn(
                "Embedding: input_length is of no use any more. Leave it out.", stacklevel=2
            )
        super().__init__(**kwargs)
        self.input_dim, self.output_dim = input_dim, output_dim
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = self.supports_masking = bool(mask_zero)
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def build(self, input_shape: SymbolicShape | None = None) -> None:
        if self.built:
            return
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            autocast=False,  # a few rows are cast, not the whole table
            name="embeddings",
        )
        self._alarm = alarm_for(self.embeddings, f"Embedding '{self.name}'")

    def _as_input(self, value: Any, positional: bool = False) -> Any:
        """Indices are not cast to the compute dtype, in which large ones may not exist."""
        if isinstance(value, (Tensor, SymbolicTensor)):
            return value
        return super()._as_input(value, positional)

    def call(self, inputs: Any) -> Any:
        indices = inputs if inputs.dtype == "int32" else ops.cast(inputs, "int64")
        owner = f"Embedding '{self.name}'"
        rows = take_rows(self.embeddings, indices, owner=owner, alarm=self._alarm)
        outputs = ops.cast(rows, self.compute_dtype)
        outputs._keras_mask = self.compute_mask(inputs)
        return outputs

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return {
            **config,
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": serialize(self.embeddings_initializer),
            "embeddings_regularizer": serialize(self.embeddings_regularizer),
            "activity_regularizer": serialize(self.activity_regularizer),
            "embeddings_constraint": serialize(self.embeddings_constraint),
            "mask_zero": self.mask_zero,
        }


class Masking(Layer):
    """y = x, but 0 in the steps in which all features equal `mask_value`: those are masked.

    x (N, T, ..., F), mask (N, T, ...); see which layers take masks: `Layer.supports_masking`.

    >>> gpunn.layers.Masking(mask_value=-1.0)
    """

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Any) -> Any:
        valid = ops.any(ops.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        outputs = ops.where(valid, inputs, 0)
        outputs._keras_mask = ops.squeeze(valid, -1)
        return outputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}
