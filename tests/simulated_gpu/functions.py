"""NumPy functions on simulated device arrays: arguments unwrapped, results wrapped."""

import numpy as np

from . import device
from .array import ndarray, wrap

# What CuPy sends to cuBLAS when the data are floats, which refuses to be captured.
_CUBLAS = {"dot", "einsum", "inner", "kron", "matmul", "outer", "tensordot", "vdot"}
# What needs a value on the host to know the shape of its result.
_SYNCHRONISES = {"argwhere", "flatnonzero", "nonzero", "unique", "extract", "compress"}
# What is not an array even when NumPy returns one of its scalars.
_HOST_RESULTS = {"isscalar", "may_share_memory", "shares_memory", "ndim", "size", "can_cast"}
_BECOMES_ARRAY = {"allclose", "array_equal", "array_equiv"}
_WRITES_FIRST = {"copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"}
_MANY = 8  # arrays that `concatenate` joins without a table of pointers from the host


def unwrap(value):
    """The NumPy arrays behind the device arrays, anywhere within tuples, lists and dicts."""
    if isinstance(value, ndarray):
        return value._array
    if isinstance(value, np.ndarray) and value.ndim > 0:
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple | list):
        return type(value)(unwrap(item) for item in value)
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in value.items()}
    return value


def device_arrays(value):
    """All device arrays within an argument."""
    if isinstance(value, ndarray):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [array for item in value for array in device_arrays(item)]


def call(name, function, args, kwargs):
    """`function(*args, **kwargs)` on the device."""
    raw_args, raw_kwargs = unwrap(args), unwrap(kwargs)
    inputs = device_arrays([args, kwargs])
    out = args[0] if name in _WRITES_FIRST else kwargs.get("out")
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if out is not None and not isinstance(out, ndarray | tuple):
        raise TypeError(f"return arrays must be of cupy.ndarray type, not {type(out)}")
    _check_capture(name, args, inputs)

    def compute():
        with np.errstate(all="ignore"):
            return function(*raw_args, **raw_kwargs)

    if out is not None:
        _note_compilation(name, inputs)
        device.launch(name, compute)
        return None if name in _WRITES_FIRST else out
    result = compute()
    if name in _BECOMES_ARRAY:
        result = np.asarray(result)
    return _deliver(name, result, inputs, compute)


def _check_capture(name, args, inputs):
    if not device.is_capturing():
        return
    if name in _CUBLAS and any(a.dtype.kind not in "iub" for a in inputs):
        raise NotImplementedError(
            "calling cuBLAS API during stream capture is currently unsupported"
        )
    if name in _SYNCHRONISES or (name == "where" and len(args) == 1):
        device.refuse_capture(f"{name}(), whose result's shape depends on values,")
    if name in ("concatenate", "stack", "hstack", "vstack") and len(args[0]) > _MANY:
        device.refuse_capture(f"{name}() of more than {_MANY} arrays")
    if name == "repeat" and len(args) > 1 and not isinstance(args[1], int):
        device.refuse_capture("repeat() by an array")


def _note_compilation(name, inputs):
    device.compiles((name, tuple(array.dtype for array in inputs)))


def _deliver(name, result, inputs, compute):
    several = isinstance(result, tuple | list)
    if several and any(isinstance(part, np.ndarray | np.generic) for part in result):
        parts = [np.asarray(part) for part in result]
    elif isinstance(result, np.ndarray | np.generic) and name not in _HOST_RESULTS:
        parts = [np.asarray(result)]
    else:
        return result  # a dtype, a shape, a Python number
    wrapped = [_wrap_part(part, inputs) for part in parts]
    fresh = {i: array._array for i, array in enumerate(wrapped) if array.base is None}
    if fresh:
        _note_compilation(name, inputs)
        _record(name, fresh, compute)
    if not several:
        return wrapped[0]
    return wrapped if isinstance(result, list) else tuple(wrapped)


def _wrap_part(part, inputs):
    for array in inputs:
        if part is array._array:
            return array._view(part)
        if part.size and np.may_share_memory(part, array._array):
            return array._view(part)
    return wrap(part)


def _record(name, fresh, compute):
    """Count a launch. While capturing, take the values away again: only replays have them."""

    def replay():
        again = compute()
        again = again if isinstance(again, tuple | list) else [again]
        for position, array in fresh.items():
            array[...] = again[position]

    if device.is_capturing():
        for array in fresh.values():
            device.poison(array)
        device.launch(name, replay)
    else:
        device.launch(name, lambda: None)


class Function:
    """One name of the simulated module, such as `add`; ufuncs have their methods."""

    def __init__(self, name, function):
        self.__name__ = self.name = name
        self.__doc__ = function.__doc__
        self._function = function

    def __call__(self, *args, **kwargs):
        if isinstance(self._function, np.ufunc) and len(args) > self._function.nin:
            kwargs["out"] = args[self._function.nin :]
            args = args[: self._function.nin]
        return call(self.name, self._function, args, kwargs)

    def __getattr__(self, attribute):
        if attribute not in ("nin", "nout", "nargs", "types", "reduce", "accumulate", "outer"):
            raise AttributeError(f"{self.name!r} has no attribute {attribute!r}")
        value = getattr(self._function, attribute)
        return Function(self.name, value) if callable(value) else value

    def __repr__(self):
        return f"<simulated cupy function {self.name!r}>"
