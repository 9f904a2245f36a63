"""Runs CUDA C++ on the CPU, for tests: one fiber per CUDA thread, every memory access checked.

The source is compiled by g++ as it stands, with `GPUNN_EMU` defined. A kernel asks for it only
where it would write PTX: `emu_mma_1688_tf32`, `emu_mma_16816` and `emu_tf32` (shim/mma.h) stand
for tensor cores, `emu_grid_sync(EmuSite::here())` for a barrier of the whole grid. Blocks that
wait for one another must be launched with `cooperative=True`, and spin with `__nanosleep`.

Not emulated: denormals flushed to zero (CuPy compiles with -ftz=true), fused multiply-adds,
the timing and order of real hardware, `cp.async`, textures, streams within a kernel, structs as
kernel arguments, `extern __shared__` outside a function. `memcpy` in a kernel is not checked.
"""

from .compiler import EmulatorError, available
from .module import EmulatedKernel, EmulatedModule

__all__ = ["EmulatedKernel", "EmulatedModule", "EmulatorError", "available"]
