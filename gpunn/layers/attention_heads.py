"""What MultiHeadAttention and GroupQueryAttention share: projections, masks, weighted means."""

from __future__ import annotations

from math import prod
from typing import Any

from gpunn import activations, constraints, initializers, ops, regularizers
from gpunn.arguments import is_whole
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.errors import ShapeError
from gpunn.layers.activation import Softmax
from gpunn.layers.layer import Layer
from gpunn.layers.regularization import Dropout
from gpunn.objects import serialize
from gpunn.ops.attention import band, masked_softmax


def positive(owner: str, name: str, value: Any, optional: bool = False) -> Any:
    """The value, if it is a positive integer (or None, where it is optional)."""
    if value is None and optional:
        return None
    if not is_whole(value, 1):
        kind = "a positive integer or None" if optional else "a positive integer"
        raise ValueError(f"{owner}: {name} must be {kind}, received {value!r}.")
    return int(value)


def check_lengths(layer: Any, value_shape: SymbolicShape, key_shape: SymbolicShape) -> None:
    """Each key belongs to one value."""
    if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
        raise ShapeError(
            f"{type(layer).__name__} '{layer.name}': value and key must have the same steps (value "
            f"{tuple(value_shape)}, key {tuple(key_shape)}). Each key belongs to one value."
        )


class HeadProjection(Layer):
    """y = f(x W + b) over the last `bound` axes: x (..., A), W (*A, *B), b (*B), y (..., B).

    A and B are one axis or several: the features, or heads and the features of each.
    """

    supports_masking = True

    def __init__(
        self, units: tuple[int, ...], bound: int, use_bias: bool, activation: Any,
        initial: dict[str, Any], name: str, dtype: Any, activity_regularizer: Any,
    ):  # fmt: skip
        super().__init__(name=name, dtype=dtype, activity_regularizer=activity_regularizer)
        self.units, self.bound, self.use_bias = units, bound, use_bias
        self.activation = activations.get(activation)
        self.initial = initial
        self.bias = None

    def build(self, input_shape: SymbolicShape) -> None:
        features = tuple(input_shape[-self.bound :])
        if None in features:
            raise ValueError(
                f"'{self.name}': the last axis of the input must be known, received {input_shape}."
            )
        self.features = prod(features)
        self.kernel = self._weight("kernel", (*features, *self.units))
        if self.use_bias:
            self.bias = self._weight("bias", self.units)

    def _weight(self, name: str, shape: tuple[int, ...]) -> Any:
        initializer, regularizer, constraint = self.initial[name]
        return self.add_weight(
            shape, initializer, regularizer=regularizer, constraint=constraint, name=name
        )

    def call(self, x: Any) -> Any:
        free = tuple(x.shape[: -self.bound])
        width = prod(self.units)
        if self.bound > 1:
            x = ops.reshape(x, (*free, self.features))
        bias = None if self.bias is None else ops.reshape(self.bias, (width,))
        y = ops.dense(x, ops.reshape(self.kernel, (self.features, width)), bias)
        return self.activation(ops.reshape(y, (*free, *self.units)))


class HeadedAttention(Layer):
    """Base: y = concat_h(softmax(Q_h K_hᵀ / √d) V_h) W + b, with Q_h, K_h, V_h projections.

    Subclasses set `head_size` (d) and make the projections in `build`.
    """

    supports_masking = True
    _uses_lengths = True
    head_size: int

    def _configure(self, given: dict[str, Any]) -> None:
        """Take the arguments that both layers have."""
        if given["flash_attention"]:
            raise ValueError(
                f"{type(self).__name__}: flash_attention=True is not supported. Leave it out."
            )
        owner = type(self).__name__
        self._sliding_window = positive(owner, "sliding_window", given["sliding_window"], True)
        self._use_bias, self._use_gate = given["use_bias"], given["use_gate"]
        self._dropout, self.seed = given["dropout"], given["seed"]
        for name in ("kernel", "bias"):
            initializer = initializers.get(given[f"{name}_initializer"])
            setattr(self, f"_{name}_initializer", initializer)
            setattr(self, f"_{name}_regularizer", regularizers.get(given[f"{name}_regularizer"]))
            setattr(self, f"_{name}_constraint", constraints.get(given[f"{name}_constraint"]))

    def _projection(
        self, name: str, units: tuple[int, ...], shape: SymbolicShape, bound: int = 1,
        activation: Any = None,
    ) -> HeadProjection:  # fmt: skip
        """A projection, built for inputs of this shape."""
        initial = {}
        for kind in ("kernel", "bias"):
            given = getattr(self, f"_{kind}_initializer")
            if type(given).__module__.startswith("gpunn."):  # a copy draws numbers of its own
                given = type(given).from_config(given.get_config())
            others = getattr(self, f"_{kind}_regularizer"), getattr(self, f"_{kind}_constraint")
            initial[kind] = (given, *others)
        layer = HeadProjection(
            units, bound, self._use_bias, activation, initial, name, self.dtype_policy,
            self.activity_regularizer,
        )  # fmt: skip
        layer.build(shape)
        return layer

    def _finish_build(self) -> None:
        self._softmax = Softmax(dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self._dropout, seed=self.seed, dtype=self.dtype_policy)

    def _seen(
        self, scores: Any, query_mask: Any, value_mask: Any, key_mask: Any, attention_mask: Any,
        use_causal_mask: bool,
    ) -> Any:  # fmt: skip
        """Which key each query sees, to broadcast to the scores; None where it sees all."""
        masks = [] if query_mask is None else [ops.expand_dims(query_mask, -1)]
        masks += [ops.expand_dims(m, -2) for m in (value_mask, key_mask) if m is not None]
        if use_causal_mask:
            masks.append(ops.expand_dims(band(scores, after=0), 0))
        if self._sliding_window is not None:
            reach = self._sliding_window - 1
            masks.append(ops.expand_dims(band(scores, reach, reach), 0))
        masks += [] if attention_mask is None else [attention_mask]
        if not masks:
            return None
        seen = ops.cast(masks[0], "bool")
        for mask in masks[1:]:
            seen = ops.logical_and(seen, mask)
        while len(seen.shape) < len(scores.shape):
            seen = ops.expand_dims(seen, -3)
        return seen

    def _weighted(
        self, query: Any, key: Any, value: Any, seen: Any, training: bool, shows_weights: bool
    ) -> tuple[Any, Any]:
        """softmax(q kᵀ / √d) v and the softmax; q (..., T, d), k (..., S, d), v (..., S, e).

        `seen` makes the mask of the scores. Of a query that sees nothing Keras' plain path takes
        the mean of all values, its path with explicit scores takes 0; so do we.
        """
        scores = ops.matmul(query * self.head_size**-0.5, ops.swapaxes(key, -1, -2))
        mask = seen(scores)
        if self._dropout > 0 or shows_weights:
            weights = self._softmax(scores, mask=mask)
            return ops.matmul(self._dropout_layer(weights, training=training), value), weights
        return ops.matmul(masked_softmax(scores, mask), value), None

    def _shared_config(self) -> dict[str, Any]:
        config = {
            "dropout": self._dropout,
            "use_bias": self._use_bias,
            "use_gate": self._use_gate,
            "sliding_window": self._sliding_window,
            "activity_regularizer": serialize(self.activity_regularizer),
            "seed": self.seed,
        }
        for kind in ("kernel", "bias"):
            for part in ("initializer", "regularizer", "constraint"):
                config[f"{kind}_{part}"] = serialize(getattr(self, f"_{kind}_{part}"))
        return config
