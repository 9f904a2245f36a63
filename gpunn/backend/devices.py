"""Which devices there are, which one is current, and where an array lives."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import threading
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from gpunn import config
from gpunn.backend.cupy import CupyBackend
from gpunn.backend.numpy import NumpyBackend
from gpunn.backend.protocol import Array, Backend
from gpunn.errors import DeviceError, unknown_name

cpu = NumpyBackend()
_MODES = ("auto", "cupy", "numpy")


class _Devices:
    """The GPUs that were opened, and why there are none."""

    def __init__(self) -> None:
        self.cupy: ModuleType | None = None  # set once CuPy has run a kernel here
        self.problem: str | None = None  # why there is no GPU, once that is known
        self.gpus: dict[int, CupyBackend] = {}
        self.gpu_type: Any = None  # cupy.ndarray, once a GPU is open: for dispatch
        self.default: Backend | None = None


opened = _Devices()


class _Current(threading.local):
    backend: Backend | None = None


_current = _Current()


def _probe_cupy() -> tuple[ModuleType | None, str | None]:
    """CuPy if it can compile and run a kernel here, else the reason why not, in one line."""
    if importlib.util.find_spec("cupy") is None:
        return None, (
            "CuPy is not installed (pip install 'gpunn[cuda13]', or [cuda12] for older drivers)"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cupy = importlib.import_module("cupy")
        if cupy.cuda.runtime.getDeviceCount() < 1:
            return None, "CuPy is installed, but the NVIDIA driver reports no device"
        probe = cupy.ElementwiseKernel("float32 x", "float32 y", "y = x + 1", "gpunn_probe")
        if float(probe(cupy.zeros((), "float32"))) != 1.0:
            return None, "CuPy is installed, but a kernel gave a wrong result"
        return cupy, None
    except Exception as error:  # a broken installation may raise anything, from any library
        first = str(error).strip().splitlines() or [type(error).__name__]
        return None, f"CuPy is installed, but does not work here: {first[0]}"


def use_cupy(cupy: ModuleType | None, problem: str | None = None) -> None:
    """Take `cupy` for the GPU from now on (None: no GPU, because of `problem`)."""
    opened.cupy, opened.problem = cupy, problem
    opened.gpus, opened.gpu_type, opened.default = {}, None, None
    _current.backend = None


def gpu_problem() -> str | None:
    """None when a GPU can be used, else the reason, in one line."""
    if opened.cupy is None and opened.problem is None:
        opened.cupy, opened.problem = _probe_cupy()
    return opened.problem


def gpu(ordinal: int = 0) -> CupyBackend:
    """The backend of the GPU with this number."""
    if ordinal not in opened.gpus:
        problem = gpu_problem()
        if opened.cupy is None:
            raise DeviceError(f"There is no GPU to use: {problem}. Use gpunn.device('cpu').")
        opened.gpus[ordinal] = CupyBackend(opened.cupy, ordinal)
        opened.gpu_type = opened.cupy.ndarray
    return opened.gpus[ordinal]


def _choose_default() -> Backend:
    mode = os.environ.get("GPUNN_BACKEND", "auto").lower()
    if mode not in _MODES:
        raise unknown_name("GPUNN_BACKEND", mode, _MODES)
    if mode == "numpy":
        return cpu
    problem = gpu_problem()
    if problem is None:
        return gpu()
    if mode == "cupy":
        raise DeviceError(f"GPUNN_BACKEND=cupy, but there is no GPU to use: {problem}.")
    if importlib.util.find_spec("cupy") is not None:  # someone wanted a GPU: say why there is none
        import logging

        logging.getLogger("gpunn").warning("gpunn uses the CPU: %s.", problem)
    return cpu


def current() -> Backend:
    """The backend on which new arrays are created: of `device(...)`, else the default one."""
    if _current.backend is not None:
        return _current.backend
    if opened.default is None:
        opened.default = _choose_default()
    return opened.default


config._ask_backend[:] = [lambda: current().name]


def by_name(name: str) -> Backend:
    """The backend of ``"cpu"``, ``"gpu"`` or ``"gpu:<ordinal>"`` (``"cuda"`` means gpu)."""
    match = re.fullmatch(r"(cpu|gpu|cuda)(?::(\d+))?", str(name).lower())
    if match is None or (match[1] == "cpu" and match[2] not in (None, "0")):
        raise unknown_name("device", name, ("cpu", "gpu", "gpu:0"))
    return cpu if match[1] == "cpu" else gpu(int(match[2] or 0))


class device:  # noqa: N801  (reads as a function, like open())
    """Create arrays on this device, inside a ``with`` block or, by `use()`, from now on.

    >>> with gpunn.device("gpu:0"):
    ...     model = gpunn.Sequential([...])

    `device_name`: ``"cpu"``, ``"gpu"``, ``"gpu:1"``. An array stays on its device; operations on
    arrays of two devices raise `DeviceError`.
    """

    def __init__(self, device_name: str):
        self.backend = by_name(device_name)
        self._outer: list[Backend | None] = []

    def use(self) -> None:
        """Make this the calling thread's device until something else is chosen."""
        _current.backend = self.backend
        self.backend.activate()

    def __enter__(self) -> device:
        self._outer.append(_current.backend)
        self.use()
        return self

    def __exit__(self, *_: object) -> None:
        _current.backend = self._outer.pop()
        if _current.backend is not None:
            _current.backend.activate()


def backend_of(array: Array) -> Backend:
    """The backend that owns an array."""
    if opened.gpu_type is not None and isinstance(array, opened.gpu_type):
        return gpu(array.device.id)
    return cpu


def empty(shape: tuple[int, ...], dtype: Any, like: Array) -> Array:
    """An uninitialised array on the device of `like`."""
    backend: Backend = cpu if opened.gpu_type is None else backend_of(like)
    return backend.empty(shape, dtype)


def empty_like(array: Array) -> Array:
    """An uninitialised, C-contiguous array of the shape, dtype and device of `array`."""
    return empty(array.shape, array.dtype, array)


def to_numpy(array: Array) -> np.ndarray:
    """A copy or view of the array on the host."""
    return backend_of(array).to_numpy(array)
