"""Variable: a tensor with a name whose values change."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gpunn.arguments import as_shape
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, dtype_name, is_float
from gpunn.autodiff.symbolic import tracing
from gpunn.autodiff.tape import state, uncast
from gpunn.autodiff.tensor import Tensor, note_host_read
from gpunn.backend import devices
from gpunn.backend.protocol import Array, Shape
from gpunn.backend.transfer import copy_into, fill, packed
from gpunn.changes import note_change
from gpunn.errors import ShapeError
from gpunn.naming import unique_name


class _Scope(threading.local):
    names: tuple[str, ...] = ()


_scope = _Scope()


@contextlib.contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Variables made inside have `name/` in front of their path. Gives the whole path so far."""
    outer = _scope.names
    _scope.names = (*outer, name)
    try:
        yield "/".join(_scope.names)
    finally:
        _scope.names = outer


_AGGREGATIONS = (None, "none", "mean", "sum", "only_first_replica")
_SYNCHRONIZATIONS = (None, "none", "auto", "on_read", "on_write")


class Variable(Tensor):
    """A tensor whose values change: a weight, a metric's state, an optimizer's slot.

    `initializer`: an array or nested list, or a callable `(shape, dtype) -> values` with `shape`
    given. Trainable float variables are watched by tapes. Its array may become a view of a flat
    buffer (an optimizer does that): always read it through the variable.

    >>> v = gpunn.Variable([1.0, 2.0], name="v")
    >>> v.assign_add([1.0, 1.0])
    """

    __slots__ = (
        "_trainable", "aggregation", "assignments", "autocast", "constraint", "initializer",
        "name", "path", "regularizer", "synchronization",
    )  # fmt: skip

    def __init__(
        self,
        initializer: Any,
        shape: Shape | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str | None = "auto",
        name: str | None = None,
    ):
        shape = None if shape is None else as_shape("Variable", shape, unknown=True)
        if name is not None and not isinstance(name, str):
            raise ValueError(f"Variable: name must be a string, received {name!r}.")
        if callable(initializer):
            if shape is None:
                raise ValueError(
                    "Variable: a callable initializer needs a shape. Give shape=(...)."
                )
            data = asarray(initializer(shape, dtype=as_dtype(dtype).name), as_dtype(dtype))
            if data.shape != shape:
                raise ShapeError(
                    f"Variable: the initializer gave values of shape {data.shape} for a variable "
                    f"of shape {shape}. It must return the shape it is asked for."
                )
        else:
            data = asarray(initializer, None if dtype is None else as_dtype(dtype))
            if shape is not None and shape != data.shape:
                raise ShapeError(
                    f"Variable: the initial value has shape {data.shape}, not {shape}. "
                    f"Leave out one of them or make them agree."
                )
        owned = devices.backend_of(data).empty(data.shape, data.dtype)
        owned[...] = data
        super().__init__(owned)
        if aggregation not in _AGGREGATIONS or synchronization not in _SYNCHRONIZATIONS:
            raise ValueError(
                f"Variable: aggregation must be one of {_AGGREGATIONS} and synchronization one of "
                f"{_SYNCHRONIZATIONS}, received {aggregation!r} and {synchronization!r}. They are "
                f"for several devices; here there is one."
            )
        self.autocast = autocast
        self.aggregation, self.synchronization = aggregation, synchronization
        self.name = name or unique_name("variable")
        self.path = "/".join((*_scope.names, self.name))
        self.initializer: Callable | None = initializer if callable(initializer) else None
        self.regularizer: Callable | None = None
        self.constraint: Callable | None = None
        self.assignments = 0  # how often `assign` replaced the values
        self.trainable = trainable

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name in ("constraint", "regularizer"):
            note_change()

    @property
    def trainable(self) -> bool:
        """True if optimizers change it."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        note_change()
        self.tracked = self._trainable and is_float(self.data.dtype)

    def numpy(self) -> np.ndarray:
        """A copy of the values: unlike a tensor's, they change later."""
        note_host_read()
        return np.array(devices.to_numpy(self.data))

    @property
    def dtype(self) -> str:
        """The name of the element type; in a layer that casts its variables, of what it sees."""
        own = self.data.dtype
        seen = own if state.autocast is None or not self.autocast else state.autocast
        return dtype_name(seen if is_float(own) else own)

    @property
    def value(self) -> Tensor:
        """The variable as a tensor of its values now, within a layer in the dtype it sees."""
        return self if state.read is None else state.read(self)

    def assign(self, value: Any) -> Variable:
        """Replace the values, in place. The shape must agree."""
        if tracing.on:
            return self  # nothing is computed, but shapes
        if type(value) in (int, float) and self.data.shape == ():
            fill(self.data, value=value)  # no array on the way, so that a recording may have it
            self.assignments += 1
            return self
        array = asarray(value, like=self.data)
        if array.shape != self.data.shape:
            raise ShapeError(
                f"{self.path}: cannot assign values of shape {array.shape} to a variable of shape "
                f"{self.data.shape}. They must agree."
            )
        copy_into(array, self.data)
        self.assignments += 1
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the values, in place."""
        with uncast():  # a sum in 16 bits would not grow
            return self.assign(self + self._operand(value))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the values, in place."""
        with uncast():
            return self.assign(self - self._operand(value))

    def _operand(self, value: Any) -> Any:
        """A number of its kind stays one; all else becomes an array of its dtype."""
        if type(value) is int or (type(value) is float and is_float(self.data.dtype)):
            return value
        dtype = None if isinstance(value, Tensor) else self.data.dtype
        # `packed` casts by a kernel, which a recording sees.
        return packed(asarray(value, dtype, self.data), self.data.dtype)

    def rebind(self, array: Array) -> None:
        """Keep the values in `array` from now on (a view of a flat buffer)."""
        copy_into(self.data, array)
        self.data = array
        note_change()

    def __repr__(self) -> str:
        values = np.array2string(devices.to_numpy(self.data), threshold=20, separator=", ")
        about = f"path={self.path} shape={self.shape} dtype={self.dtype} {self.device}"
        return f"<Variable {about} value={values}>"
