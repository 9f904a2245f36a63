"""What is given for the input of a model, made to fit: rank, dtype, shape."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import ShapeError


def is_optional(tensor: SymbolicTensor) -> bool:
    """Whether None may be given for this input."""
    return getattr(tensor.node and tensor.node.call, "optional", False)


def fit_rank(x: Any, wanted: SymbolicTensor) -> Any:
    """An axis of length 1 at the end comes or goes as the Input asks; its dtype is set."""
    rank = len(wanted.shape)
    if len(x.shape) == rank - 1 and wanted.shape[-1] == 1:
        x = ops.expand_dims(x, -1)
    elif len(x.shape) == rank + 1 and x.shape[-1] == 1:
        x = ops.squeeze(x, -1)
    mask = getattr(x, "_keras_mask", None)
    if x.dtype != wanted.dtype:
        x = ops.cast(x, wanted.dtype)
        x._keras_mask = mask
    return x


def fit_input(x: Any, wanted: SymbolicTensor, name: str, position: int) -> Any:
    """`fit_rank`, and a check of the shape; None only for an optional input."""
    if x is None:
        if not is_optional(wanted):
            raise ValueError(
                f"Model: the input '{name}' is None. Only Input(..., optional=True) may be."
            )
        return None
    if not hasattr(x, "shape"):
        raise ValueError(
            f"Model: the input {position} ('{name}') must be a tensor or an array, received {x!r}."
        )
    x = fit_rank(x, wanted)
    fits = len(x.shape) == len(wanted.shape) and all(
        n is None or m is None or n == m for n, m in zip(x.shape, wanted.shape)
    )
    if not fits:
        raise ShapeError(
            f"Input {position} ('{name}') of the model is incompatible with it: expected "
            f"shape={wanted.shape}, found shape={tuple(x.shape)}."
        )
    return x
