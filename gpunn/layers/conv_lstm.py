"""ConvLSTM1D, 2D, 3D: an LSTM over time whose products are convolutions over images."""

from __future__ import annotations

from typing import Any

from gpunn import activations, ops
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.errors import ShapeError
from gpunn.layers.convolution import positive
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.rnn import RNN
from gpunn.layers.rnn_cell import DropoutCell, settings_of, show_settings_of_cell
from gpunn.ops.windows import (
    check_padding,
    data_format,
    joined_shape,
    per_axis,
    split_shape,
    windowed_sizes,
)


class ConvLSTMCell(DropoutCell):
    """One step of `ConvLSTM`: x (B, *sizes, C), states [h, c] (B, *out, filters)."""

    def __init__(self, rank: int, given: dict[str, Any], **kwargs: Any):
        super().__init__(**kwargs)
        kind = f"ConvLSTM{rank}D"
        self.rank = rank
        self.filters = positive(self, "filters", given["filters"])
        self.kernel_size = per_axis(kind, "kernel_size", given["kernel_size"], rank)
        self.strides = per_axis(kind, "strides", given["strides"], rank)
        self.padding = check_padding(kind, given["padding"])
        self.data_format = data_format(given["data_format"])
        self.dilation_rate = per_axis(kind, "dilation_rate", given["dilation_rate"], rank)
        self.activation = activations.get(given["activation"])
        self.recurrent_activation = activations.get(given["recurrent_activation"])
        self.use_bias = given["use_bias"]
        self.unit_forget_bias = given["unit_forget_bias"]
        self._take(given)
        self.state_size = [self.filters, self.filters]

    def build(self, input_shape: SymbolicShape) -> None:
        _, _, channels = split_shape(input_shape, self.data_format)
        if channels is None:
            raise ShapeError(
                f"ConvLSTM{self.rank}D '{self.name}': the number of channels must be known, "
                f"received shape {tuple(input_shape)}. Check data_format."
            )
        width = 4 * self.filters
        self.kernel = self._weight("kernel", (*self.kernel_size, channels, width), "kernel")
        self.recurrent_kernel = self._weight(
            "recurrent_kernel", (*self.kernel_size, self.filters, width), "recurrent"
        )
        if self.use_bias:
            self.bias = self._weight("bias", (width,), "bias")

    def state_shape(self, input_shape: SymbolicShape) -> SymbolicShape:
        """(B, *out, filters) for inputs of this shape."""
        batch, sizes, _ = split_shape(input_shape, self.data_format)
        out = windowed_sizes(
            f"ConvLSTM{self.rank}D", sizes, self.kernel_size, self.strides, self.dilation_rate,
            self.padding,
        )  # fmt: skip
        return joined_shape(batch, out, self.filters, self.data_format)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        x = self._dropped("x", self.dropout, inputs, training)
        before = self._dropped("h", self.recurrent_dropout, h, training)
        z = ops.conv(
            x, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        z = z + ops.conv(before, self.recurrent_kernel, 1, "same", self.data_format)
        axis = -1 if self.data_format == "channels_last" else 1
        if self.bias is not None:
            around = (1,) * (self.rank if axis == 1 else 0)
            z = z + ops.reshape(self.bias, (-1, *around))
        i, f, g, o = ops.split(z, 4, axis=axis)
        sigma = self.recurrent_activation
        c = sigma(f) * c + sigma(i) * self.activation(g)
        h = sigma(o) * self.activation(c)
        return h, [h, c]

    def _dropped(self, name: str, rate: float, x: Any, training: bool) -> Any:
        if not training or not 0 < rate < 1:
            return x
        return x * self.dropout_masks(name, rate, x, None)

    def get_config(self) -> dict[str, Any]:
        plain = (
            "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate",
            "use_bias", "unit_forget_bias",
        )  # fmt: skip
        config = {**super().get_config(), **{name: getattr(self, name) for name in plain}}
        for name in ("activation", "recurrent_activation"):
            config[name] = activations.serialize(getattr(self, name))
        return {**config, **self._settings()}


class ConvLSTM(RNN):
    """Base of the three layers: an `RNN` of a `ConvLSTMCell`."""

    rank: int
    cell: ConvLSTMCell

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
        data_format: str | None = None, dilation_rate: Any = 1, activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", unit_forget_bias: bool = True,
        kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None,
        bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        seed: int | None = None, return_sequences: bool = False, return_state: bool = False,
        go_backwards: bool = False, stateful: bool = False, **kwargs: Any,
    ):  # fmt: skip
        given = settings_of(locals())
        shared = {k: kwargs[k] for k in ("dtype", "trainable") if k in kwargs}
        cell = ConvLSTMCell(self.rank, given, name="conv_lstm_cell", **shared)
        super().__init__(
            cell, return_sequences, return_state, go_backwards, stateful,
            activity_regularizer=activity_regularizer, **kwargs,
        )  # fmt: skip
        self.input_spec = InputSpec(ndim=self.rank + 3)

    def build(self, sequences_shape: SymbolicShape) -> None:
        self._built_for = tuple(sequences_shape)
        super().build(sequences_shape)

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Zeros of the images' size for which the layer was built."""
        return self._zeros((batch_size, *self._built_for[1:]))

    def _zeros(self, sequences_shape: SymbolicShape) -> list[Any]:
        return [ops.zeros(s, self.compute_dtype) for s in self._state_shapes(sequences_shape)]

    def _begin(self, sequences: Any, initial_state: Any) -> list[Any] | None:
        states = super()._begin(sequences, initial_state)
        if states is None and None not in sequences.shape:
            return self._zeros(tuple(sequences.shape))  # images may have any size
        return states

    def _state_shapes(self, shape: SymbolicShape) -> list[Any]:
        return [self.cell.state_shape((shape[0], *shape[2:]))] * 2

    def _step_shape(self, shape: SymbolicShape) -> SymbolicShape:
        return self._state_shapes(shape)[0][1:]

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), **self.cell.get_config()}
        del config["cell"]
        own = super(RNN, self).get_config()  # name, dtype and the like are the layer's
        return {**config, **own}


show_settings_of_cell(
    ConvLSTM, "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate",
    "activation", "recurrent_activation", "use_bias", "kernel_initializer",
    "recurrent_initializer", "bias_initializer", "unit_forget_bias", "kernel_regularizer",
    "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint",
    "bias_constraint", "dropout", "recurrent_dropout", "seed",
)  # fmt: skip


class ConvLSTM1D(ConvLSTM):
    """i, f, o = σ(x * W + h' * U + b), g = tanh(x * W + h' * U + b), c = f c' + i g, h = o tanh(c).

    `*`: a convolution; x (B, T, n, C), W (k, C, 4·filters), U (k, filters, 4·filters), gates i, f,
    g, o. Returns h (B, out, filters), of each step with `return_sequences`.  Shi et al. 2015

    >>> gpunn.layers.ConvLSTM1D(8, 3, padding="same")
    """

    rank = 1


class ConvLSTM2D(ConvLSTM):
    """As `ConvLSTM1D`, over images: x (B, T, H, W, C), or (B, T, C, H, W) channels first.

    >>> gpunn.layers.ConvLSTM2D(16, 3, padding="same", return_sequences=True)
    """

    rank = 2


class ConvLSTM3D(ConvLSTM):
    """As `ConvLSTM1D`, over volumes: x (B, T, D, H, W, C).

    >>> gpunn.layers.ConvLSTM3D(4, 3)
    """

    rank = 3
