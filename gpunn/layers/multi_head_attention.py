"""MultiHeadAttention: several heads attend at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.layers.attention_heads import HeadedAttention, check_lengths, positive


class MultiHeadAttention(HeadedAttention):
    """Several heads attend at once: query (N, T, D), value (N, S, E), y (N, T, D).

    Head h: softmax(Q W_q K W_k / √key_dim) V W_v; y = all heads side by side, times a last weight
    W_o. `key`: `value` by default. `output_shape` in place of D; `attention_axes`: the axes to
    attend over, all between batch and features by default. `use_gate`: heads times sigmoid(Q W_g).
    `sliding_window`: a query sees keys that are nearer than this. Masks: of query, value and key by
    what they bring along, `attention_mask` (N, T, S), `use_causal_mask`.  Vaswani et al. 2017

    >>> gpunn.layers.MultiHeadAttention(num_heads=4, key_dim=16)(x, x, use_causal_mask=True)
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
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
        **kwargs: Any,
    ):
        given = dict(locals())
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._configure(given)
        self.num_heads = positive("MultiHeadAttention", "num_heads", num_heads)
        self.key_dim = self.head_size = positive("MultiHeadAttention", "key_dim", key_dim)
        self.value_dim = positive("MultiHeadAttention", "value_dim", value_dim, True) or key_dim
        self._output_shape = _tuple("output_shape", output_shape) or None
        self.attention_axes = _tuple("attention_axes", attention_axes) or None

    @property
    def dropout(self) -> float:
        """The rate at which weights are dropped in training."""
        return self._dropout

    @property
    def use_bias(self) -> bool:
        """Whether the projections have biases."""
        return self._use_bias

    def build(  # type: ignore[override]  # one shape for each input
        self,
        query_shape: SymbolicShape,
        value_shape: SymbolicShape,
        key_shape: SymbolicShape | None = None,
    ) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        check_lengths(self, value_shape, key_shape)
        rank = len(query_shape)
        axes = self.attention_axes or tuple(range(1, rank - 1))
        self.attention_axes = tuple(a if a >= 0 else rank + a for a in axes)
        heads, values = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim)
        self.query_dense = self._projection("query", heads, query_shape)
        self.key_dense = self._projection("key", heads, key_shape)
        if self._use_gate:
            self.gate_dense = self._projection("gate", values, query_shape, activation="sigmoid")
        self.value_dense = self._projection("value", values, value_shape)
        self._finish_build()
        self.output_dense = self._projection(
            "attention_output", self._output_shape or (query_shape[-1],),
            (*query_shape[:-1], *values), bound=2,
        )  # fmt: skip

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
        heads = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        lengths = [tuple(x.shape[a] for a in self.attention_axes or ()) for x in (query, key)]
        several = len(lengths[0]) > 1
        if several:
            attention_mask = self._folded(attention_mask, lengths)
            given = query_mask, value_mask, key_mask, self._sliding_window
            if use_causal_mask or any(m is not None for m in given):
                raise ValueError(
                    f"MultiHeadAttention '{self.name}' attends over the axes "
                    f"{self.attention_axes}: of masks it takes attention_mask only then."
                )

        def seen(scores: Any) -> Any:
            masks = query_mask, value_mask, key_mask, attention_mask
            return self._seen(scores, *masks, use_causal_mask)

        q, k, v = [self._heads_first(x) for x in heads]
        plain = len(query.shape) == 3 and not return_attention_scores
        y, weights = self._weighted(q, k, v, seen, training, not plain)
        y = self._heads_last(y, lengths[0])
        if self._use_gate:
            y = y * self.gate_dense(query)
        outputs = self.output_dense(y)
        if query_mask is not None:
            outputs._keras_mask = query_mask
        if not return_attention_scores:
            return outputs
        if several:
            weights = ops.reshape(weights, (*weights.shape[:-2], *lengths[0], *lengths[1]))
        return outputs, weights

    def _order(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The axes of (N, ..., heads, features): those of the batch and the heads, those to attend
        over.
        """
        over = self.attention_axes or ()
        return tuple(a for a in range(rank - 1) if a not in over), over

    def _heads_first(self, x: Any) -> Any:
        """(N, ..., heads, d) -> (N, ..., heads, T, d), T all axes to attend over together."""
        rank = len(x.shape)
        batch, over = self._order(rank)
        x = ops.transpose(x, (*batch, *over, rank - 1))
        if len(over) == 1:
            return x
        lead = tuple(x.shape[: len(batch)])
        return ops.reshape(x, (*lead, prod(x.shape[len(batch) : -1]), x.shape[-1]))

    def _heads_last(self, y: Any, lengths: tuple[int, ...]) -> Any:
        """(N, ..., heads, T, e) -> (N, ..., heads, e)."""
        rank = len(y.shape) - 1 + len(lengths)
        batch, over = self._order(rank)
        if len(over) > 1:
            y = ops.reshape(y, (*y.shape[: len(batch)], *lengths, y.shape[-1]))
        order = (*batch, *over, rank - 1)
        return ops.transpose(y, tuple(order.index(a) for a in range(rank)))

    def _folded(self, mask: Any, lengths: list[tuple[int, ...]]) -> Any:
        """(..., T1, T2, S1, S2) -> (..., T, S)."""
        if mask is None:
            return None
        lead = tuple(mask.shape[: -2 * len(lengths[0])])
        return ops.reshape(mask, (*lead, prod(lengths[0]), prod(lengths[1])))

    def compute_output_shape(  # type: ignore[override]
        self,
        query_shape: SymbolicShape,
        value_shape: SymbolicShape,
        key_shape: SymbolicShape | None = None,
    ) -> SymbolicShape:
        check_lengths(self, value_shape, value_shape if key_shape is None else key_shape)
        return (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **self._shared_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_shape": self._output_shape,
            "attention_axes": self.attention_axes,
        }


def _tuple(name: str, value: Any) -> tuple[int, ...]:
    """A tuple of an integer or a sequence of them; () of None."""
    if value is None:
        return ()
    if isinstance(value, int):
        return (value,)
    if not isinstance(value, (list, tuple)):
        raise ValueError(
            f"MultiHeadAttention: {name} must be an integer, a list or a tuple, received {value!r}."
        )
    return tuple(value)
