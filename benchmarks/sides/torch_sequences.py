"""PyTorch: nn.LSTM and nn.GRU as modules of an nn.Sequential, with Keras' weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.layers import Embedding, Layer, Recurrent

KINDS = {"lstm": nn.LSTM, "gru": nn.GRU}
GATES = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}  # Keras' z, r, h are PyTorch's r, z, n


class RecurrentModule(nn.Module):
    """The last output, or all; of both directions side by side."""

    def __init__(self, layer: Recurrent, features: int):
        super().__init__()
        self.layer = layer
        kind: Any = KINDS[layer.kind]
        self.rnn = kind(features, layer.units, batch_first=True, bidirectional=layer.both)

    def forward(self, x: Any) -> Any:
        y, last = self.rnn(x)
        if self.layer.sequences:
            return y
        h = last[0] if self.layer.kind == "lstm" else last  # (directions, n, units)
        return torch.cat((h[0], h[1]), dim=-1) if self.layer.both else h[0]

    def load(self, weights: Iterator[np.ndarray]) -> None:
        """Take W, U, b of each direction. PyTorch's second bias of an LSTM stays 0, as in Keras."""
        for parameters in self.rnn.all_weights:
            w, u, b = next(weights), next(weights), next(weights)
            if self.layer.kind == "lstm":
                b = np.stack([b, np.zeros_like(b)])
                parameters[3].requires_grad_(False)
            for parameter, values in zip(parameters, (w.T, u.T, *b), strict=True):
                parameter.data = torch.from_numpy(self._in_torch_order(values))

    def _in_torch_order(self, values: np.ndarray) -> np.ndarray:
        """(gates · units, ...) with the gates in PyTorch's order."""
        gates = GATES[self.layer.kind]
        return np.concatenate([np.split(values, len(gates))[k] for k in gates])


class Vectors(nn.Embedding):
    """A vector for each token."""

    def load(self, weights: Iterator[np.ndarray]) -> None:
        """Take the table."""
        self.weight.data = torch.from_numpy(next(weights))


class MeanOverSteps(nn.Module):
    """The mean of (n, T, F), or of (T, n, F), over T."""

    axis = 1

    def forward(self, x: Any) -> Any:
        return x.mean(self.axis)


def has_steps(layers: tuple[Layer, ...]) -> bool:
    """Whether the network is one for sequences, with features last."""
    return isinstance(layers[0], (Embedding, Recurrent))


def put_time_first(model: nn.Module) -> None:
    """From now on the model takes (T, n, ...)."""
    for module in model.modules():
        if isinstance(module, RecurrentModule):
            module.rnn.batch_first = False
        if isinstance(module, MeanOverSteps):
            module.axis = 0
