"""Targets, predictions, weights and masks brought to one dtype, device and rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import is_float, to_float
from gpunn.autodiff.tensor import Tensor, asarray
from gpunn.errors import ShapeError
from gpunn.ops.creation import cast
from gpunn.ops.shaping import expand_dims, moveaxis, squeeze

INT32 = np.dtype("int32")


def as_tensor(x: Any, dtype: np.dtype | None = None, like: Tensor | None = None) -> Tensor:
    """x as a tensor, cast if `dtype` differs; host values go to the device of `like`."""
    if isinstance(x, Tensor):
        return x if dtype is None or x.data.dtype == dtype else cast(x, dtype)
    return Tensor(asarray(x, dtype, None if like is None else like.data))


def convert(x: Any, dtype: np.dtype, like: Any = None) -> Any:
    """`as_tensor`, inside dicts, lists and tuples of tensors as well (what a model returned)."""
    if isinstance(x, Tensor):
        return as_tensor(x, dtype)
    if isinstance(x, Mapping):
        return {key: convert(value, dtype) for key, value in x.items()}
    if isinstance(x, (list, tuple)) and any(isinstance(value, (Tensor, Mapping)) for value in x):
        return type(x)([convert(value, dtype) for value in x])
    return as_tensor(x, dtype, like if isinstance(like, Tensor) else None)


def predictions(name: str, y_pred: Any, axis: int = -1) -> Tensor:
    """y_pred as floats with its axis last."""
    x = as_tensor(y_pred)
    if not is_float(x.data.dtype):
        x = cast(x, to_float(x.data.dtype))
    if x.ndim == 0:
        raise ShapeError(
            f"{name}: y_pred is one number (shape ()), but losses are taken along its last axis. "
            f"Give it an axis, e.g. shape (1,)."
        )
    if type(axis) is not int:
        raise TypeError(f"{name}: axis must be an int, received {axis!r}.")
    return x if axis == -1 else moveaxis(x, axis, -1)


def same_rank(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """a and b when one has a trailing axis of length 1 more than the other.

    `(n,)` and `(n, 1)` become `(n, 1)` both; from more axes the extra one is dropped.
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, expand_dims(b, -1)) if b.ndim == 1 else (squeeze(a, -1), b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (expand_dims(a, -1), b) if a.ndim == 1 else (a, squeeze(b, -1))
    return a, b


def _agree(t: Any, x: Any) -> bool:
    """True of two tensors of one shape, with axes, and one float dtype."""
    if not (isinstance(t, Tensor) and isinstance(x, Tensor)):
        return False
    a, b = t.data, x.data
    return a.shape == b.shape != () and a.dtype == b.dtype and b.dtype.kind == "f"


def targets_and_predictions(
    name: str, y_true: Any, y_pred: Any, axis: int = -1
) -> tuple[Tensor, Tensor]:
    """Targets t and predictions x of one shape and float dtype, with the axis last."""
    if axis == -1 and _agree(y_true, y_pred):  # what a training step gives
        return y_true, y_pred
    x = predictions(name, y_pred)
    t = as_tensor(y_true, x.data.dtype, like=x)
    if t.data.shape != x.data.shape:
        t, x = same_rank(t, x)
        if t.shape != x.shape:
            raise ShapeError(
                f"{name}: y_true and y_pred differ in shape (y_true {t.shape}, y_pred {x.shape}). "
                f"Make them equal; only a trailing axis of length 1 may be missing."
            )
    if axis != -1:
        t, x = predictions(name, t, axis), predictions(name, x, axis)
    return t, x


def labels_and_predictions(
    name: str, y_true: Any, y_pred: Any, axis: int = -1
) -> tuple[Tensor, Tensor]:
    """Labels t `(...)` int32 and predictions x `(..., classes)`, floats."""
    x = predictions(name, y_pred, axis)
    t = as_tensor(y_true, INT32, like=x)
    expected = x.data.shape[:-1]
    if t.data.shape != expected and t.ndim == x.ndim and t.shape[-1] == 1:
        t = squeeze(t, -1)
    if t.data.shape != expected:
        hint = f"Give one integer label for each: y_true of shape {expected} or {(*expected, 1)}."
        if t.shape == x.shape:
            hint = f"Is y_true one-hot? Then use {name.removeprefix('sparse_')}."
        raise ShapeError(
            f"{name}: y_true does not fit y_pred (y_true {t.shape}, y_pred {x.shape}, classes "
            f"last). {hint}"
        )
    return t, x
