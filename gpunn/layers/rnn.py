"""RNN: any cell, repeated over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicShape, SymbolicTensor
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError
from gpunn.layers.layer import Layer
from gpunn.layers.rnn_cell import DropoutCell
from gpunn.layers.rnn_stacked import StackedRNNCells
from gpunn.layers.rnn_states import (
    check_cell,
    copied_cell,
    flat,
    mapped,
    output_size,
    packed_like,
)
from gpunn.objects import serialize
from gpunn.ops.rnn_unstack import unstack_steps


class RNN(Layer):
    """y_t, s_t = cell(x_t, s_{t-1}) for each step: x (B, T, ...), states as the cell has them.

    `cell`: a layer (or a list of them, stacked) with `state_size` and `call(x_t, states) -> (y_t,
    states)`; optionally `output_size` and `get_initial_state(batch_size)`. Returns the last y, or
    all with `return_sequences`, and with `return_state` the last states too. `go_backwards`: the
    steps are done, and returned, in reverse. `stateful`: a batch begins where the last one ended.
    A masked step keeps the states and repeats the output, or gives 0 with `zero_output_for_mask`.
    `unroll` gives the same numbers and needs a known number of steps.

    >>> gpunn.layers.RNN([gpunn.layers.LSTMCell(8), gpunn.layers.GRUCell(4)])
    """

    _untracked = (*Layer._untracked, "states")
    supports_masking = True

    def __init__(
        self, cell: Any, return_sequences: bool = False, return_state: bool = False,
        go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
        zero_output_for_mask: bool = False, **kwargs: Any,
    ):  # fmt: skip
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        check_cell(cell)
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.stateful, self.unroll = go_backwards, stateful, unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.states: Any = None
        size = cell.state_size
        if not isinstance(size, (int, list, tuple)):
            raise ValueError(
                f"state_size of a cell must be an integer or a list of them, received {size!r}."
            )
        self.single_state = isinstance(size, int)
        self.state_size = [size] if isinstance(size, int) else list(size)

    # --- building ---

    def build(self, sequences_shape: SymbolicShape) -> None:
        shape = tuple(sequences_shape)
        if len(shape) < 3:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' takes sequences (batch, steps, features), "
                f"received shape {shape}."
            )
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((shape[0], *shape[2:]))
            self.cell.built = True
        if self.stateful:
            if shape[0] is None:
                raise ValueError(
                    f"{type(self).__name__} '{self.name}' is stateful, so the batch size must be "
                    f"known, received shape {shape}. Write Input(..., batch_size=...)."
                )
            initial = self.get_initial_state(shape[0])
            self.states = mapped(
                lambda s: Variable(s, dtype=self.dtype, trainable=False, name="rnn_state"), initial
            )

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """The states before the first step: the cell's own, or zeros."""
        if hasattr(self.cell, "get_initial_state"):
            initial = self.cell.get_initial_state(batch_size=batch_size)
            return list(initial) if isinstance(initial, (list, tuple)) else [initial]
        return [ops.zeros((batch_size, n), self.compute_dtype) for n in self.state_size]

    def reset_state(self) -> None:
        """Let a stateful layer begin anew, with zeros."""
        for state in flat(self.states):
            state.assign(ops.zeros_like(state))

    reset_states = reset_state

    # --- calling ---

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        mask = self._boolean(mask[0] if isinstance(mask, (list, tuple)) else mask, sequences)
        if self.unroll and sequences.shape[1] is None:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': unroll=True needs a known number of steps, "
                f"received shape {tuple(sequences.shape)}."
            )
        states = self._begin(sequences, initial_state)
        output, states = self._run(sequences, states, mask, training)
        output = ops.cast(output, self.compute_dtype)
        if self.stateful and not isinstance(output, SymbolicTensor):
            for variable, state in zip(flat(self.states), flat(states), strict=True):
                variable.assign(state)
        return (output, *states) if self.return_state else output

    def _boolean(self, mask: Any, sequences: Any) -> Any:
        """The mask as bool (B, T)."""
        if mask is None:
            return None
        if len(mask.shape) == 3 and mask.shape[2] == 1:
            mask = ops.squeeze(mask, axis=2)
        if not _fits(mask.shape, sequences.shape[:2]):
            raise ShapeError(
                f"{type(self).__name__} '{self.name}': the mask must be (batch, steps), received "
                f"{tuple(mask.shape)} for sequences {tuple(sequences.shape)}."
            )
        return mask if str(mask.dtype) == "bool" else ops.cast(mask, "bool")

    def _begin(self, sequences: Any, initial_state: Any) -> list[Any] | None:
        """The given states, or those of the batch before, or None: the cell's own."""
        batch = sequences.shape[0]
        if self.stateful:
            expected = flat(self.states)[0].shape[0]
            if batch is not None and batch != expected:
                raise ValueError(
                    f"{type(self).__name__} '{self.name}' is stateful and was built for batches "
                    f"of {expected}, received {batch}. All batches must have that size."
                )
        if initial_state is None:
            # copies: at the end the variables get new values, and gradients need the old ones
            return mapped(lambda s: s + 0, self.states) if self.stateful else None
        if not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        wanted = [1 if isinstance(n, int) else len(n) for n in self.state_size]
        received = [len(flat(state)) for state in initial_state]
        if received != wanted:
            several = f" in lists of {received}" if max([*wanted, *received]) > 1 else ""
            raise ValueError(
                f"{type(self).__name__} '{self.name}' has {len(self.state_size)} state(s) of size "
                f"{self.state_size}, received {len(initial_state)}{several}."
            )
        expected = _flat_shapes(self._state_shapes(tuple(sequences.shape)))
        for shape, state in zip(expected, flat(list(initial_state)), strict=True):
            if not _fits(state.shape, shape):
                raise ShapeError(
                    f"{type(self).__name__} '{self.name}': a state must have shape {shape}, "
                    f"received {tuple(state.shape)} (sequences {tuple(sequences.shape)})."
                )
        return list(initial_state)

    def _run(self, sequences: Any, states: Any, mask: Any, training: bool) -> tuple[Any, list]:
        """(output, states) after all steps."""
        if isinstance(sequences, SymbolicTensor):
            return self._symbolic(sequences, states, mask)
        if states is None:
            states = self.get_initial_state(sequences.shape[0])
        self._reset_dropout()
        xs = unstack_steps(sequences)
        masks: Any = [None] * len(xs) if mask is None else unstack_steps(mask)
        if self.go_backwards:
            xs, masks = xs[::-1], masks[::-1]
        outputs: list[Any] = []
        for x, on in zip(xs, masks, strict=True):
            before = outputs[-1] if outputs else None
            y, states = self._step(x, states, on, before)
            if not self.return_sequences:
                outputs.clear()
            outputs.append(y)
        self._reset_dropout()
        # y holds what a masked step repeats; what it shows may be 0
        if self.zero_output_for_mask and mask is not None:
            shown = masks if self.return_sequences else masks[-1:]
            outputs = [ops.where(_like(on, y), y, 0.0) for on, y in zip(shown, outputs)]
        return ops.stack(outputs, axis=1) if self.return_sequences else outputs[-1], states

    def _step(self, x: Any, states: list, on: Any, before: Any) -> tuple[Any, list]:
        """One step of the cell; where the mask is off, what was before it."""
        y, new = (self.cell if callable(self.cell) else self.cell.call)(x, states)
        new = list(new) if isinstance(new, (list, tuple)) else [new]
        if on is None:
            return y, new
        if before is None:
            before = self._output_before(states, y)
        kept = [ops.where(_like(on, s), s, p) for s, p in zip(flat(new), flat(states))]
        return ops.where(_like(on, y), y, before), packed_like(states, kept)

    def _output_before(self, states: list, y: Any) -> Any:
        """What a masked first step repeats: the first state of the (last) cell, or zeros."""
        own = states[-1] if isinstance(self.cell, StackedRNNCells) else states
        first = flat(own)[0]
        return first if first.shape == y.shape else ops.zeros_like(y)

    def _symbolic(self, sequences: Any, states: Any, mask: Any) -> tuple[Any, list]:
        """What `_run` will give, as shapes: the number of steps may be unknown."""
        output, *sizes = self._shapes_for(tuple(sequences.shape), True)
        shapes = [output, *_flat_shapes(sizes)]
        found = [SymbolicTensor(shape, self.compute_dtype) for shape in shapes]
        return found[0], packed_like(sizes, found[1:])

    def _reset_dropout(self) -> None:
        if isinstance(self.cell, Layer):
            for layer in self.cell._flatten_layers():
                if isinstance(layer, DropoutCell):
                    layer.reset_dropout_masks()

    # --- shapes, masks, config ---

    def _state_shapes(self, shape: SymbolicShape) -> list[Any]:
        """Those of the states, for sequences of this shape."""
        return [
            (shape[0], n) if isinstance(n, int) else [(shape[0], m) for m in n]
            for n in self.state_size
        ]

    def _step_shape(self, shape: SymbolicShape) -> SymbolicShape:
        """That of the output of one step, without the batch."""
        return (output_size(self.cell),)

    def _shapes_for(self, shape: SymbolicShape, with_states: bool) -> Any:
        kept = shape[:2] if self.return_sequences else shape[:1]
        output = (*kept, *self._step_shape(shape))
        return (output, *self._state_shapes(shape)) if with_states else output

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        return self._shapes_for(tuple(sequences_shape), self.return_state)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if isinstance(mask, (list, tuple)):
            mask = mask[0]
        found = mask if self.return_sequences else None
        return [found, *[None] * len(self.state_size)] if self.return_state else found

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
            "cell": serialize(self.cell),
        }

    def copied(self, **changes: Any) -> Any:
        """A new layer of the same settings but these, with weights of its own."""
        config = {**self.get_config(), **changes}
        if "cell" in config:
            config["cell"] = copied_cell(self.cell)
        return type(self).from_config(config)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        from gpunn.layers import deserialize

        config = dict(config)
        cell = config.get("cell")
        if isinstance(cell, Mapping):
            config["cell"] = deserialize(cell, custom_objects)
        return cls(**config)


def _fits(shape: Any, wanted: Any) -> bool:
    """Whether a shape is the wanted one, as far as lengths are known."""
    pairs = zip(shape, wanted)
    return len(shape) == len(wanted) and all(None in (n, m) or n == m for n, m in pairs)


def _like(on: Any, y: Any) -> Any:
    """A mask (B,) in the rank of y."""
    return ops.reshape(on, (-1, *[1] * (len(y.shape) - 1)))


def _flat_shapes(shapes: Sequence[Any]) -> list[tuple]:
    return [s for shape in shapes for s in (shape if isinstance(shape, list) else [shape])]
