"""Losses of directions: how alike vectors are, whatever their lengths."""

from __future__ import annotations

from typing import Any

from gpunn import config, ops
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.losses.alignment import (
    INT32,
    as_tensor,
    dtype_of,
    labels_and_predictions,
    narrowed,
    targets_and_predictions,
    wide,
)

_NEVER = -1e9  # the exponent of what does not count: e^-1e9 is 0, and no infinity meets another


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """-Σ t x / (‖t‖ ‖x‖) over the axis: -1 for one direction, 0 at right angles, 1 for opposites.

    Norms are at least ε = `gpunn.config.epsilon()`, so zero vectors give 0. y_true, y_pred
    `(..., n)`; the result `(...)` has the float dtype of y_pred. Different shapes raise
    `ShapeError`.

    >>> gpunn.losses.cosine_similarity([[0.0, 1.0]], [[3.0, 4.0]]).numpy()
    array([-0.8], dtype=float32)
    """
    t, given = targets_and_predictions("cosine_similarity", y_true, y_pred, axis)
    t, x = (ops.normalize(wide(v), epsilon=config.epsilon()) for v in (t, given))
    return narrowed(-ops.sum(t * x, axis=-1), given)


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """log(1 + Σ⁺ e^(γ a⁺ (1 - m - s)) · Σ⁻ e^(γ a⁻ (s - m))), one loss for each row of y_pred.

    s: the cosine similarities of a row with all references; Σ⁺ over those of its label, Σ⁻ over
    the others; weights a⁺ = max(1 + m - s, 0) and a⁻ = max(s + m, 0).  arXiv:2002.10857
    (There no gradient flows through the weights; here, as in Keras, it does.) Rows without another
    of their label, or without one of another label, lose 0 and are masked in the result.

    y_true `(rows,)` or `(rows, 1)`: integer labels. y_pred `(rows, n)`: embeddings of length 1.
    `ref_labels`, `ref_embeddings`: the references, by default y_true and y_pred themselves;
    `remove_diagonal` leaves out reference i of row i. Shapes that do not fit raise `ShapeError`.

    >>> x = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]
    >>> gpunn.losses.circle([0, 1, 1], x, gamma=1.0).numpy()
    array([0.        , 0.5629153 , 0.73394704], dtype=float32)
    """
    labels, given = labels_and_predictions("circle", y_true, y_pred)
    x = wide(given)
    references = x if ref_embeddings is None else as_tensor(ref_embeddings, dtype_of(x), x)
    theirs = labels if ref_labels is None else as_tensor(ref_labels, INT32, x)
    _check_references(x, references, theirs)
    theirs = ops.reshape(theirs, (-1,))
    s = ops.minimum(ops.matmul(x, ops.transpose(references)), 1.0)
    alike = ops.equal(ops.expand_dims(labels, 1), ops.expand_dims(theirs, 0))
    others = ops.logical_not(alike)
    if remove_diagonal:
        alike = ops.logical_and(alike, ops.logical_not(_diagonal(labels, theirs)))
    nearer = gamma * ops.maximum(1 + margin - s, 0.0) * (1 - margin - s)
    farther = gamma * ops.maximum(s + margin, 0.0) * (s - margin)
    pull = ops.logsumexp(ops.where(alike, nearer, _NEVER), axis=-1)
    push = ops.logsumexp(ops.where(others, farther, _NEVER), axis=-1)
    loss = narrowed(ops.softplus(pull + push), given)
    loss._keras_mask = ops.logical_and(ops.any(alike, axis=-1), ops.any(others, axis=-1))
    return loss


def _check_references(x: Any, references: Any, labels: Any) -> None:
    if x.ndim != 2:
        raise ShapeError(
            f"circle: y_pred must have shape (rows, n), received {x.shape}. Flatten each embedding."
        )
    if references.ndim != 2 or references.shape[1] != x.shape[1]:
        raise ShapeError(
            f"circle: ref_embeddings must have as many columns as y_pred (ref_embeddings "
            f"{references.shape}, y_pred {x.shape})."
        )
    if tuple(labels.shape) not in ((references.shape[0],), (references.shape[0], 1)):
        raise ShapeError(
            f"circle: the references need one label each (labels {labels.shape}, embeddings "
            f"{references.shape}). Give ref_labels and ref_embeddings together."
        )


def _diagonal(rows: Any, columns: Any) -> Any:
    """True at (i, i); made of running sums, as the lengths may be unknown yet."""
    i, j = (ops.cumsum(ops.ones_like(labels), axis=0) for labels in (rows, columns))
    return ops.equal(ops.expand_dims(i, 1), ops.expand_dims(j, 0))
