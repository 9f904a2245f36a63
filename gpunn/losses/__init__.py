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
from gpunn.losses.focal import binary_focal_crossentropy, categorical_focal_crossentropy
from gpunn.losses.functions import FUNCTIONS
from gpunn.losses.hinge import categorical_hinge, hinge, squared_hinge
from gpunn.losses.loss import Loss, LossFunctionWrapper
from gpunn.losses.overlap import dice, tversky
from gpunn.losses.probability import (
    categorical_generalized_cross_entropy,
    kl_divergence,
    poisson,
)
from gpunn.losses.regression import (
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from gpunn.losses.sequence import ctc
from gpunn.losses.similarity import circle, cosine_similarity
from gpunn.losses.standard import (
    CTC,
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    Circle,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    StandardLoss,
    Tversky,
)

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kl_divergence
logcosh = log_cosh

_TABLE = {
    **objects.by_names(*StandardLoss.__subclasses__()),
    "LossFunctionWrapper": LossFunctionWrapper,
    **FUNCTIONS,
    # The function has no default for q.
    "categorical_generalized_cross_entropy": CategoricalGeneralizedCrossEntropy,
}


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
