"""`cupy.RawModule` and `cupy.RawKernel`, run by the emulator with its checks on."""

import numpy as np

from . import device
from .array import ndarray
from .emulator import EmulatedModule, EmulatorError


class RawModule:
    """CUDA source and its kernels. Compiled when a function is first asked for, as in CuPy."""

    def __init__(
        self,
        *,
        code=None,
        path=None,
        options=(),
        backend="nvrtc",
        translate_cucomplex=False,
        enable_cooperative_groups=False,
        name_expressions=None,
        jitify=False,
    ):
        if code is None:
            raise NotImplementedError("the simulated RawModule takes code=, not path=")
        self._source = (code, tuple(options), tuple(name_expressions or ()))
        self._cooperative = enable_cooperative_groups
        self._module = None

    def compile(self, log_stream=None):
        if self._module is None:
            device.refuse_capture("the first compilation of a module")
            self._module = EmulatedModule(*self._source)

    def get_function(self, name):
        self.compile()
        return _RawFunction(self._module.get_function(name), self._cooperative)


class RawKernel:
    """One kernel of its own source."""

    def __init__(
        self, code, name, options=(), backend="nvrtc", *, enable_cooperative_groups=False, **_
    ):
        self.name = name
        self.max_dynamic_shared_size_bytes = 48 << 10
        self._module = RawModule(
            code=code, options=options, enable_cooperative_groups=enable_cooperative_groups
        )

    def compile(self, log_stream=None):
        self._module.compile()

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        function = self._module.get_function(self.name)
        function.max_dynamic_shared_size_bytes = self.max_dynamic_shared_size_bytes
        function(grid, block, args, shared_mem=shared_mem, stream=stream)


class _RawFunction:
    def __init__(self, kernel, cooperative):
        self.name = kernel.name
        self.max_dynamic_shared_size_bytes = 48 << 10
        self._kernel, self._cooperative = kernel, cooperative

    def __call__(self, grid, block, args, *, shared_mem=0, stream=None):
        """NumPy arrays of one element go by value, as in CuPy."""
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise EmulatorError(
                f"{self.name}: {shared_mem} bytes of shared memory; above 48 KiB set "
                "max_dynamic_shared_size_bytes first"
            )
        raw = [_raw_argument(arg) for arg in args]
        device.launch(
            self.name,
            lambda: self._kernel(grid, block, raw, shared_mem, cooperative=self._cooperative),
            stream,
        )


def _raw_argument(arg):
    if isinstance(arg, ndarray):
        return arg._array
    if isinstance(arg, np.ndarray):
        if arg.size != 1:
            raise TypeError(f"Unsupported type {type(arg)}")
        return arg.reshape(())[()]
    return arg
