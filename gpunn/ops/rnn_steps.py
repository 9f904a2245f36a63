"""What the recurrent kernels share: a sequence as launches on the GPU, work arrays on the CPU.

A kernel of a whole sequence is time-major. Its reference is a loop over the steps with `out=`
everywhere; its CUDA side launches, for each step, a product by cublasLt and one fused kernel of all
gates: a sequence of launches that a graph can record.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import is_float
from gpunn.backend import cublaslt, devices
from gpunn.backend.cuda import blocks, contiguous, raw
from gpunn.backend.devices import empty
from gpunn.backend.kernel import Kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.gemm import gemm

STAGED = 64 * 33  # values that a persistent kernel stages in shared memory
_NULL = np.uint64(0)  # CuPy passes None as 0xffffffff


def unit_launch(position: int) -> Callable[..., Any]:
    """One thread a unit of a sample; the array at `position` is (B, H)."""

    def plan(*arrays: Array | None) -> Any:
        like: Any = arrays[position]
        if like.size == 0 or not contiguous(*[a for a in arrays if a is not None]):
            return NotImplemented
        rows, units = like.shape
        return (blocks(like.size),), (256,), (*arrays, np.int32(rows), np.int32(units)), 0

    return plan


def launch(kernel: Kernel, *arrays: Array | None, **options: Any) -> None:
    """The CUDA side of a kernel inside of another one's."""
    assert kernel.cuda is not None
    if kernel.cuda(kernel, arrays, options) is NotImplemented:
        raise ValueError(f"{kernel.name} does not take these arrays: see `can_launch`.")


def suits_raw(*arrays: Array | None) -> bool:
    """Whether raw kernels take these arrays: contiguous ones of floats or bool, none empty."""
    given = [a for a in arrays if a is not None]
    known = all((is_float(a.dtype) or a.dtype.kind == "b") and a.size > 0 for a in given)
    return known and contiguous(*given)


def can_launch(*arrays: Array | None) -> bool:
    """Whether a sequence of these arrays can be products of cublasLt and raw kernels."""
    return cublaslt.library() is not None and suits_raw(*arrays)


class persistent(raw):  # noqa: N801
    """A whole sequence in one cooperative launch; where it does not fit, `by_steps(*arrays)`.

    `launch(*arrays)` gives grid, block, further arguments and shared memory, or NotImplemented. The
    kernel takes the arrays, the counter of its barrier, which starts at 0, then those arguments.
    All of its blocks must be resident at once: there may be no more of them than multiprocessors.
    """

    cooperative = True

    def __init__(self, file: str, function: str, launch: Callable, by_steps: Callable[..., Any]):
        super().__init__(file, function, launch)
        self.by_steps = by_steps

    def __call__(self, kernel: Kernel, arrays: tuple, options: dict) -> Any:
        plan = self.launch(*arrays)
        if plan is NotImplemented or plan[0][0] > _multiprocessors(arrays[0].device.id):
            return self.by_steps(*arrays) if can_launch(*arrays) else NotImplemented
        grid, block, arguments, shared = plan
        cupy = devices.opened.cupy
        arrived = empty((1,), "uint32", arrays[0])  # how many blocks have come to the barrier
        arrived.fill(0)
        pointers = tuple([_NULL if a is None else a for a in (*arrays, arrived)])
        function = self.build(cupy, self.expression(arrays, options))
        function(grid, block, (*pointers, *arguments), shared_mem=shared)
        return None


def resident(
    steps: int, rows: int, units: int, shared: int, *arrays: Array | None, lengths: tuple = ()
) -> Any:
    """Four units a block, which keeps their part of U: grid, block, numbers, shared memory."""
    given: Any = [a for a in arrays if a is not None]
    shared *= max(4, given[0].dtype.itemsize)  # halves are computed in float
    if rows > 64 or shared > 48 << 10 or not suits_raw(*given):
        return NotImplemented
    numbers = tuple(np.int32(n) for n in (steps, *lengths, rows, units))
    return (-(-units // 4),), (256,), numbers, shared


@cache
def _multiprocessors(ordinal: int) -> int:
    assert devices.opened.cupy is not None
    properties = devices.opened.cupy.cuda.runtime.getDeviceProperties(ordinal)
    return int(properties["multiProcessorCount"])


def multiply(a: Array, b: Array, out: Array, transpose_b: bool = False) -> None:
    """out = a b by cublasLt, which a stream that is captured allows."""
    launch(gemm, a, b, None, out, transpose_b=transpose_b)


def at(mask: Array | None, t: int) -> Array | None:
    """The mask of a step."""
    return None if mask is None else mask[t]


def wide(*written: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a reference compute halves in float32; it writes the arrays of these names."""

    def decorate(reference: Callable[..., None]) -> Callable[..., None]:
        names = tuple(inspect.signature(reference).parameters)[1:]

        @functools.wraps(reference)
        def wrapped(xp: Any, *arrays: Any, **options: Any) -> None:
            halves = [a is not None and a.dtype.itemsize == 2 for a in arrays]
            if not any(halves):
                with np.errstate(over="ignore"):  # of e^-x
                    reference(xp, *arrays, **options)
                return
            floats = [a.astype(np.float32) if h else a for a, h in zip(arrays, halves)]
            wrapped(xp, *floats, **options)
            for name, array, result in zip(names, arrays, floats):
                if name in written and result is not array and array is not None:
                    array[...] = result

        return wrapped

    return decorate


def sigmoid(xp: Any, x: Array) -> None:
    """x = σ(x) = 1 / (1 + e^-x), in place; e^-x may overflow to infinity, and x is 0"""
    xp.negative(x, out=x)
    xp.exp(x, out=x)
    x += 1
    xp.divide(1, x, out=x)


def by_gate(rows: Array, gates: int) -> Array:
    """(B, gates · H) seen as (gates, B, H)"""
    return rows.reshape(len(rows), gates, rows.shape[1] // gates).swapaxes(0, 1)


# --- examples ---

SIZES = ((1, 1, 1), (3, 5, 10), (2, 4, 33))  # T, B, H


def masks(rng: np.random.Generator, steps: int, rows: int) -> list[np.ndarray | None]:
    """No mask, one with holes, and one of nothing."""
    holes = rng.uniform(size=(steps, rows)) < 0.6
    return [None, holes, np.zeros((steps, rows), bool)]


def history(rng: np.random.Generator, dtype: str, steps: int, *shape: int) -> np.ndarray:
    """States after each step, of which only the first ones are there."""
    states = unwritten((steps + 1, *shape), dtype)
    states[0] = normal(rng, shape, dtype)
    return states


def recurrent(rng: np.random.Generator, units: int, gates: int, dtype: str) -> np.ndarray:
    """A recurrent matrix (H, gates · H) that keeps the size of states."""
    return np.asarray(rng.standard_normal((units, gates * units)) / units**0.5, dtype)
