"""Random numbers by counter: NumPy's Philox4x64-10, the same bits on both backends.

A stream is an array `state = [seed, draws]` of uint32 that lives on its device. A draw uses the key
(seed, 0) and the counter (block, draws, 0, 0), so it needs no memory of the numbers before it and
no host read on a GPU; `advance` makes the next draw another one. CUDA twins: kernels/random.cu.

Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

import threading
from math import pi
from typing import Any

import numpy as np

from gpunn.backend.cuda import THREADS, blocks, contiguous, elementwise, raw
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array


class _Philox(threading.local):
    """One NumPy generator a thread, set to a key and counter: ten times faster than a new one."""

    state: Any = None

    def _open(self) -> None:
        self.bits = np.random.Philox(0)
        self.generator = np.random.Generator(self.bits)
        self.state = self.bits.state

    def at(self, seed: int, draw: int) -> np.random.Generator:
        """The generator at the beginning of a draw."""
        if self.state is None:
            self._open()
        state = self.state
        state["state"]["counter"][:] = (0, draw, 0, 0)
        state["state"]["key"][:] = (seed, 0)
        state["buffer_pos"], state["has_uint32"], state["uinteger"] = 4, 0, 0
        self.bits.state = state
        return self.generator


_philox = _Philox()


def host_generator(seed: int, draw: int) -> np.random.Generator:
    """NumPy's generator at a draw of a stream: for what is only made on the host."""
    return np.random.Generator(np.random.Philox(key=[seed, 0], counter=[0, draw, 0, 0]))


def _draw(state: Array) -> np.random.Generator:
    seed, draw = state.tolist()
    return _philox.at(seed, draw)


def _launch(per_block: int) -> Any:
    """A thread makes one Philox block, `per_block` numbers of 32 bits (half as many of 64)."""

    def launch(state: Array, out: Array, **options: float) -> Any:
        if not contiguous(state, out):
            return NotImplemented
        numbers = per_block // (2 if out.dtype.itemsize == 8 else 1)
        grid = blocks(-(-out.size // numbers))
        extra = tuple(np.float64(v) for v in options.values())
        return (grid,), (THREADS,), (state, out, np.int64(out.size), *extra), 0

    return launch


def _out_type(_: Array, out: Array, **__: float) -> tuple:
    return (out.dtype,)


def _examples(**options: float) -> Any:
    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for shape in ((1,), (7,), (33, 65)):
            state = np.array([rng.integers(1 << 31), 5], np.uint32)
            yield (state, np.full(shape, np.nan, dtype)), options

    return examples


@kernel(
    cuda=raw("random.cu", "random_uniform", _launch(8), _out_type),
    examples=_examples(),
    dtypes=("float32", "float64"),
)
def random_uniform(xp: Any, state: Array, out: Array) -> None:
    """out ~ U[0, 1), as numpy.random.Generator.random gives it"""
    _draw(state).random(out.shape, dtype=out.dtype, out=out)


@kernel(
    cuda=raw("random.cu", "random_normal", _launch(4), _out_type),
    examples=_examples(),
    dtypes=("float32", "float64"),
)
def random_normal(xp: Any, state: Array, out: Array) -> None:
    """out ~ N(0, 1) by Box and Muller: √(-2 ln(1 - u)) cos(2π v), u and v uniform"""
    uniform = _draw(state).random((*out.shape, 2), dtype=out.dtype)
    radius = np.sqrt(-2 * np.log1p(-uniform[..., 0]))
    np.multiply(radius, np.cos(out.dtype.type(2 * pi) * uniform[..., 1]), out=out)


@kernel(
    cuda=raw("random.cu", "dropout_mask", _launch(8), _out_type),
    examples=_examples(rate=0.3),
    dtypes=("float32", "float64", "float16"),
)
def dropout_mask(xp: Any, state: Array, out: Array, rate: float) -> None:
    """out = 0 with probability `rate`, else 1 / (1 - rate)"""
    uniform = out if out.dtype == np.float32 else np.empty(out.shape, np.float32)
    _draw(state).random(out.shape, dtype=np.float32, out=uniform)
    np.greater_equal(uniform, np.float32(rate), out=out, casting="unsafe")
    out *= out.dtype.type(1 / (1 - rate) if rate < 1 else 0)


def _draws_examples(rng: np.random.Generator, dtype: str) -> Any:
    yield (np.array([4], np.uint32),), {}
    yield (np.array([4294967295], np.uint32),), {}


@kernel(
    cuda=elementwise("-> uint32 draws", "draws += 1"), examples=_draws_examples, dtypes=("uint32",)
)
def advance(xp: Any, draws: Array) -> None:
    """draws += 1, for `draws = state[1:]`: the next draw is another one"""
    xp.add(draws, np.uint32(1), out=draws)
