"""The loss functions by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.losses.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from gpunn.losses.focal import binary_focal_crossentropy, categorical_focal_crossentropy
from gpunn.losses.hinge import categorical_hinge, hinge, squared_hinge
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

_ALL: tuple[Callable[..., Any], ...] = (
    mean_squared_error, mean_absolute_error, mean_absolute_percentage_error,
    mean_squared_logarithmic_error, huber, log_cosh,
    binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy,
    binary_focal_crossentropy, categorical_focal_crossentropy,
    categorical_generalized_cross_entropy, kl_divergence, poisson,
    hinge, squared_hinge, categorical_hinge, dice, tversky, cosine_similarity, circle, ctc,
)  # fmt: skip

FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{function.__name__: function for function in _ALL},
    "mse": mean_squared_error,
    "mae": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "msle": mean_squared_logarithmic_error,
    "logcosh": log_cosh,
    "bce": binary_crossentropy,
    "kld": kl_divergence,
}

#: Targets that are the numbers of classes of y_pred: they can be checked before training.
OF_CLASSES = (sparse_categorical_crossentropy, categorical_generalized_cross_entropy)
#: Targets that are integers, and stay so: above 2²⁴ float32 has no place for them.
OF_INTEGERS = (*OF_CLASSES, circle, ctc)
