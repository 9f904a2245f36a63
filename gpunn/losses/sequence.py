"""Losses of sequences whose alignment to the steps is unknown."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.losses.alignment import INT32, as_tensor, predictions


def ctc(y_true: Any, y_pred: Any) -> Tensor:
    """-log P(labels | logits), summed over all alignments of the labels to the steps.

    y_true `(N, L)`: integer labels from 1 on, then zeros: 0 is the blank and fills up. y_pred
    `(N, T, classes)`: logits of T ≥ L steps; the result `(N,)` has their float dtype, inf where
    the labels need more steps than there are. See `gpunn.ops.ctc_loss`.

    >>> gpunn.losses.ctc([[1, 0]], [[[0.0, 0.0], [0.0, 0.0]]]).numpy()  # -log 3/4
    array([0.2876821], dtype=float32)
    """
    x = predictions("ctc", y_pred)
    labels = as_tensor(y_true, INT32, like=x)
    if labels.ndim != 2 or x.ndim != 3:
        raise ShapeError(
            f"ctc: y_true must have shape (N, L) and y_pred (N, T, classes) (y_true "
            f"{labels.shape}, y_pred {x.shape})."
        )
    lengths = ops.sum(ops.cast(ops.not_equal(labels, 0), INT32), axis=-1)
    steps = ops.sum(ops.ones_like(x[:, :, 0], dtype=INT32), axis=-1)
    return ops.ctc_loss(labels, x, lengths, steps)
