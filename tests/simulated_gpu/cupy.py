"""A stand-in for the module `cupy`, on NumPy and the CUDA emulator.

    from tests.simulated_gpu import simulated_cupy
    backend = CupyBackend(simulated_cupy)

Arrays are `ndarray` objects that refuse to mix with NumPy's, kernels are the real CUDA source
run by the emulator, and streams can be captured and replayed. Where real CuPy refuses (mixing
in NumPy arrays, its own cuBLAS while capturing, host reads while capturing), so does this.

Any other name that real CuPy has (`cupy_names.txt`) is NumPy's function of that name. Known gaps:
`random` and complex kernels are missing, and some of `linalg` and `fft`; functions take NumPy's
arguments even where CuPy lacks one; the order of float sums is NumPy's; a list passed to a
function is not refused; work on two streams never overlaps; `ReductionKernel` is missing.
"""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from . import cuda, device, functions
from .array import ndarray, wrap
from .device import get_default_memory_pool, reset_statistics, statistics
from .elementwise import ElementwiseKernel
from .libraries import fft, linalg
from .raw import RawKernel, RawModule

__all__ = [
    "ElementwiseKernel",
    "RawKernel",
    "RawModule",
    "cuda",
    "fft",
    "get_default_memory_pool",
    "linalg",
    "ndarray",
    "reset_statistics",
    "statistics",
]
__version__ = "14.0.0"
_NAMES_FILE = Path(__file__).with_name("cupy_names.txt")
_NAMES = frozenset(_NAMES_FILE.read_text().split())


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    """`a` on the device; from the host it is a transfer."""
    return array(a, dtype, copy=bool(copy), order=order or "K")


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """A device array of host data, or a copy of a device array."""
    if isinstance(obj, ndarray):
        if not copy and dtype in (None, obj.dtype):
            return obj
        return obj.astype(dtype or obj.dtype, order=order)
    if isinstance(obj, list | tuple) and functions.device_arrays(obj):
        return functions.call("array", np.array, (obj, dtype), {"ndmin": ndmin})
    if hasattr(obj, "__cuda_array_interface__"):
        return _array_of_interface(obj.__cuda_array_interface__, dtype, order)
    device.refuse_capture("making an array of host data")
    device.statistics().host_to_device += 1
    return wrap(np.array(obj, dtype, order=order, ndmin=ndmin))


def _array_of_interface(interface, dtype, order):
    """A copy of another library's array in the memory of the simulated device."""

    class Holder:
        __array_interface__ = interface

    return wrap(np.array(Holder(), dtype, order=order))


def ascontiguousarray(a, dtype=None):
    if isinstance(a, ndarray) and a.flags.c_contiguous and dtype in (None, a.dtype):
        return a
    return array(a, dtype, order="C")


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """A NumPy array of anything."""
    if isinstance(a, ndarray):
        return a.get(order=order, out=out)
    return np.asarray(a, order=order)


def empty(shape, dtype=float, order="C"):
    """Holds NaN, or -1: reading it before writing it shows."""
    return ndarray(shape, dtype, order=order)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    template = np.empty_like(prototype._array, dtype, order, shape=shape)
    device.poison(template)
    return wrap(template)


def from_dlpack(x):
    """Shares memory with `x`, which must be an array of the simulated device."""
    if not isinstance(x, ndarray):
        raise BufferError(f"not in the memory of a device: {type(x)}")
    return x._view(x._array)


def get_array_module(*args):
    """This module if any argument is a device array, else NumPy."""
    return sys.modules[__name__] if functions.device_arrays(list(args)) else np


def write_names_file():
    """Write cupy_names.txt anew, from the CuPy that is installed:

    python -c "from tests.simulated_gpu import cupy; cupy.write_names_file()"
    """
    import cupy

    public = (name for name in dir(cupy) if not name.startswith("_"))
    names = [name for name in public if not isinstance(getattr(cupy, name), ModuleType)]
    _NAMES_FILE.write_text("\n".join(names) + "\n")


def __getattr__(name):
    if name not in _NAMES:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    if not hasattr(np, name):
        raise AttributeError(f"cupy.{name} exists but is not simulated")
    value = getattr(np, name)
    if callable(value) and not isinstance(value, type):
        value = functions.Function(name, value)
    globals()[name] = value
    return value
