"""Making tensors, converting them, changing their dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn.arguments import as_shape, whole_number
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec, SymbolicTensor
from gpunn.autodiff.tape import state
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, fill
from gpunn.errors import ShapeError
from gpunn.ops.examples import unwritten


def convert_to_tensor(
    x: Any, dtype: Any = None, sparse: bool | None = None, ragged: bool | None = None
) -> Any:
    """A tensor of an array (NumPy, CuPy, torch), sequence or number, on the current device.

    A tensor (or symbolic tensor) comes back as it is, cast if `dtype` differs.

    >>> gpunn.ops.convert_to_tensor([1, 2, 3], dtype="float32")
    """
    if sparse or ragged:
        raise NotImplementedError(
            f"convert_to_tensor: sparse={sparse}, ragged={ragged} is not supported: gpunn has "
            f"dense tensors only."
        )
    if isinstance(x, (Tensor, SymbolicTensor)):
        x = x if state.read is None else state.read(x)
        return x if dtype is None else cast(x, dtype)
    return Tensor(asarray(x, dtype))


def array(x: Any, dtype: Any = None) -> Any:
    """A tensor of an array, sequence or number: `convert_to_tensor`.

    >>> gpunn.ops.array([1, 2, 3])
    """
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """The values on the host."""
    return np.array(x.numpy()) if isinstance(x, Tensor) else np.asarray(x)


@op(shape=lambda x, dtype: Spec(x.shape, as_dtype(dtype)))
def _cast(x: Array, dtype: np.dtype) -> Any:
    y = devices.empty(x.shape, as_dtype(dtype), x)
    copy_into(x, y)
    if not is_float(x.dtype):
        return y, None

    def gradient(dy: Array) -> Array:
        dx = devices.empty_like(x)
        copy_into(dy, dx)
        return dx

    return y, (gradient,)


def cast(x: Any, dtype: Any) -> Any:
    """x in another dtype; the gradient is cast back."""
    if not isinstance(x, (Tensor, SymbolicTensor)):
        return Tensor(asarray(x, dtype))
    x = x if state.read is None else state.read(x)
    return x if as_dtype(x.dtype) == as_dtype(dtype) else _cast(x, dtype=as_dtype(dtype))


def shape(x: Any) -> tuple:
    """The shape, with None for lengths that a symbolic tensor does not know."""
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def _full(name: str, shape: Any, value: Any, dtype: Any) -> Tensor:
    array = devices.current().empty(as_shape(name, shape), as_dtype(dtype))
    fill(array, value=value)
    return Tensor(array)


def zeros(shape: int | Sequence[int], dtype: Any = None) -> Tensor:
    """A tensor of zeros."""
    return _full("zeros", shape, 0, dtype)


def empty(shape: int | Sequence[int], dtype: Any = None) -> Tensor:
    """A tensor whose values do not matter; they are zeros.

    >>> gpunn.ops.empty((2, 3))
    """
    return _full("empty", shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: Any = None) -> Tensor:
    """A tensor of ones."""
    return _full("ones", shape, 1, dtype)


def full(shape: int | Sequence[int], fill_value: Any, dtype: Any = None) -> Any:
    """A tensor of one value, or of an array of values that broadcasts to the shape."""
    if isinstance(fill_value, (bool, int, float, np.number)):
        return _full("full", shape, fill_value, dtype)
    return _spread(fill_value, shape, as_dtype(dtype))


def _spread(values: Any, shape: Any, dtype: Any) -> Any:
    from gpunn.ops.shaping import broadcast_to

    return broadcast_to(cast(values, dtype), as_shape("full", shape, unknown=True))


@op(shape=lambda x, value, dtype: Spec(x.shape, as_dtype(dtype)))
def _full_like(x: Array, value: float, dtype: np.dtype) -> Any:
    y = devices.empty(x.shape, as_dtype(dtype), x)
    fill(y, value=value)
    return y, None


def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Zeros of the shape and device of x, and of its dtype if none is named."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Any:
    """Ones of the shape and device of x, and of its dtype if none is named."""
    return full_like(x, 1, dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value, or values that broadcast, in the shape and on the device of x.

    In the dtype of x if none is named.
    """
    x = convert_to_tensor(x)
    dtype = as_dtype(dtype or x.dtype)
    if isinstance(fill_value, (bool, int, float, np.number)):
        return _full_like(x, value=fill_value, dtype=dtype)
    return _spread(fill_value, x.shape, dtype)


def empty_like(x: Any, dtype: Any = None) -> Any:
    """A tensor like x whose values do not matter; they are zeros.

    >>> gpunn.ops.empty_like([1.0, 2.0])
    """
    return full_like(x, 0, dtype)


def _one_hot_examples(rng: np.random.Generator, dtype: str) -> Any:
    yield (np.array([[0, 2], [3, -1]], "int32"), unwritten((2, 2, 4), dtype)), {}


@kernel(examples=_one_hot_examples)
def one_hot_forward(xp: Any, labels: Array, out: Array) -> None:
    """out[..., k] = 1 where the label is k, else 0"""
    classes = xp.arange(out.shape[-1], dtype="int32")
    xp.copyto(out, labels[..., None] == classes, casting="unsafe")


def _one_hot_rule(labels: Any, num_classes: int, dtype: Any) -> Spec:
    if as_dtype(labels.dtype).kind not in "iu":
        raise ShapeError(
            f"one_hot: labels must be integers, received dtype {as_dtype(labels.dtype).name}. "
            f"Cast them to 'int32'."
        )
    return Spec((*labels.shape, num_classes), as_dtype(dtype))


@op(shape=_one_hot_rule)
def _one_hot(labels: Array, num_classes: int, dtype: np.dtype) -> Any:
    out = devices.empty((*labels.shape, num_classes), as_dtype(dtype), labels)
    one_hot_forward(labels, out)
    return out, None


def refuse_sparse(name: str, sparse: bool) -> None:
    """Raise where a sparse tensor is asked for: gpunn has dense ones."""
    if sparse:
        raise NotImplementedError(f"{name}: sparse=True is not supported: tensors are dense.")


def one_hot(
    x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Any:
    """1 at the position of each integer label along a new axis, else 0; zeros for other labels."""
    refuse_sparse("one_hot", sparse)
    num_classes = whole_number("one_hot: num_classes", num_classes, 0)
    x = convert_to_tensor(x)
    x = cast(x, "int32") if is_float(x.dtype) else x
    encoded = _one_hot(x, num_classes=num_classes, dtype=as_dtype(dtype))
    if axis in (-1, encoded.ndim - 1):
        return encoded
    from gpunn.ops.shaping import moveaxis

    return moveaxis(encoded, -1, axis)


def stop_gradient(variable: Any) -> Any:
    """The same values, through which no gradient flows."""
    return Tensor(variable.data) if isinstance(variable, Tensor) else _identity(variable)


@op(shape=lambda x: Spec(x.shape, as_dtype(x.dtype)))
def _identity(x: Array) -> Any:
    return x, None
