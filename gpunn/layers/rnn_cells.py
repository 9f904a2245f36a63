"""Cells: one step of a recurrent network, which `RNN` repeats over time."""

from __future__ import annotations

from typing import Any

from gpunn import activations, ops
from gpunn.layers.rnn_cell import GatedCell, settings_of


class SimpleRNNCell(GatedCell):
    """h = f(x W + h' U + b): x (B, F), W (F, units), U (units, units), b (units,).

    >>> gpunn.layers.RNN(gpunn.layers.SimpleRNNCell(4))
    """

    def __init__(
        self, units: int, activation: Any = "tanh", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None, bias_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None,
        bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(units, activation, use_bias, settings_of(locals()), **kwargs)

    def call(self, sequence: Any, states: Any, training: bool = False) -> Any:
        h = states[0] if isinstance(states, (list, tuple)) else states
        x = self._dropped("x", self.dropout, sequence, training)
        z = self._product(x, self.kernel, self.bias)
        h = self._dropped("h", self.recurrent_dropout, h, training)
        y = self.activation(z + self._product(h, self.recurrent_kernel))
        return y, [y] if isinstance(states, (list, tuple)) else y


class LSTMCell(GatedCell):
    """i, f, o = σ(x W + h' U + b), g = tanh(x W + h' U + b), c = f c' + i g, h = o tanh(c).

    W (F, 4·units), U (units, 4·units), b (4·units,) with gates i, f, g, o; states [h, c].
    Hochreiter & Schmidhuber 1997. `unit_forget_bias`: b of f begins at 1 (Jozefowicz et al. 2015).

    >>> gpunn.layers.RNN(gpunn.layers.LSTMCell(4))
    """

    gates = 4

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True, kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None, bias_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None,
        bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        seed: int | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(units, activation, use_bias, settings_of(locals()), **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [self.units, self.units]

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        h, c = states
        x = self._dropped("x", self.dropout, inputs, training)
        z = self._product(x, self.kernel, self.bias)
        h = self._dropped("h", self.recurrent_dropout, h, training)
        z = z + self._product(h, self.recurrent_kernel)
        i, f, g, o = ops.split(z, 4, axis=1)
        sigma = self.recurrent_activation
        c = sigma(f) * c + sigma(i) * self.activation(g)
        h = sigma(o) * self.activation(c)
        return h, [h, c]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "unit_forget_bias": self.unit_forget_bias,
        }


class GRUCell(GatedCell):
    """z, r = σ(x W + h' U + b), g = tanh(x W + r (h' U + b') + b), h = z h' + (1 - z) g.

    W (F, 3·units), U (units, 3·units) with gates z, r, g; b (2, 3·units): of x W and of h U.
    Without `reset_after` r multiplies h' before U does, and b is (3·units,).  Cho et al. 2014

    >>> gpunn.layers.RNN(gpunn.layers.GRUCell(4))
    """

    gates = 3

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid",
        use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, recurrent_regularizer: Any = None,
        bias_regularizer: Any = None, kernel_constraint: Any = None,
        recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, reset_after: bool = True, seed: int | None = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(units, activation, use_bias, settings_of(locals()), **kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after
        if reset_after:
            self.bias_shape = (2, *self.bias_shape)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        before = states[0] if isinstance(states, (list, tuple)) else states
        outer, inner = self.bias, None
        if self.bias is not None and self.reset_after:
            outer, inner = self.bias[0], self.bias[1]
        x = self._dropped("x", self.dropout, inputs, training)
        x_z, x_r, x_g = ops.split(self._product(x, self.kernel, outer), 3, axis=-1)
        h = self._dropped("h", self.recurrent_dropout, before, training)
        sigma = self.recurrent_activation
        if self.reset_after:
            h_z, h_r, h_g = ops.split(self._product(h, self.recurrent_kernel, inner), 3, axis=-1)
            z, r = sigma(x_z + h_z), sigma(x_r + h_r)
            g = self.activation(x_g + r * h_g)
        else:
            parts = h if isinstance(h, list) else [h] * 3
            U = ops.split(self.recurrent_kernel, 3, axis=1)
            z = sigma(x_z + ops.matmul(parts[0], U[0]))
            r = sigma(x_r + ops.matmul(parts[1], U[1]))
            g = self.activation(x_g + ops.matmul(r * parts[2], U[2]))
        y = z * before + (1 - z) * g
        return y, [y] if isinstance(states, (list, tuple)) else y

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "recurrent_activation": activations.serialize(self.recurrent_activation),
            "reset_after": self.reset_after,
        }
