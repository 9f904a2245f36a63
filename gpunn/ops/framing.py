"""Windows over a signal at equal distances: extract_sequences, and the sum that undoes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.errors import ShapeError
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import normal, unwritten


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    for n, length, stride in ((9, 4, 2), (7, 3, 5), (8, 5, 1), (2, 3, 1)):
        count = max(0, 1 + (n - length) // stride)
        yield normal(rng, (2, n), dtype), normal(rng, (2, count, length), dtype), stride


def _frame_examples(rng: np.random.Generator, dtype: str) -> Any:
    for x, frames, stride in _examples(rng, dtype):
        yield (x, unwritten(frames.shape, dtype)), {"stride": stride}


@kernel(examples=_frame_examples)
def frame(xp: Any, x: Array, out: Array, stride: int) -> None:
    """out[..., i, j] = x[..., i · stride + j]"""
    count, length = out.shape[-2:]
    if out.size:
        out[...] = x[..., stride * xp.arange(count)[:, None] + xp.arange(length)]


def _add_examples(rng: np.random.Generator, dtype: str) -> Any:
    for x, frames, stride in _examples(rng, dtype):
        yield (frames, unwritten(x.shape, dtype)), {"stride": stride}


@kernel(examples=_add_examples)
def overlap_add(xp: Any, frames: Array, out: Array, stride: int) -> None:
    """out[..., k] = Σ frames[..., i, j] over i · stride + j = k

    A frame is cut in pieces of `stride` elements; the pieces of one number do not overlap.
    """
    out.fill(0)
    count, length = frames.shape[-2:]
    for first in range(0, length if count else 0, stride):
        piece = frames[..., first : first + stride]
        at = first + stride * xp.arange(count)[:, None] + xp.arange(piece.shape[-1])
        out[..., at] += piece


def _rule(x: Any, length: int, stride: int) -> Spec:
    if not x.shape or length < 1 or stride < 1:
        raise ShapeError(
            f"extract_sequences: x needs an axis, and length and stride must be at least 1 (x "
            f"{tuple(x.shape)}, sequence_length {length}, sequence_stride {stride})."
        )
    n = x.shape[-1]
    count = None if n is None else max(0, 1 + (n - length) // stride)
    return Spec((*x.shape[:-1], count, length), as_dtype(x.dtype))


@op(shape=_rule)
def _extract_sequences(x: Array, length: int, stride: int) -> Any:
    y = empty(_rule(x, length, stride).shape, x.dtype, x)
    frame(x, y, stride=stride)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        overlap_add(dy, dx, stride=stride)
        return dx

    return y, (gradient,)


def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Any:
    """y[..., i, j] = x[..., i · stride + j]: (..., n) -> (..., count, length), all that fit.

    >>> gpunn.ops.extract_sequences([1, 2, 3, 4, 5], 3, 2)  # 1 2 3 and 3 4 5
    """
    length, stride = int(sequence_length), int(sequence_stride)
    return _extract_sequences(convert_to_tensor(x), length=length, stride=stride)
