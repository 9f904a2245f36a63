"""From the losses of all elements to one number: weights, masks, reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError, unknown_name
from gpunn.losses.alignment import as_tensor, dtype_of, same_rank
from gpunn.ops.accumulate import divide_no_nan
from gpunn.ops.rules import broadcast_shapes

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
BOOL = np.dtype("bool")


def check_reduction(reduction: str | None) -> str | None:
    """The reduction itself, if it is one of `REDUCTIONS`."""
    if reduction not in REDUCTIONS:
        raise unknown_name("reduction", reduction, [str(name) for name in REDUCTIONS])
    return reduction


def _fit(losses: Any, other: Any, name: str) -> tuple[Any, Any]:
    """Both in a rank in which they broadcast."""
    losses, other = same_rank(losses, other)
    example = (*losses.shape[:1], *[1] * (losses.ndim - 1))
    problem = ShapeError(
        f"{name} does not fit the losses ({name} {other.shape}, losses {losses.shape}). "
        f"Give it the shape of the losses, or {example} for one value a sample."
    )
    if 0 < losses.ndim < other.ndim:  # it would repeat the losses
        raise problem
    try:
        broadcast_shapes(name, losses.shape, other.shape)
    except ShapeError:
        raise problem from None
    return losses, other


def reduce_losses(
    losses: Any, sample_weight: Any = None, mask: Any = None,
    reduction: str | None = "sum_over_batch_size",
) -> Tensor:  # fmt: skip
    """Losses v, weights w and mask m in {0, 1} become, with N their number::

        sum_over_batch_size, mean    Σ v w m / N, of a mask: / Σ m
        mean_with_sample_weight      Σ v w m / Σ w m
        sum                          Σ v w m
        none                         v w m, not reduced; nor is a scalar

    A trailing axis of 1 may be missing anywhere. A denominator of 0 gives 0. What is masked does
    not count even if it is NaN.
    """
    weights = None
    if mask is not None:
        losses, mask = _fit(losses, as_tensor(mask, BOOL, like=losses), "mask")
        losses = ops.where(mask, losses, 0.0)
    if sample_weight is not None:
        weights = as_tensor(sample_weight, dtype_of(losses), like=losses)
        losses, weights = _fit(losses, weights, "sample_weight")
        losses = ops.multiply(losses, weights)
    if reduction in ("none", None) or not losses.ndim:  # as Keras: one number stays v w
        return losses
    if reduction == "sum" or 0 in losses.shape:
        return ops.sum(losses)
    if reduction == "mean_with_sample_weight" and (weights is not None or mask is not None):
        return divide_no_nan(ops.sum(losses), ops.sum(_weights_within(mask, weights, losses)))
    if mask is None:
        return ops.mean(losses)
    losses, mask = same_rank(losses, mask)  # weights may have added an axis
    valid = ops.where(mask, ops.ones_like(losses), 0.0)
    return divide_no_nan(ops.sum(losses), ops.sum(valid))


def _weights_within(mask: Any, weights: Any, losses: Any) -> Any:
    """w m, of which one may be missing."""
    if mask is None:
        return weights
    valid = ops.cast(mask, losses.dtype)
    if weights is None:
        return valid
    valid, weights = same_rank(valid, weights)
    return ops.multiply(valid, weights)
