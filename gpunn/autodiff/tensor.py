"""Tensor: an array of one device, and whether gradients flow to it."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunn.autodiff.dtypes import dtype_name
from gpunn.backend import devices
from gpunn.backend.protocol import Array, Shape
from gpunn.backend.thread import local


class Tensor:
    """An n-dimensional array on a device.

    It takes part in NumPy-like expressions (``x + 1``, ``x @ w``, ``x[:, 0]``) and in every
    function of `gpunn.ops`. ``np.asarray(t)`` and `numpy()` copy it to the host, and so do NumPy's
    own functions (``np.sum(t)``), which return NumPy arrays; CuPy, torch and others read it
    without a copy through ``__cuda_array_interface__`` and DLPack.

    >>> x = gpunn.ops.convert_to_tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> (x * 2).numpy()
    """

    __slots__ = ("__weakref__", "_keras_mask", "data", "tracked")

    if TYPE_CHECKING:  # gpunn/ops/operators.py installs them
        __add__: Any
        __radd__: Any
        __sub__: Any
        __rsub__: Any
        __mul__: Any
        __rmul__: Any
        __truediv__: Any
        __rtruediv__: Any
        __pow__: Any
        __matmul__: Any
        __neg__: Any
        __getitem__: Any

    def __init__(self, data: Array, tracked: bool = False):
        self.data = data
        self.tracked = tracked
        self._keras_mask: Any = None

    @property
    def shape(self) -> Shape:
        """The lengths of the axes."""
        return self.data.shape

    @property
    def dtype(self) -> str:
        """The name of the element type, e.g. ``"float32"``."""
        return dtype_name(self.data.dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"gpu:<ordinal>"``."""
        return devices.backend_of(self.data).device

    def numpy(self) -> np.ndarray:
        """The values on the host; on the CPU a read-only view, on a GPU a copy."""
        note_host_read()
        array = devices.to_numpy(self.data)
        if array is self.data:
            array = array.view()
            array.flags.writeable = False
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in _OF_SHAPE:  # a host read would end a recording
            return function._implementation(*args, **kwargs)
        return function(*_on_host(args), **_on_host(kwargs))

    @property
    def __cuda_array_interface__(self) -> dict:
        return self.data.__cuda_array_interface__

    def __dlpack__(self, **options: Any) -> Any:
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple:
        return self.data.__dlpack_device__()

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self._only(ValueError)

    def _only(self, error: type[Exception]) -> Any:
        if self.size != 1:
            raise error(
                f"Only a tensor of one element is a number, this one has shape {self.shape}. Take "
                f"an element, or reduce it, as by ops.mean or ops.any."
            )
        return self.numpy().item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return self.numpy().tolist()

    def __float__(self) -> float:
        return float(self._only(TypeError))

    def __int__(self) -> int:
        return int(self._only(TypeError))

    def __index__(self) -> int:
        return index(self._only(TypeError))

    def __bool__(self) -> bool:
        return bool(self._only(ValueError))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("A tensor of shape () has no length.")
        return self.shape[0]

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", threshold=20)
        return (
            f"<{type(self).__name__} shape={self.shape} dtype={self.dtype} {self.device}>\n{values}"
        )


_OF_SHAPE = {np.shape, np.ndim, np.size}


def _on_host(value: Any) -> Any:
    """`value` with each tensor in it, however deep, as its NumPy array."""
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, (list, tuple)):
        return type(value)(_on_host(v) for v in value)
    if isinstance(value, dict):
        return {key: _on_host(v) for key, v in value.items()}
    return value


def note_host_read() -> None:
    """Tell a recorder that what comes next may depend on a value."""
    if local.recorder is not None:
        local.recorder.host_read()
