"""Runs CUDA C++ on the CPU, for tests: one fiber per CUDA thread, every memory access checked.

The source is compiled by g++ as it stands, with `GPUNN_EMU` defined. A kernel asks for it only
where it would write PTX: the functions of `namespace ptx` in kernels/mma.cuh, tensor cores and
`cp.async`, have twins in shim/mma.h, and `emu_grid_sync(EmuSite::here())` stands for a barrier of
the whole grid. Blocks that wait for one another must be launched with `cooperative=True`, and spin
with `__nanosleep`.

A `cp.async` copies when its group is waited for, at the latest possible moment; until then the
place counts as written by it, and touching it is an error.

Not emulated: denormals flushed to zero (CuPy compiles with -ftz=true), fused multiply-adds,
the timing and order of real hardware, textures, streams within a kernel, structs as
kernel arguments, `extern __shared__` outside a function. `memcpy` in a kernel is not checked.
"""

from .compiler import EmulatorError, available
from .module import EmulatedKernel, EmulatedModule

__all__ = ["EmulatedKernel", "EmulatedModule", "EmulatorError", "available"]
