"""Kernels of batch normalization: the normalization of the columns of X, and its gradients.

X, parts and statistics are those of `gpunn.ops.normalization_statistics`; k is W / channels.
CUDA twins: kernels/normalization.cu.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.backend.cuda import THREADS, blocks, contiguous, raw
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.normalization_statistics import (
    parts,
    scratch,
    statistics_dtype,
    vectors,
    wide_examples,
    widened,
)


def _factor(xp: Any, variance: Array, epsilon: float) -> Array:
    """1 / √(variance + ε)"""
    return 1 / xp.sqrt(variance + variance.dtype.type(epsilon))


# --- normalization ---


def _outs(x: Array, channels: int, count: int) -> list[Array]:
    return [unwritten((channels,), statistics_dtype(x.dtype)) for _ in range(count)]


def _launch_elements(statistic: int) -> Callable:
    """The launch of a kernel over all elements of its first array; `statistic` is one a channel."""

    def launch(*arrays: Array | None, **options: float) -> Any:
        x: Any = arrays[0]
        channels: Any = arrays[statistic]
        if x.size == 0 or not contiguous(*[a for a in arrays if a is not None]):
            return NotImplemented
        numbers = [np.float64(v) for v in options.values()]
        sizes = np.uint64(x.size), np.int32(len(channels))
        return (blocks(x.size),), (THREADS,), (*arrays, *sizes, *numbers), 0

    return launch


def _normalize_examples(rng: np.random.Generator, x: Array, channels: int) -> Any:
    mean, variance, scale, offset = vectors(rng, x.dtype, channels, 2)
    for a, b in ((scale, offset), (None, offset), (scale, None), (None, None)):
        yield (x, mean, variance, a, b, unwritten(x.shape, x.dtype)), {"epsilon": 1e-3}


@kernel(
    cuda=raw("normalization.cu", "channel_normalize", _launch_elements(1)),
    examples=wide_examples(_normalize_examples),
)
def channel_normalize(
    xp: Any, x: Array, mean: Array, variance: Array, scale: Array | None, offset: Array | None,
    y: Array, epsilon: float,
) -> None:  # fmt: skip
    """y = (x - mean) / √(variance + ε) · scale + offset"""
    factor = _factor(xp, variance, epsilon)
    factor = factor if scale is None else factor * scale
    shift = -mean * factor if offset is None else offset - mean * factor
    factor, shift = widened(xp, factor, x.shape[1]), widened(xp, shift, x.shape[1])
    work = None if y.dtype == mean.dtype else scratch(xp, x, mean.dtype)
    for rows in parts(xp, *x.shape):
        out = y[rows]
        t = out if work is None else work[: len(out)]
        xp.multiply(x[rows], factor, out=t)
        xp.add(t, shift, out=out)


# --- gradients ---


def _batch_norm_examples(rng: np.random.Generator, x: Array, channels: int) -> Any:
    mean, variance, scale = vectors(rng, x.dtype, channels, 1)
    dy, dx = normal(rng, x.shape, x.dtype), unwritten(x.shape, x.dtype)
    sums = np.asarray(rng.normal(0, x.size // channels, (2, channels)), mean.dtype)
    a, b = _outs(x, channels, 2)
    for s, outs in ((scale, (dx, a, b)), (None, (dx, None, None)), (scale, (None, a, None))):
        yield (x, dy, mean, variance, s, sums, *outs), {"epsilon": 1e-3}


@kernel(
    cuda=raw("normalization.cu", "batch_norm_backward", _launch_elements(2)),
    examples=wide_examples(_batch_norm_examples),
)
def batch_norm_backward(
    xp: Any, x: Array, dy: Array, mean: Array, variance: Array, scale: Array | None, sums: Array,
    dx: Array | None, dscale: Array | None, doffset: Array | None, epsilon: float,
) -> None:  # fmt: skip
    """dx = scale / √(variance + ε) · (dy - Σdy/n - x̂ Σ(dy·x̂)/n); dscale = Σ dy·x̂; doffset = Σ dy

    x̂ = (x - mean) / √(variance + ε); the sums (2, channels) are Σ dy and Σ dy · (x - mean).
    """
    inverse = _factor(xp, variance, epsilon)
    _parameter_gradients(xp, sums, inverse, dscale, doffset)
    if dx is None:
        return
    width, count = x.shape[1], x.size // len(mean)
    slope = sums[1] * inverse**2 / count
    shift = widened(xp, mean * slope - sums[0] / count, width)
    slope = widened(xp, -slope, width)
    factor = widened(xp, inverse if scale is None else inverse * scale, width)
    work = None if dx.dtype == mean.dtype else scratch(xp, x, mean.dtype)
    for rows in parts(xp, *x.shape):
        out = dx[rows]
        t = out if work is None else work[: len(out)]
        xp.multiply(x[rows], slope, out=t)
        xp.add(t, shift, out=t)
        xp.add(t, dy[rows], out=t)
        xp.multiply(t, factor, out=out)


def _parameter_gradients(
    xp: Any, sums: Array, inverse: Array, dscale: Array | None, doffset: Array | None
) -> None:
    """dscale = Σ dy · x̂; doffset = Σ dy"""
    if dscale is not None:
        xp.multiply(sums[1], inverse, out=dscale)
    if doffset is not None:
        xp.copyto(doffset, sums[0])


def _channel_examples(rng: np.random.Generator, x: Array, channels: int) -> Any:
    _, variance, scale = vectors(rng, x.dtype, channels, 1)
    sums = np.asarray(rng.normal(0, 3, (2, channels)), variance.dtype)
    outs = _outs(x, channels, 4)
    yield (x, variance, scale, sums, unwritten(x.shape, x.dtype), *outs), {"epsilon": 1e-3}
    yield (x, variance, None, sums, None, None, outs[0], None, outs[1]), {"epsilon": 1e-3}


@kernel(
    cuda=raw("normalization.cu", "channel_backward", _launch_elements(1)),
    examples=wide_examples(_channel_examples),
)
def channel_backward(
    xp: Any, dy: Array, variance: Array, scale: Array | None, sums: Array, dx: Array | None,
    dmean: Array | None, dvariance: Array | None, dscale: Array | None, doffset: Array | None,
    epsilon: float,
) -> None:  # fmt: skip
    """The gradients of `channel_normalize`; the sums (2, channels) are Σ dy and Σ dy · (x - mean)

    dx = s dy, dmean = -s Σdy, dvariance = -s/2 Σ(dy·(x - mean)) / (variance + ε)
    """
    inverse = _factor(xp, variance, epsilon)
    factor = inverse if scale is None else inverse * scale
    _parameter_gradients(xp, sums, inverse, dscale, doffset)
    if dx is not None:
        xp.multiply(dy, widened(xp, factor, dy.shape[1]), out=dx)
    if dmean is not None:
        xp.multiply(sums[0], -factor, out=dmean)
    if dvariance is not None:
        xp.multiply(sums[1], -0.5 * factor * inverse**2, out=dvariance)


def _moments_backward_examples(rng: np.random.Generator, x: Array, channels: int) -> Any:
    mean, dvariance, dmean = vectors(rng, x.dtype, channels, 1)
    for a, b in ((dmean, dvariance), (dmean, None), (None, dvariance)):
        yield (x, mean, a, b, unwritten(x.shape, x.dtype)), {}


@kernel(
    cuda=raw("normalization.cu", "moments_backward", _launch_elements(1)),
    examples=wide_examples(_moments_backward_examples),
)
def moments_backward(
    xp: Any, x: Array, mean: Array, dmean: Array | None, dvariance: Array | None, dx: Array
) -> None:
    """dx = (dmean + 2 (x - mean) dvariance) / n"""
    width, count = x.shape[1], x.size // len(mean)
    shift = None if dmean is None else widened(xp, dmean / count, width)
    slope = None if dvariance is None else widened(xp, dvariance * (2 / count), width)
    mean, work = widened(xp, mean, width), scratch(xp, x, mean.dtype)
    for rows in parts(xp, *x.shape):
        t = work[: len(x[rows])]
        if slope is None:
            xp.copyto(dx[rows], shift, casting="same_kind")
            continue
        xp.subtract(x[rows], mean, out=t)
        xp.multiply(t, slope, out=t)
        xp.add(t, 0 if shift is None else shift, out=dx[rows])
