"""What only the host can see: labels that no class has. Done before training, not in a step."""

from __future__ import annotations

import numpy as np


def check_labels(
    loss_name: str, y_true: np.ndarray, n_classes: int, ignore_class: int | None = None
) -> None:
    """Raise `ValueError` unless every label is an integer in [0, n_classes) or `ignore_class`.

    Done on host data before training: in a training step a wrong label shows as a NaN loss only.

    >>> check_labels("sparse_categorical_crossentropy", np.array([0, 1, 3]), n_classes=3)
    ValueError: sparse_categorical_crossentropy: found label 3, but the output has 3 classes ...
    """
    labels = np.asarray(y_true)
    if ignore_class is not None:
        labels = labels[labels != ignore_class]
    if labels.size == 0:
        return
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(
            f"{loss_name}: {int(np.isnan(labels).sum())} of {labels.size} labels are NaN. "
            f"Remove or fill them before training."
        )
    lowest, highest = labels.min(), labels.max()
    if lowest >= 0 and highest < n_classes:
        if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
            wrong = labels[labels != np.floor(labels)].flat[0]
            raise ValueError(
                f"{loss_name}: labels must be whole numbers, found {wrong}. For probabilities of "
                f"each class use categorical_crossentropy."
            )
        return
    found = f"{lowest}" if lowest < 0 else f"{highest}"
    if lowest < 0 and highest >= n_classes:
        found = f"{lowest} and {highest}"
    hint = " Do they start at 1? Subtract 1." if lowest == 1 and highest == n_classes else ""
    hint = hint or " Give the last layer more units, or correct the labels."
    raise ValueError(
        f"{loss_name}: found label {found}, but the output has {n_classes} classes, so labels must "
        f"be from 0 to {n_classes - 1} (they are from {lowest} to {highest}).{hint}"
    )
