"""The simulated `cupy.ndarray`: a NumPy array that must not be mistaken for one."""

import math
import operator

import numpy as np

from . import device

_IMPLICIT = (
    "Implicit conversion to a NumPy array is not allowed. "
    "Please use `.get()` to construct a NumPy array explicitly."
)


class ndarray:  # noqa: N801 - CuPy's name
    """An array in the memory of the simulated device."""

    __array_priority__ = 100

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        place = memptr
        if place is None:
            count = math.prod(shape) if isinstance(shape, tuple | list) else shape
            place = device.alloc(count * np.dtype(dtype).itemsize)
        buffer = place.mem.owner.reshape(-1).view(np.uint8)
        if strides is None or 0 in shape:
            self._array = np.ndarray(shape, dtype, buffer, place.offset, None, order)
        else:  # CuPy does not check that they stay within the memory
            first = np.ndarray((1,), dtype, buffer, place.offset)
            self._array = np.lib.stride_tricks.as_strided(first, shape, strides)
        self._memory, self.base = place.mem, None
        if memptr is None:
            device.poison(self._array)

    @classmethod
    def _of(cls, array, memory, base):
        self = object.__new__(cls)
        self._array, self._memory, self.base = array, memory, base
        return self

    def _view(self, array):
        return ndarray._of(array, self._memory, self if self.base is None else self.base)

    # ---- what it is -----------------------------------------------------------------------
    shape = property(lambda self: self._array.shape)
    dtype = property(lambda self: self._array.dtype)
    ndim = property(lambda self: self._array.ndim)
    size = property(lambda self: self._array.size)
    nbytes = property(lambda self: self._array.nbytes)
    itemsize = property(lambda self: self._array.itemsize)
    strides = property(lambda self: self._array.strides)
    flags = property(lambda self: self._array.flags)
    T = property(lambda self: self._view(self._array.T))
    real = property(lambda self: self._view(self._array.real))
    imag = property(lambda self: self._view(self._array.imag))

    @property
    def data(self):
        return device.MemoryPointer(self._memory, self._array.ctypes.data - self._memory.ptr)

    @property
    def device(self):
        from .cuda import Device

        return Device(0)

    @property
    def __cuda_array_interface__(self):
        interface = dict(self._array.__array_interface__, version=3, stream=1)
        interface["data"] = (self.data.ptr, False)
        interface["strides"] = None if self.flags.c_contiguous else self.strides
        return interface

    def __dlpack__(self, *, stream=None, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()

    def __repr__(self):
        return f"simulated {self._array!r}"

    def __len__(self):
        return len(self._array)

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # ---- to and from the host -------------------------------------------------------------
    def get(self, stream=None, order="C", out=None, blocking=True):
        """A NumPy copy."""
        device.refuse_capture("copying an array to the host")
        device.statistics().device_to_host += 1
        if out is None:
            return self._array.copy(order=order)
        out[...] = self._array
        return out

    def set(self, array, stream=None):
        """Copy a NumPy array of the same shape and dtype into this one."""
        device.refuse_capture("copying an array from the host")
        if not isinstance(array, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if array.dtype != self.dtype:
            raise TypeError(f"{array.dtype} array cannot be set to {self.dtype} array")
        if array.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {array.shape}")
        device.statistics().host_to_device += 1
        self._array[...] = array

    def item(self, *index):
        return self.get().item(*index)

    def tolist(self):
        return self.get().tolist()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        return operator.index(self.item())

    def __bool__(self):
        return bool(self.get())

    def __array__(self, dtype=None, copy=None):
        raise TypeError(_IMPLICIT)

    # ---- shapes (views) and copies --------------------------------------------------------
    def astype(self, dtype, order="K", casting="unsafe", subok=None, copy=True):
        if not copy and self.dtype == np.dtype(dtype):
            return self
        return _method("astype", self, dtype, order=order, casting=casting)

    def fill(self, value):
        raw = _functions().unwrap(value)
        device.launch("fill", lambda: self._array.fill(raw))

    def scatter_add(self, index, value):
        """self[index] += value, where an index may come more than once."""
        index, value = _functions().unwrap((index, value))
        device.launch("scatter_add", lambda: np.add.at(self._array, index, value))

    def __getitem__(self, index):
        raw = _raw_index(index)
        return _functions().call("getitem", lambda array: array[raw], (self,), {})

    def __setitem__(self, index, value):
        if isinstance(value, list | tuple):
            raise TypeError(f"Unsupported type {type(value)}")
        raw_index, raw_value = _raw_index(index), _functions().unwrap(value)
        device.launch("setitem", lambda: operator.setitem(self._array, raw_index, raw_value))

    def sort(self, axis=-1):
        device.launch("sort", lambda: self._array.sort(axis))

    # ---- NumPy's functions on these arrays ------------------------------------------------
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        from . import cupy

        function = getattr(cupy, ufunc.__name__, None)
        if method != "__call__":
            function = getattr(function, method, None)
        return NotImplemented if function is None else function(*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        from . import cupy

        ours = getattr(cupy, function.__name__, None)
        if ours is None or not all(issubclass(t, ndarray | np.ndarray) for t in types):
            return NotImplemented
        return ours(*args, **kwargs)


def _functions():
    from . import functions  # they need this module's ndarray

    return functions


def wrap(array):
    """A device array of these values."""
    strides = np.empty_like(array).strides  # packed, the axes in the same order
    copy = ndarray(array.shape, array.dtype, device.alloc(array.nbytes), strides)
    copy._array[...] = array
    return copy


def _method(name, self, *args, **kwargs):
    return _functions().call(name, getattr(np.ndarray, name), (self, *args), kwargs)


def _raw_index(index):
    """The index in NumPy's terms; with an Ellipsis, so that x[0] is a 0-d view as in CuPy."""
    raw = []
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, ndarray) and part.dtype == bool:
            device.refuse_capture("indexing by a boolean array")
        elif isinstance(part, list | np.ndarray):
            device.refuse_capture("indexing by a list or NumPy array")
        raw.append(part._array if isinstance(part, ndarray) else part)
    return tuple(raw) if any(part is Ellipsis for part in raw) else (*raw, Ellipsis)


def _add_methods():
    methods = (
        "all any argmax argmin argsort clip conj copy cumprod cumsum diagonal dot flatten max "
        "mean min nonzero prod ravel repeat reshape round squeeze std sum swapaxes take "
        "trace transpose var view"
    )
    for name in methods.split():

        def method(self, *args, _name=name, **kwargs):
            return _method(_name, self, *args, **kwargs)

        setattr(ndarray, name, method)


def _add_operators():
    binary = {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
        "floordiv": "floor_divide", "mod": "remainder", "pow": "power", "matmul": "matmul",
        "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
        "lshift": "left_shift", "rshift": "right_shift",
    }  # fmt: skip
    compare = {
        "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal",
        "gt": "greater", "ge": "greater_equal",
    }  # fmt: skip
    unary = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}

    def define(method, ufunc, arguments):
        function = getattr(np, ufunc)

        def operate(self, *others):
            args, kwargs = arguments(self, *others)
            return _functions().call(ufunc, function, args, kwargs)

        setattr(ndarray, f"__{method}__", operate)

    for method, ufunc in {**binary, **compare, **unary}.items():
        define(method, ufunc, lambda self, *others: ((self, *others), {}))
    for method, ufunc in binary.items():
        define(f"r{method}", ufunc, lambda self, other: ((other, self), {}))
        define(f"i{method}", ufunc, lambda self, other: ((self, other), {"out": self}))


ndarray.__hash__ = None
_add_methods()
_add_operators()
