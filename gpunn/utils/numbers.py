"""Small helpers for arrays on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import config


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Integer labels (...) as one-hot rows (..., num_classes), in floatx.

    A trailing axis of length 1 is dropped first, as in Keras.

    >>> gpunn.utils.to_categorical([0, 2, 1])
    """
    labels = np.asarray(x)
    if labels.dtype.kind == "f" and not np.array_equal(labels, labels.round()):
        found = "NaN" if np.isnan(labels).any() else "fractions"
        raise ValueError(f"to_categorical: labels must be integers, received {found}.")
    try:
        labels = labels.astype(np.int64)
    except (TypeError, ValueError):
        raise ValueError(
            f"to_categorical: labels must be integers, received an array of dtype {labels.dtype}. "
            f"layers.StringLookup and np.unique(labels, return_inverse=True) number words."
        ) from None
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        num_classes = int(labels.max()) + 1 if labels.size else 0
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"to_categorical: labels must lie in [0, {num_classes}), received {labels.min()} to "
            f"{labels.max()}. Give a larger num_classes or shift the labels."
        )
    return np.eye(num_classes, dtype=config.floatx())[labels]


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """x / ‖x‖ along an axis; rows of norm 0 stay 0.

    >>> gpunn.utils.normalize([[3.0, 4.0]])
    """
    array = np.asarray(x)
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norm == 0, 1, norm)
