"""GroupQueryAttention: several heads of queries share one of keys and values."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.layers.attention_heads import HeadedAttention, positive
from gpunn.naming import unique_name


class GroupQueryAttention(HeadedAttention):
    """`MultiHeadAttention` in which groups of query heads share a head of key and value.

    query (N, T, D), value and key (N, S, E), y (N, T, D).  arXiv:2305.13245

    >>> gpunn.layers.GroupQueryAttention(16, num_query_heads=8, num_key_value_heads=2)(x, x)
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        given = dict(locals())
        name = name or unique_name("grouped_query_attention")  # Keras' name of the class
        super().__init__(activity_regularizer=activity_regularizer, name=name, **kwargs)
        self._configure(given)
        owner = "GroupQueryAttention"
        self.head_dim = self.head_size = positive(owner, "head_dim", head_dim)
        self.num_query_heads = positive(owner, "num_query_heads", num_query_heads)
        self.num_key_value_heads = positive(owner, "num_key_value_heads", num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                f"{owner}: num_query_heads must be a multiple of num_key_value_heads, received "
                f"{num_query_heads} and {num_key_value_heads}."
            )

    def build(  # type: ignore[override]  # one shape for each input
        self,
        query_shape: SymbolicShape,
        value_shape: SymbolicShape,
        key_shape: SymbolicShape | None = None,
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        heads = (self.num_query_heads, self.head_dim)
        shared = (self.num_key_value_heads, self.head_dim)
        self.query_dense = self._projection("query", heads, query_shape)
        self.key_dense = self._projection("key", shared, key_shape)
        if self._use_gate:
            self.gate_dense = self._projection("gate", heads, query_shape, activation="sigmoid")
        self.value_dense = self._projection("value", shared, value_shape)
        self._finish_build()
        self.output_dense = self._projection(
            "attention_output", (query_shape[-1],), (None, None, *heads), bound=2
        )

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        key = value if key is None else key
        repeats = self.num_query_heads // self.num_key_value_heads

        def seen(scores: Any) -> Any:
            masks = query_mask, value_mask, key_mask, attention_mask
            return self._seen(scores, *masks, use_causal_mask)

        q = ops.swapaxes(self.query_dense(query), 1, 2)
        k, v = [
            ops.repeat(ops.swapaxes(project(x), 1, 2), repeats, axis=1)
            for project, x in ((self.key_dense, key), (self.value_dense, value))
        ]
        y, weights = self._weighted(q, k, v, seen, training, return_attention_scores)
        y = ops.swapaxes(y, 1, 2)
        if self._use_gate:
            y = y * self.gate_dense(query)
        outputs = self.output_dense(y)
        if query_mask is not None:
            outputs._keras_mask = query_mask
        return (outputs, weights) if return_attention_scores else outputs

    def compute_output_shape(  # type: ignore[override]
        self,
        query_shape: SymbolicShape,
        value_shape: SymbolicShape,
        key_shape: SymbolicShape | None = None,
    ) -> SymbolicShape:
        return tuple(query_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **self._shared_config(),
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
        }
