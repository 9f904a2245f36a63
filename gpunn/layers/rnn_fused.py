"""SimpleRNN, LSTM and GRU: recurrent layers whose whole sequence is one op."""

from __future__ import annotations

import inspect
from typing import Any

from gpunn import activations, ops, random
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.layers.rnn import RNN
from gpunn.layers.rnn_cell import GatedCell, settings_of, show_settings_of_cell
from gpunn.layers.rnn_cells import GRUCell, LSTMCell, SimpleRNNCell
from gpunn.ops.rnn import gru_sequence, lstm_sequence, simple_rnn_sequence

_SIMPLE = {activations.tanh: "tanh", activations.relu: "relu", activations.linear: "linear"}


class FusedRNN(RNN):
    """An `RNN` of a cell of ours: as one op where the activations allow it, else step by step."""

    cell_class: type[GatedCell]

    def __init__(self, given: dict[str, Any], kwargs: dict[str, Any]):
        cell = self._cell(given, kwargs)
        names = inspect.signature(RNN.__init__).parameters
        options = {k: v for k, v in given.items() if k in names}
        super().__init__(
            cell, activity_regularizer=given["activity_regularizer"], **options, **kwargs
        )
        self.input_spec = InputSpec(ndim=3)
        if given.get("use_cudnn", "auto") not in ("auto", True, False):
            raise ValueError(
                f"use_cudnn must be 'auto', True or False, received {given['use_cudnn']!r}."
            )
        self.use_cudnn = given.get("use_cudnn", "auto")

    def _cell(self, given: dict[str, Any], kwargs: dict[str, Any]) -> GatedCell:
        names = inspect.signature(self.cell_class.__init__).parameters
        options = {k: v for k, v in given.items() if k in names}
        if "implementation" in kwargs:
            options["implementation"] = kwargs.pop("implementation")
        shared = {k: kwargs[k] for k in ("dtype", "trainable") if k in kwargs}
        name = {"SimpleRNN": "simple_rnn_cell", "LSTM": "lstm_cell", "GRU": "gru_cell"}
        return self.cell_class(name=name[self.cell_class.__name__[:-4]], **options, **shared)

    def _fuses(self, training: bool) -> bool:
        """Whether the op computes what the cell would."""
        cell = self.cell
        own_masks = cell.implementation == 1 and cell.dropout > 0
        return not (training and (cell.recurrent_dropout > 0 or own_masks))

    def _sequence(self, x: Any, states: list, mask: Any) -> tuple[Any, ...]:
        """(y, *states) by one op."""
        raise NotImplementedError

    def _run(self, sequences: Any, states: Any, mask: Any, training: bool) -> tuple[Any, list]:
        if not self._fuses(training):
            return super()._run(sequences, states, mask, training)
        cell, x = self.cell, ops.cast(sequences, self.compute_dtype)  # they may be integers
        if training and cell.drops(cell.dropout):
            shape = (x.shape[0], 1, x.shape[2])  # one choice for all steps
            x = random.dropout(x, cell.dropout, shape, cell.seed_generator)
        if states is None:
            states = [None] * len(self.state_size)
        y, *last = self._sequence(x, states, mask)
        if self.zero_output_for_mask and mask is not None:
            y = self._zeroed(y, mask)
        return y, last

    def _zeroed(self, y: Any, mask: Any) -> Any:
        """y with zeros where the mask is off."""
        if not self.return_sequences:
            return ops.where(mask[:, 0 if self.go_backwards else -1, None], y, 0.0)
        shown = ops.flip(mask, axis=1) if self.go_backwards else mask
        return ops.where(ops.expand_dims(shown, -1), y, 0.0)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), **self.cell.get_config()}
        del config["cell"]
        own = {k: v for k, v in Layer.get_config(self).items() if k != "activity_regularizer"}
        regularizer = Layer.get_config(self).get("activity_regularizer")
        return {**config, **own, "activity_regularizer": regularizer}


