"""Targets, predictions, weights and masks brought to one dtype, device and rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, is_float, to_float
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.ops.creation import cast
from gpunn.ops.shaping import expand_dims, moveaxis, squeeze

INT32 = np.dtype("int32")


def is_tensor(x: Any) -> bool:
    """True of tensors with and without values."""
    return isinstance(x, (Tensor, SymbolicTensor))


def dtype_of(x: Any) -> np.dtype:
    """The dtype of a tensor, as NumPy's."""
    return x.data.dtype if isinstance(x, Tensor) else as_dtype(x.dtype)


def as_tensor(x: Any, dtype: np.dtype | None = None, like: Any = None) -> Any:
    """x as a tensor, cast if `dtype` differs; host values go to the device of `like`."""
    if is_tensor(x):
        return x if dtype is None or dtype_of(x) == dtype else cast(x, dtype)
    return Tensor(asarray(x, dtype, like.data if isinstance(like, Tensor) else None))


def convert(x: Any, dtype: np.dtype, like: Any = None) -> Any:
    """`as_tensor`, inside dicts, lists and tuples of tensors as well (what a model returned)."""
    if is_tensor(x):
        return as_tensor(x, dtype)
    if isinstance(x, Mapping):
        return {key: convert(value, dtype) for key, value in x.items()}
    if isinstance(x, (list, tuple)) and any(is_tensor(v) or isinstance(v, Mapping) for v in x):
        return type(x)([convert(value, dtype) for value in x])
    return as_tensor(x, dtype, like)


def wide(x: Any) -> Any:
    """x, half precision widened: there 1 - ε is 1, and its logarithm no help."""
    return x if dtype_of(x).itemsize >= 4 else cast(x, "float32")


def narrowed(loss: Any, like: Any) -> Any:
    """The loss in the dtype of the predictions."""
    return loss if dtype_of(loss) == dtype_of(like) else cast(loss, like.dtype)


def needs_gradient(x: Any) -> bool:
    """Whether a gradient may be asked for x: fused losses have none of their targets."""
    return isinstance(x, SymbolicTensor) or x.tracked


def predictions(name: str, y_pred: Any, axis: int = -1) -> Any:
    """y_pred as floats with its axis last."""
    x = as_tensor(y_pred)
    if not is_float(dtype_of(x)):
        x = cast(x, to_float(dtype_of(x)))
    if x.ndim == 0:
        raise ShapeError(
            f"{name}: y_pred is one number (shape ()), but losses are taken along its last axis. "
            f"Give it an axis, e.g. shape (1,)."
        )
    if type(axis) is not int:
        raise TypeError(f"{name}: axis must be an int, received {axis!r}.")
    return x if axis == -1 else moveaxis(x, axis, -1)


def same_rank(a: Any, b: Any) -> tuple[Any, Any]:
    """a and b when one has a trailing axis of length 1 more than the other.

    `(n,)` and `(n, 1)` become `(n, 1)` both; from more axes the extra one is dropped.
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, expand_dims(b, -1)) if b.ndim == 1 else (squeeze(a, -1), b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (expand_dims(a, -1), b) if a.ndim == 1 else (a, squeeze(b, -1))
    return a, b


def fits(a: tuple, b: tuple) -> bool:
    """True of equal shapes; an unknown length, None, equals any."""
    return a == b or (
        len(a) == len(b) and all(m == n or None in (m, n) for m, n in zip(a, b, strict=True))
    )


def _agree(t: Any, x: Any) -> bool:
    """True of two tensors of one shape, with axes, and one float dtype."""
    if not (isinstance(t, Tensor) and isinstance(x, Tensor)):
        return False
    a, b = t.data, x.data
    return a.shape == b.shape != () and a.dtype == b.dtype and b.dtype.kind == "f"


def targets_and_predictions(name: str, y_true: Any, y_pred: Any, axis: int = -1) -> tuple[Any, Any]:
    """Targets t and predictions x of one shape and float dtype, with the axis last."""
    if axis == -1 and _agree(y_true, y_pred):  # what a training step gives
        return y_true, y_pred
    x = predictions(name, y_pred)
    t = as_tensor(y_true, dtype_of(x), like=x)
    if not fits(t.shape, x.shape):
        given = t.shape
        t, x = same_rank(t, x)
        if not fits(t.shape, x.shape):
            remedy = "Make them equal; only a trailing axis of length 1 may be missing."
            if name.startswith("categorical_") and x.ndim == 2 and given[1:] in ((), (1,)):
                remedy = (
                    "Integer labels? Use sparse_categorical_crossentropy, or make rows of them by "
                    "utils.to_categorical."
                )
            raise ShapeError(
                f"{name}: y_true and y_pred differ in shape (y_true {given}, y_pred {x.shape}). "
                f"{remedy}{_flat_hint(given, x.shape)}"
            )
    if axis != -1:
        t, x = predictions(name, t, axis), predictions(name, x, axis)
    return t, x


def labels_and_predictions(name: str, y_true: Any, y_pred: Any, axis: int = -1) -> tuple[Any, Any]:
    """Labels t `(...)` int32 and predictions x `(..., classes)`, floats."""
    x = predictions(name, y_pred, axis)
    t = as_tensor(y_true, INT32, like=x)
    expected = x.shape[:-1]
    if not fits(t.shape, expected) and t.ndim == x.ndim and t.shape[-1] == 1:
        t = squeeze(t, -1)
    if not fits(t.shape, expected):
        hint = f"Give one integer label for each: y_true of shape {expected} or {(*expected, 1)}."
        if t.shape == x.shape:
            hint = f"Is y_true one-hot? Then use {name.removeprefix('sparse_')}."
        raise ShapeError(
            f"{name}: y_true does not fit y_pred (y_true {t.shape}, y_pred {x.shape}, classes "
            f"last). {hint}{_flat_hint(t.shape, x.shape)}"
        )
    return t, x


def _flat_hint(targets: tuple, predictions: tuple) -> str:
    """What may be missing where predictions have more axes than one for the classes more."""
    more = len(predictions) > len(targets) + 1
    return " Or put Flatten or a pooling layer before the last Dense." if more else ""
