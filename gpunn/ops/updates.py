"""Optimizer updates over flat buffers: what all methods share.

Weights w, gradients g and slots have one length. On the CPU a chain of array operations runs block
by block, so that a block stays in the cache. Numbers that differ from step to step (learning rates,
switches, counts) are arrays, of shape (1,) where nothing else is said. The methods themselves:
`update_methods`, `update_adam`; counts and switches: `update_counts`. CUDA: elementwise, here.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import numpy as np

from gpunn.backend.blas import axpby
from gpunn.backend.cuda import elementwise
from gpunn.backend.devices import cpu
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array

BLOCK = 1 << 17  # elements: few enough to stay near in the caches, enough to hide the calls
DTYPES = ("float32", "float64")


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.arrays: dict[Any, Array] = {}

    def like(self, array: Array) -> Array:
        """A temporary of this length and dtype, the same one each time."""
        key = array.dtype
        if key not in self.arrays:
            self.arrays[key] = cpu.pool.lend((BLOCK,), key, BLOCK * key.itemsize)
        return self.arrays[key][: array.shape[0]]


_scratch = _Scratch()


def in_blocks(xp: Any, *arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The arrays' blocks, each with a temporary at the end; on a GPU the arrays as a whole."""
    n = arrays[0].shape[0]
    if xp is not np:
        yield (*arrays, xp.empty_like(arrays[0]))
    elif n <= BLOCK:
        yield (*arrays, _scratch.like(arrays[0]))
    else:
        for start in range(0, n, BLOCK):
            parts = tuple(a[start : start + BLOCK] for a in arrays)
            yield (*parts, _scratch.like(parts[0]))


def examples(slots: int, *, rates: int = 1, long: bool = True, **options: Any) -> Callable:
    """Examples of an update: weights, gradients, slots >= 0, rates of shape (rates,)."""

    def make(rng: np.random.Generator, dtype: str) -> Any:
        for n in (1, 7, 1000, BLOCK + 5) if long else (1, 1000):
            w, g = rng.standard_normal((2, n)).astype(dtype)
            others = [rng.uniform(0.1, 1, n).astype(dtype) for _ in range(slots)]
            yield (w, g, *others, np.linspace(0.05, 0.5, rates).astype(dtype)), options

    return make


def update(
    signature: str, operation: str, examples: Callable, dtypes: tuple[str, ...] = DTYPES
) -> Callable:
    """Register an update; what it changes stands on the right of the arrow.

    Its first array is `go` (1,) bool, a switch: where it is False nothing changes. So a recorded
    step leaves updates out (of gradients that are still summed up, or not finite) without the host.
    """

    def decorate(reference: Callable) -> Kernel:
        @wraps(reference)
        def switched(xp: Any, go: Array, *arrays: Array, **options: Any) -> None:
            if go[0]:
                reference(xp, *arrays, **options)

        first, *others = inspect.signature(reference).parameters.values()
        switched.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [first, first.replace(name="go"), *others]
        )
        cuda = elementwise(f"raw bool go, {signature}", f"if (go[0]) {{ {operation}; }}")
        return kernel(cuda=cuda, examples=_switched(examples), dtypes=dtypes)(switched)

    return decorate


def _switched(examples: Callable) -> Callable:
    """The examples with the switch on; the first one with the switch off, too."""

    def make(rng: np.random.Generator, dtype: str) -> Iterator:
        for i, (arrays, options) in enumerate(examples(rng, dtype)):
            yield (np.array([True]), *arrays), options
            if i == 0:
                yield (np.array([False]), *arrays), options

    return make


def _normal(n: int, rng: np.random.Generator, dtype: str) -> list[Array]:
    """`n` arrays of one length, for examples"""
    return list(rng.standard_normal((n, 1000)).astype(dtype))


# --- gradients before the update ---


@kernel(
    cuda=elementwise("T divisor -> T g", "g /= divisor"),
    examples=lambda rng, dtype: [((*_normal(1, rng, dtype),), {"divisor": 8.0})],
    dtypes=("float32",),
)
def unscale(xp: Any, g: Array, divisor: float) -> None:
    """g /= divisor"""
    g /= divisor


@kernel(
    cuda=elementwise("raw float32 scale -> T g", "g /= T(scale[0])"),
    examples=lambda rng, dtype: [((*_normal(1, rng, dtype), np.full(1, 8.0, "float32")), {})],
    dtypes=("float32",),
)
def unscale_by(xp: Any, g: Array, scale: Array) -> None:
    """g /= scale"""
    xp.divide(g, scale.astype(g.dtype), out=g)


