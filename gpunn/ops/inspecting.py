"""What a tensor is: size, ndim, dtype, and its bits seen as another dtype."""

from __future__ import annotations

from math import prod
from typing import Any, NoReturn

import numpy as np

from gpunn.autodiff.dtypes import as_dtype, dtype_name
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.autodiff.tensor import Tensor
from gpunn.autodiff.variable import Variable
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.creation import convert_to_tensor, shape


def size(x: Any) -> int:
    """The number of elements.

    >>> gpunn.ops.size([[1, 2], [3, 4]])  # 4
    """
    lengths = shape(x)
    if None in lengths:
        raise ShapeError(
            f"size: of a symbolic tensor of unknown length (x {lengths}). Use ops.shape(x), or ask "
            f"in a layer's `call`."
        )
    return prod(lengths)


def ndim(x: Any) -> int:
    """The number of axes.

    >>> gpunn.ops.ndim([[1, 2], [3, 4]])  # 2
    """
    return len(shape(x))


def dtype(x: Any) -> str:
    """The name of the dtype of a tensor, array or number as a tensor.

    >>> gpunn.ops.dtype([1.0, 2.0])
    """
    return x.dtype if isinstance(x, Tensor) else dtype_name(as_dtype(convert_to_tensor(x).dtype))


def is_tensor(x: Any) -> bool:
    """True of tensors; False of variables, symbolic tensors, and arrays of other packages.

    >>> gpunn.ops.is_tensor(gpunn.ops.ones(3))
    """
    return isinstance(x, Tensor) and not isinstance(x, Variable)


def _view_rule(x: Any, dtype: Any) -> Spec:
    old, new = as_dtype(x.dtype).itemsize, as_dtype(dtype).itemsize
    lengths = tuple(x.shape)
    if old == new:
        return Spec(lengths, as_dtype(dtype))
    n = lengths[-1] if lengths else None
    if not lengths or (n is not None and n * old % new):
        raise ShapeError(
            f"view: the last axis does not divide into elements of '{dtype_name(as_dtype(dtype))}' "
            f"(x {lengths} of '{dtype_name(as_dtype(x.dtype))}'). Its bytes must be a multiple of "
            f"{new}."
        )
    return Spec((*lengths[:-1], None if n is None else n * old // new), as_dtype(dtype))


@op(shape=_view_rule)
def _view(x: Array, dtype: np.dtype) -> Any:
    return packed(x).view(dtype), None


def view(x: Any, dtype: Any = None) -> Any:
    """The bits of x as elements of another dtype; the last axis becomes longer or shorter.

    No derivative, unless it is the same dtype (None), which gives x.

    >>> gpunn.ops.view([1.0], "int32")  # 1065353216
    """
    x = convert_to_tensor(x)
    if dtype is None or as_dtype(dtype) == as_dtype(x.dtype):
        return x
    return _view(x, dtype=as_dtype(dtype))


def view_as_complex(x: Any) -> NoReturn:
    """Not supported: gpunn has no complex tensors. Its functions take pairs `(real, imag)`."""
    raise _no_complex("view_as_complex", x)


def view_as_real(x: Any) -> NoReturn:
    """Not supported: gpunn has no complex tensors. Its functions take pairs `(real, imag)`."""
    raise _no_complex("view_as_real", x)


def _no_complex(name: str, x: Any) -> NotImplementedError:
    return NotImplementedError(
        f"{name}: gpunn has no complex tensors (x {shape(x)}). Keep the real and the imaginary "
        f"part as two tensors, as gpunn.ops.fft does."
    )
