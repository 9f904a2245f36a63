"""Attention of one head: each query takes a mean of the values, weighted by its scores."""

from __future__ import annotations

from typing import Any

from gpunn import ops, random
from gpunn.errors import unknown_name
from gpunn.layers.layer import Layer
from gpunn.ops.attention import band


class Attention(Layer):
    """y = softmax(scores) V, scores = Q Kᵀ: inputs [Q (N, T, D), V (N, S, E), K (N, S, D) = V].

    `score_mode="concat"`: scores = w · Σ tanh(q + k). `use_scale`: a weight times the scores (or
    the sum q + k). `mask=[query_mask, value_mask]`: masked values get no weight, masked queries the
    output 0; by default what the inputs bring along. `use_causal_mask`: no query sees later values.
    `return_attention_scores`: (y, softmax(scores)).  Luong et al. 2015

    >>> gpunn.layers.Attention()([query, value])
    """

    supports_masking = True

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise unknown_name("score_mode", score_mode, ("dot", "concat"))
        self.use_scale, self.score_mode = use_scale, score_mode
        self.dropout, self.seed = dropout, seed
        self.seed_generator = random.SeedGenerator(seed) if dropout > 0 else None

    def build(self, input_shape: Any) -> None:
        self._check_list(input_shape)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight((), "ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight((), "ones", name="concat_score_weight")

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        """Q (N, T, D), K (N, S, D) -> (N, T, S)."""
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return scores if self.scale is None else scores * self.scale
        pairs = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)
        pairs = pairs if self.scale is None else pairs * self.scale
        return ops.sum(ops.tanh(pairs), axis=-1) * self.concat_score_weight

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check_list(inputs, mask)
        query, value, key = (*inputs, inputs[1])[:3]
        query_mask, value_mask = mask[:2] if mask else (None, None)
        scores = self._calculate_scores(query, key)
        seen = None if value_mask is None else ops.expand_dims(value_mask, -2)
        if use_causal_mask:
            causal = band(scores, after=0)
            seen = causal if seen is None else ops.logical_and(seen, causal)
        if seen is not None:
            low = 3e4 if scores.dtype == "float16" else 1e9
            scores = ops.where(seen, scores, scores - low)
        weights = ops.softmax(scores)
        if training and self.dropout > 0:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        outputs = ops.matmul(weights, value)
        if query_mask is not None:
            outputs = ops.where(ops.expand_dims(query_mask, -1), outputs, 0.0)
            outputs._keras_mask = query_mask
        return (outputs, weights) if return_attention_scores else outputs

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        self._check_list(inputs, mask)
        return mask[0] if mask else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:-1], input_shape[1][-1])

    def _check_list(self, inputs: Any, mask: Any = None) -> None:
        kind = type(self).__name__
        if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3):
            given = f"{len(inputs)}" if isinstance(inputs, (list, tuple)) else repr(inputs)
            raise ValueError(
                f"{kind} '{self.name}' takes a list [query, value] or [query, value, key], "
                f"received {given}."
            )
        if mask is not None and (not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3)):
            raise ValueError(
                f"{kind} '{self.name}': mask must be a list [query_mask, value_mask], in which "
                f"each may be None, received {type(mask).__name__}."
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "use_scale": self.use_scale,
            "score_mode": self.score_mode,
            "dropout": self.dropout,
            "seed": self.seed,
        }


class AdditiveAttention(Attention):
    """`Attention` with scores = Σ w · tanh(q + k), w (D,) if `use_scale`.  Bahdanau et al. 2015

    >>> gpunn.layers.AdditiveAttention()([query, value])
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        self._check_list(input_shape)
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight((input_shape[0][-1],), "glorot_uniform", name="scale")

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        pairs = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))
        return ops.sum(pairs if self.scale is None else pairs * self.scale, axis=-1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config
