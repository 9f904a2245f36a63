"""A GPU without a GPU, for tests: see CONTRIBUTING.md, "Verified without a GPU".

- `simulated_cupy`: a stand-in for the module `cupy`, to give to `CupyBackend`
- `EmulatedModule`: CUDA C++ source run on the CPU, every memory access checked
- `fake_cublaslt_path()`: a library with the C interface of cublasLt
- `compile_check`: compiles for real GPUs with NVRTC, no driver needed
"""

from . import cupy as simulated_cupy
from .emulator import EmulatedModule, EmulatorError

__all__ = ["EmulatedModule", "EmulatorError", "fake_cublaslt_path", "simulated_cupy"]


def fake_cublaslt_path():
    """Path of the fake cublasLt library; load it with ctypes.CDLL in place of the real one."""
    from .cublaslt import connected

    return connected()
