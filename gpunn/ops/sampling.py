"""Draws of classes by their log-probabilities. CUDA twin: kernels/sampling.cu.

Inverse distribution function: with p = softmax(logits), F_k = Σ_{j ≤ k} p_j and u from U[0, 1), the
class is the first k with F_k > u · F_last. All in float64, so that both backends draw the same
class but where u lies within 1e-15 of a step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend import random
from gpunn.backend.cuda import THREADS, blocks, contiguous, raw
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.creation import cast
from gpunn.ops.examples import unwritten
from gpunn.ops.scans import cumulate
from gpunn.ops.softmax import softmax_forward


def _launch(sums: Array, uniform: Array, out: Array) -> Any:
    if out.size == 0 or not contiguous(sums, uniform, out):
        return NotImplemented
    sizes = np.int64(out.size), np.int32(out.shape[1]), np.int32(sums.shape[1])
    return (blocks(out.size),), (THREADS,), (sums, uniform, out, *sizes), 0


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    for rows, classes, samples in ((1, 1, 5), (3, 7, 40), (2, 300, 33)):
        weights = rng.uniform(0, 1, (rows, classes)) * (rng.uniform(0, 1, (rows, classes)) > 0.2)
        weights[:, classes // 2] = 1
        uniform = rng.uniform(0, 1, (rows, samples))
        uniform[:, :2] = 0, 1 - 2**-53
        sums = np.cumsum(weights, axis=1).astype(dtype)
        yield (sums, uniform.astype(dtype), unwritten((rows, samples), "int32")), {}


@kernel(cuda=raw("sampling.cu", "draw_classes", _launch), examples=_examples, dtypes=("float64",))
def draw_classes(xp: Any, sums: Array, uniform: Array, out: Array) -> None:
    """out[r, s] = the first k with sums[r, k] > uniform[r, s] · sums[r, -1]

    By bisection, a pass for each bit of k.
    """
    classes = sums.shape[1]
    total = sums[:, -1:]
    target = xp.minimum(uniform * total, xp.nextafter(total, xp.zeros_like(total)))
    found = xp.zeros(out.shape, np.int64)
    for bit in reversed(range(classes.bit_length())):
        further = found + (1 << bit)
        below = xp.take_along_axis(sums, xp.minimum(further, classes) - 1, axis=1) <= target
        found = xp.where(below & (further <= classes), further, found)
    xp.copyto(out, xp.minimum(found, classes - 1), casting="unsafe")


def _rule(logits: Any, state: Any, num_samples: int) -> Spec:
    shape = tuple(logits.shape)
    if len(shape) != 2 or shape[1] == 0:
        raise ShapeError(
            f"categorical: logits must be (batch, classes), received {shape}. Give one row of "
            f"log-probabilities a distribution."
        )
    return Spec((shape[0], num_samples), np.dtype("int32"))


@op(shape=_rule)
def _categorical(logits: Array, state: Array, num_samples: int) -> Any:
    p = empty_like(logits)
    softmax_forward(packed(logits), p)
    sums = empty_like(logits)
    cumulate(p, sums, axis=1)
    uniform = empty((len(logits), num_samples), np.float64, logits)
    random.random_uniform(state, uniform)
    random.advance(state[1:])
    y = empty(uniform.shape, "int32", logits)
    draw_classes(sums, uniform, y)
    return y, None


def categorical(logits: Any, state: Any, num_samples: int, dtype: Any = "int32") -> Any:
    """`num_samples` classes for each row of log-probabilities (batch, classes).

    >>> gpunn.ops.sampling.categorical(logits, generator.state, 3)
    """
    if not is_whole(num_samples):
        raise ValueError(f"categorical: num_samples must be an integer, received {num_samples!r}.")
    if num_samples < 0:
        raise ValueError(f"categorical: num_samples must not be negative, received {num_samples}.")
    drawn = _categorical(cast(logits, "float64"), state, num_samples=int(num_samples))
    return cast(drawn, as_dtype(dtype))