show_settings_of_cell(
    FusedRNN, "units", "activation", "recurrent_activation", "use_bias", "kernel_initializer",
    "recurrent_initializer", "bias_initializer", "unit_forget_bias", "kernel_regularizer",
    "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint",
    "bias_constraint", "dropout", "recurrent_dropout", "reset_after", "seed",
)  # fmt: skip


class SimpleRNN(FusedRNN):
    """h_t = f(x_t W + h_{t-1} U + b): x (B, T, F), y (B, units), or (B, T, units).

    Arguments as for `SimpleRNNCell` and `RNN`.

    >>> gpunn.layers.SimpleRNN(32, return_sequences=True)
    """

    cell_class = SimpleRNNCell

    def __init__(
        self, units: int, activation: Any = "tanh", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, kernel_constraint: Any = None,
        recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, return_sequences: bool = False,
        return_state: bool = False, go_backwards: bool = False, stateful: bool = False,
        unroll: bool = False, seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(settings_of(locals()), kwargs)

    def _fuses(self, training: bool) -> bool:
        return self.cell.activation in _SIMPLE and super()._fuses(training)

    def _sequence(self, x: Any, states: list, mask: Any) -> tuple[Any, ...]:
        cell = self.cell
        return simple_rnn_sequence(
            x, cell.kernel, cell.recurrent_kernel, cell.bias, *states, mask,
            activation=_SIMPLE[cell.activation], go_backwards=self.go_backwards,
            return_sequences=self.return_sequences,
        )  # fmt: skip


class LSTM(FusedRNN):
    """The long short-term memory: x (B, T, F), y (B, units), or (B, T, units); states [h, c].

    Arguments as for `LSTMCell` and `RNN`. With the default activations the whole sequence is one
    op, on GPUs with fused kernels; `use_cudnn` is taken for Keras' sake, cuDNN is not used.

    >>> gpunn.layers.LSTM(32, return_sequences=True)
    """

    cell_class = LSTMCell

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True, kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, kernel_constraint: Any = None,
        recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, seed: int | None = None, return_sequences: bool = False,
        return_state: bool = False, go_backwards: bool = False, stateful: bool = False,
        unroll: bool = False, use_cudnn: Any = "auto", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(settings_of(locals()), kwargs)

    def _fuses(self, training: bool) -> bool:
        return _is_default(self.cell) and super()._fuses(training)

    def _sequence(self, x: Any, states: list, mask: Any) -> tuple[Any, ...]:
        cell = self.cell
        return lstm_sequence(
            x, cell.kernel, cell.recurrent_kernel, cell.bias, *states, mask,
            go_backwards=self.go_backwards, return_sequences=self.return_sequences,
        )  # fmt: skip


class GRU(FusedRNN):
    """The gated recurrent unit: x (B, T, F), y (B, units), or (B, T, units).

    Arguments as for `GRUCell` and `RNN`. With the default activations the whole sequence is one
    op, on GPUs with fused kernels; `use_cudnn` is taken for Keras' sake, cuDNN is not used.

    >>> gpunn.layers.GRU(32, return_sequences=True)
    """

    cell_class = GRUCell

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None,
        bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        seed: int | None = None, return_sequences: bool = False, return_state: bool = False,
        go_backwards: bool = False, stateful: bool = False, unroll: bool = False,
        reset_after: bool = True, use_cudnn: Any = "auto", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(settings_of(locals()), kwargs)

    def _fuses(self, training: bool) -> bool:
        return _is_default(self.cell) and super()._fuses(training)

    def _sequence(self, x: Any, states: list, mask: Any) -> tuple[Any, ...]:
        cell = self.cell
        return gru_sequence(
            x, cell.kernel, cell.recurrent_kernel, cell.bias, *states, mask,
            reset_after=cell.reset_after, go_backwards=self.go_backwards,
            return_sequences=self.return_sequences,
        )  # fmt: skip


def _is_default(cell: Any) -> bool:
    """Whether the gates are those that the fused kernels compute."""
    sigmoid, tanh = activations.sigmoid, activations.tanh
    return cell.activation is tanh and cell.recurrent_activation is sigmoid
