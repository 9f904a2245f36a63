"""Bidirectional: a recurrent layer over the steps in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.errors import described, unknown_name
from gpunn.layers.layer import Layer
from gpunn.layers.rnn import RNN
from gpunn.objects import serialize

_MODES = ("sum", "mul", "ave", "concat", None)
_COMMON = ("stateful", "return_sequences", "return_state")


class Bidirectional(Layer):
    """y = merge(forward(x), backward(x)), the outputs of both in the order of the steps.

    `layer`: an `RNN` (or a layer with go_backwards, return_sequences, return_state), of which both
    directions are copies; `backward_layer`: another one for the way back. `merge_mode`: "concat",
    "sum", "ave", "mul", or None for both outputs. Masked steps give 0. `initial_state`: the states
    of the forward layer, then those of the backward one.  Schuster & Paliwal 1997

    >>> gpunn.layers.Bidirectional(gpunn.layers.LSTM(32, return_sequences=True))
    """

    supports_masking = True

    def __init__(
        self, layer: Any, merge_mode: str | None = "concat", weights: Any = None,
        backward_layer: Any = None, **kwargs: Any,
    ):  # fmt: skip
        for name, value in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(value, Layer) and (name == "layer" or value is not None):
                raise ValueError(f"Bidirectional: {name} must be a layer, received {value!r}.")
            if value is not None and not hasattr(value, "go_backwards"):
                raise ValueError(
                    f"Bidirectional: {name} must be a recurrent layer, with go_backwards, received "
                    f"{value!r}."
                )
        if merge_mode not in _MODES:
            raise unknown_name("merge_mode", str(merge_mode), [str(m) for m in _MODES])
        super().__init__(**kwargs)
        self.forward_layer = _copied(layer, name=f"forward_{_bare(layer, 'forward_')}")
        if backward_layer is None:
            backward_layer = _copied(
                layer, go_backwards=True, name=f"backward_{_bare(layer, 'backward_')}"
            )
        self.backward_layer = backward_layer
        self._check_directions()
        for direction in (self.forward_layer, self.backward_layer):
            if hasattr(layer, "use_cudnn") and hasattr(direction, "use_cudnn"):
                direction.use_cudnn = layer.use_cudnn
            if hasattr(direction, "zero_output_for_mask"):
                direction.zero_output_for_mask = direction.return_sequences
        self.merge_mode = merge_mode
        self.stateful = layer.stateful
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.input_spec = layer.input_spec
        self._initial_weights = weights

    def _check_directions(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                f"Bidirectional: the two layers must go in different directions; both have "
                f"go_backwards={forward.go_backwards}."
            )
        for name in _COMMON:
            if getattr(forward, name) != getattr(backward, name):
                raise ValueError(
                    f"Bidirectional: the two layers must agree on '{name}', received "
                    f"{getattr(forward, name)} (forward) and {getattr(backward, name)} (backward)."
                )

    def build(self, sequences_shape: SymbolicShape) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._initial_weights is not None:
            self.set_weights(list(self._initial_weights))

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        first = second = None
        if initial_state is not None:
            count = len(self.forward_layer.state_size)
            wanted = count + len(self.backward_layer.state_size)
            if not isinstance(initial_state, (list, tuple)) or len(initial_state) != wanted:
                raise ValueError(
                    f"Bidirectional '{self.name}': initial_state must be a list of {wanted}, those "
                    f"of the forward layer first, received {described(initial_state)}."
                )
            first, second = initial_state[:count], initial_state[count:]
        y = self.forward_layer(sequences, **_given(first, mask))
        back = self.backward_layer(sequences, **_given(second, mask))
        states: tuple = ()
        if self.return_state:
            states = (*y[1:], *back[1:])
            y, back = y[0], back[0]
        if self.return_sequences:
            back = ops.flip(back, axis=1)
        output = self._merged(y, back)
        if not self.return_state:
            return output
        return (*output, *states) if self.merge_mode is None else (output, *states)

    def _merged(self, y: Any, back: Any) -> Any:
        if self.merge_mode == "concat":
            return ops.concatenate([y, back], axis=-1)
        if self.merge_mode == "mul":
            return y * back
        if self.merge_mode is None:
            return y, back
        return (y + back) / 2 if self.merge_mode == "ave" else y + back

    def reset_state(self) -> None:
        """Let both directions begin anew, with zeros."""
        if not self.stateful:
            raise AttributeError(
                f"Bidirectional '{self.name}' has no states to reset: its layers are not stateful."
            )
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    @property
    def states(self) -> Any:
        """The states of both directions, None if they are not stateful."""
        if self.forward_layer.states and self.backward_layer.states:
            return (*self.forward_layer.states, *self.backward_layer.states)
        return None

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        shapes = [
            layer.compute_output_shape(sequences_shape)
            for layer in (self.forward_layer, self.backward_layer)
        ]
        states: tuple = ()
        if self.return_state:
            states = tuple(state for _, *own in shapes for state in own)
            shapes = [shape[0] for shape in shapes]
        if self.merge_mode is None:
            return (*shapes, *states)
        merged = shapes[0]
        if self.merge_mode == "concat":
            merged = (*merged[:-1], merged[-1] + shapes[1][-1])
        return (merged, *states) if states else merged

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        mask = mask if self.return_sequences else None
        masks = [mask] * (2 if self.merge_mode is None else 1)
        if self.return_state:
            directions = self.forward_layer, self.backward_layer
            masks += [None] * sum(len(layer.state_size) for layer in directions)
        return masks if len(masks) > 1 else mask

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "merge_mode": self.merge_mode,
            "layer": serialize(self.forward_layer),
            "backward_layer": serialize(self.backward_layer),
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        from gpunn.layers import deserialize

        found = {name: config.get(name) for name in ("layer", "backward_layer")}
        for name, part in found.items():
            if isinstance(part, Mapping):
                found[name] = deserialize(part, custom_objects)
        return cls(**{**config, **found})


def _bare(layer: Layer, prefix: str) -> str:
    return layer.name.removeprefix(prefix)


def _copied(layer: Any, **changes: Any) -> Any:
    """A new layer of the same settings but these, with weights of its own."""
    if isinstance(layer, RNN):
        return layer.copied(**changes)
    return type(layer).from_config({**layer.get_config(), **changes})


def _given(states: Any, mask: Any) -> dict[str, Any]:
    return {k: v for k, v in (("initial_state", states), ("mask", mask)) if v is not None}