@update(
    "raw bool due, T every -> T g, T a",
    "T sum = g + a; g = due[0] ? T(sum / every) : g; a = due[0] ? T(0) : sum",
    lambda rng, dtype: [
        ((*_normal(2, rng, dtype), np.array([due])), {"every": 3}) for due in (False, True)
    ],
    dtypes=("float32",),
)
def accumulate_gradients(xp: Any, g: Array, a: Array, due: Array, every: int) -> None:
    """a += g; where the update is due: g = a / every, a = 0"""
    a += g
    if due[0]:
        xp.divide(a, every, out=g)
        a.fill(0)


@kernel(
    cuda=elementwise("T limit -> T g", "g = g > limit ? limit : g < -limit ? T(-limit) : g"),
    examples=lambda rng, dtype: [((*_normal(1, rng, dtype),), {"limit": 0.5})],
    dtypes=DTYPES,
)
def clip_values(xp: Any, g: Array, limit: float) -> None:
    """g = min(max(g, -limit), limit)"""
    xp.clip(g, -limit, limit, out=g)


@kernel(
    examples=lambda rng, dtype: [
        ((*_normal(1, rng, dtype), np.full(1, 2.0, dtype)), {"first": first})
        for first in (True, False)
    ],
    dtypes=DTYPES,
)
def squared_norm(xp: Any, g: Array, out: Array, first: bool) -> None:
    """out = Σ g², or out += Σ g² where this is not the first part"""
    square = np.dot(g, g) if xp is np else xp.sum(g * g)
    out[...] = square if first else out + square


@kernel(
    cuda=elementwise(
        "raw float64 squared, T limit -> T g",
        "T norm = T(sqrt(squared[0])); g = norm > limit ? T(g * limit / norm) : g",
    ),
    examples=lambda rng, dtype: [
        ((g, np.full(1, s)), {"limit": 1.0}) for s in (9.0, 0.25) for g in _normal(1, rng, dtype)
    ],
    dtypes=DTYPES,
)
def clip_by_norm(xp: Any, g: Array, squared: Array, limit: float) -> None:
    """g *= limit / max(√squared, limit)"""
    xp.multiply(g, (limit / xp.maximum(xp.sqrt(squared), limit)).astype(g.dtype), out=g)


# --- weights before and after the update ---


@update(
    "raw T rate, T decay -> T w",
    "w *= T(1) - decay * rate[0]",
    lambda rng, dtype: [((*_normal(1, rng, dtype), np.full(1, 0.05, dtype)), {"decay": 0.1})],
)
def decay_weights(xp: Any, w: Array, rate: Array, decay: float) -> None:
    """w -= η λ w, decoupled weight decay.  arXiv:1711.05101"""
    w *= 1 - decay * rate[0]


@update(
    "raw int32 made, T momentum, int32 overwrite -> T w, T average",
    "T keep = made[0] == 0 ? T(0) : momentum; average = keep * average + (T(1) - keep) * w;"
    "if (overwrite > 0 && (made[0] + 1) % overwrite == 0) w = average",
    lambda rng, dtype: [
        ((*_normal(2, rng, dtype), np.array([made], "int32")), {"momentum": 0.9, "overwrite": o})
        for made, o in ((0, 0), (4, 3), (5, 3))
    ],
    dtypes=("float32",),
)
def average_weights(
    xp: Any, w: Array, average: Array, made: Array, momentum: float, overwrite: int
) -> None:
    """ā = μ ā + (1 - μ) w, and ā = w the first time; then w = ā in every `overwrite`-th update"""
    keep = 0 if made[0] == 0 else momentum
    for w_, average_, t in in_blocks(xp, w, average):
        axpby(xp, 1 - keep, w_, keep, average_, t)
    if overwrite and (made[0] + 1) % overwrite == 0:
        w[...] = average


@kernel(
    cuda=elementwise("raw bool go, T before -> T x", "x = go[0] ? x : before"),
    examples=lambda rng, dtype: [
        ((np.array([go]), np.zeros(5, dtype), np.ones(5, dtype)), {}) for go in (True, False)
    ],
    dtypes=("float32", "int32"),
)
def take_back(xp: Any, go: Array, before: Array, x: Array) -> None:
    """x = before, where `go` is False"""
    if not go[0]:
        x[...] = before
