"""What users give, as arrays of a device."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.tensor import Tensor, note_host_read
from gpunn.backend import devices
from gpunn.backend.host import numbers
from gpunn.backend.protocol import Array
from gpunn.backend.thread import local
from gpunn.backend.transfer import MOST_CONSTANTS, constant
from gpunn.errors import DTypeError, described


def asarray(value: Any, dtype: Any = None, like: Array | None = None) -> Array:
    """The array of a tensor, NumPy or CuPy array, sequence or number.

    Created on the device of `like`, else on the current device. Python floats become floatx,
    Python ints int32 where they fit.
    """
    if isinstance(value, Tensor):
        array = value.data
        return array if dtype is None or array.dtype == dtype else array.astype(as_dtype(dtype))
    backend = devices.current() if like is None else devices.backend_of(like)
    if hasattr(value, "detach"):  # a torch tensor: its memory, without its graph
        value = value.detach()
        value = value.cpu().numpy() if backend is devices.cpu else value
    if isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in value):
        note_host_read()
        value = [devices.to_numpy(v.data) if isinstance(v, Tensor) else v for v in value]
    is_plain = not hasattr(value, "dtype") and not _holds_numpy(value)
    if not hasattr(value, "dtype"):
        value = numbers(value)
        dtype = _python_dtype(value, is_plain) if dtype is None else dtype
    dtype = None if dtype is None else as_dtype(dtype)
    if is_plain and local.recorder is not None and value.size <= MOST_CONSTANTS:
        return constant(value if dtype is None else value.astype(dtype), backend)
    array = backend.asarray(value, dtype)
    if array.dtype.kind == "c":
        raise DTypeError(f"Complex numbers are not supported (received dtype {array.dtype}).")
    return array


def _python_dtype(array: np.ndarray, is_plain: bool) -> np.dtype | None:
    """floatx for Python floats, int32 for ints where they fit, None for the rest."""
    if array.dtype.kind == "f":
        return as_dtype(None) if is_plain else None
    if array.dtype == np.int64 and array.size:
        limits = np.iinfo(np.int32)
        if limits.min <= array.min() and array.max() <= limits.max:
            return as_dtype("int32")
    return as_dtype(None) if array.size == 0 else None


def _holds_numpy(value: Any) -> bool:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return hasattr(value, "dtype")


def tensors_of(what: str, given: Any) -> list[Tensor]:
    """A tensor, or a list, tuple or dict of tensors, as a list."""
    listed = [given] if isinstance(given, Tensor) else given
    tensors = list(listed.values()) if isinstance(listed, dict) else listed
    if not isinstance(tensors, (list, tuple)) or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError(
            f"{what} must be a tensor, or a list, tuple or dict of tensors, received "
            f"{described(given)}. Make tensors of arrays by ops.convert_to_tensor."
        )
    return list(tensors)
