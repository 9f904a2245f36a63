"""Losses under Keras' names, as functions (one loss a sample) and as classes (one number)."""

from collections.abc import Mapping
from typing import Any

from gpunn import objects
from gpunn.losses.checks import check_labels
from gpunn.losses.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from gpunn.losses.functions import FUNCTIONS
from gpunn.losses.loss import Loss, LossFunctionWrapper
from gpunn.losses.regression import mean_absolute_error, mean_squared_error
from gpunn.losses.standard import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
bce = BCE = binary_crossentropy

_TABLE = objects.by_names(
    MeanSquaredError,
    MeanAbsoluteError,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    LossFunctionWrapper=LossFunctionWrapper,
    **FUNCTIONS,
)


def get(identifier: Any) -> Any:
    """The loss of a name, config, class or callable; None stays None.

    Snake-case names give the function, class names an instance; unknown names raise `ValueError`.

    >>> gpunn.losses.get("mse")  # the function mean_squared_error
    """
    return objects.lookup("loss", identifier, _TABLE)


def serialize(loss: Any) -> Any:
    """A plain description of a loss: its name, or class name and config."""
    return objects.serialize(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss of a description; `custom_objects` adds names of one's own."""
    return objects.lookup("loss", name, {**_TABLE, **(custom_objects or {})})
