"""ReversibleEmbedding: a vector for each index, and back."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.errors import ShapeError
from gpunn.layers.embedding import Embedding


class ReversibleEmbedding(Embedding):
    """y_i = E_{index i}; with `reverse=True` the logits y = x Eᵀ, x (..., output_dim).

    `tie_weights`: whether the way back has the weights E too, or (output_dim, input_dim) weights of
    its own. `logit_soft_cap` c: logits are c · tanh(y / c). `reverse_dtype`: in which dtype they
    are computed; the compute dtype by default.  arXiv:1608.05859

    >>> embedding = gpunn.layers.ReversibleEmbedding(20_000, 64)
    >>> logits = embedding(decoder(embedding(tokens)), reverse=True)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ):
        if logit_soft_cap is not None and not logit_soft_cap > 0:
            raise ValueError(
                f"ReversibleEmbedding: logit_soft_cap must be positive or None, received "
                f"{logit_soft_cap!r}."
            )
        self.tie_weights = bool(tie_weights)
        super().__init__(
            input_dim, output_dim, embeddings_initializer, embeddings_regularizer,
            embeddings_constraint, mask_zero, **kwargs,
        )  # fmt: skip
        self.reverse_dtype = None if reverse_dtype is None else as_dtype(reverse_dtype).name
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: SymbolicShape | None = None) -> None:
        if self.built:
            return
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                (self.output_dim, self.input_dim),
                self.embeddings_initializer,
                autocast=False,
                name="reverse_embeddings",
            )

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if not reverse:
            return super().call(inputs)
        if inputs.shape[-1] != self.output_dim:
            raise ShapeError(
                f"ReversibleEmbedding '{self.name}': with reverse=True inputs are (..., "
                f"output_dim={self.output_dim}), received {tuple(inputs.shape)}."
            )
        dtype = self.reverse_dtype or self.compute_dtype
        kernel = ops.transpose(self.embeddings) if self.tie_weights else self.reverse_embeddings
        logits = ops.matmul(ops.cast(inputs, dtype), ops.cast(kernel, dtype))
        cap = self.logit_soft_cap
        return logits if cap is None else ops.tanh(logits / cap) * cap

    def compute_output_shape(self, input_shape: Any, reverse: bool = False) -> Any:
        lengths = input_shape[:-1] if reverse else input_shape
        return (*lengths, self.input_dim if reverse else self.output_dim)

    def get_config(self) -> dict[str, Any]:
        names = "tie_weights", "reverse_dtype", "logit_soft_cap"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
