"""Layers. Keras' names, arguments and defaults."""

from typing import Any

from gpunn.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from gpunn.layers.core import Activation, Dense, Identity, Input, Lambda
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.layers.regularization import (
    ActivityRegularization,
    Dropout,
    GaussianDropout,
    GaussianNoise,
)
from gpunn.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from gpunn.objects import by_names, lookup
from gpunn.objects import serialize as serialize

_TABLE = by_names(
    Activation, ActivityRegularization, Dense, Dropout, ELU, Flatten, GaussianDropout,
    GaussianNoise, Identity, Lambda, LeakyReLU, Permute, PReLU, ReLU, RepeatVector, Reshape,
    Softmax,
)  # fmt: skip


def deserialize(config: dict[str, Any]) -> Layer:
    """A layer from ``{"class_name": ..., "config": ...}``."""
    return lookup("layer", config, _TABLE)


__all__ = [
    "ELU", "Activation", "ActivityRegularization", "Dense", "Dropout", "Flatten",
    "GaussianDropout", "GaussianNoise", "Identity", "Input", "InputSpec", "Lambda", "Layer",
    "LeakyReLU", "PReLU", "Permute", "ReLU", "RepeatVector", "Reshape", "Softmax", "deserialize",
    "serialize",
]  # fmt: skip
