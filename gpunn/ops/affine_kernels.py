"""The kernels of affine maps of images. CUDA twins: kernels/affine.cu.

Images are (N, n0, n1, C); transforms (N, 8), or (1, 8) for all images: rows [a0, a1, a2, b0, b1,
b2, c0, c1] of what `gpunn.ops.affine` says. Positions are computed in the dtype of the transforms.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from gpunn.backend.cuda import THREADS, blocks, contiguous, raw
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import normal, unwritten

#: What stands outside of the image (in the order of the CUDA kernel's numbers).
FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
INTERPOLATIONS = ("bilinear", "nearest")
CHUNK = 1 << 17  # values of images that are transformed together on the CPU
_FAR = 5e8  # positions are held within it: whatever is further away looks the same


def _folded(xp: Any, i: Array, n: int, mode: str) -> Array:
    """The pixel at each position of the endless axis; any pixel where there is none."""
    if mode == "wrap":
        return i % n
    if mode == "mirror" and n > 1:  # c b | a b c | b a
        return abs((i + n - 1) % (2 * n - 2) - (n - 1))
    if mode == "reflect":  # b a | a b c | c b
        i = i % (2 * n)
        return xp.minimum(i, 2 * n - 1 - i)
    return xp.clip(i, 0, n - 1)


def _taps(xp: Any, position: Array, n: int, interpolation: str, mode: str) -> list[tuple]:
    """(pixel, weight, whether it is inside) of each pixel that is needed along an axis."""
    if interpolation == "nearest":
        base = xp.trunc(position)
        rest = position - base
        base += (rest >= 0.5).astype(base.dtype) - (rest <= -0.5)
        found = [(base.astype(np.int64), xp.ones_like(position))]
    else:
        base = xp.floor(position)
        upper = position - base
        i = base.astype(np.int64)
        found = [(i, 1 - upper), (i + 1, upper)]
    return [(_folded(xp, i, n, mode), w, (i >= 0) & (i < n)) for i, w in found]


def _pixels(xp: Any, t: Array, shape: tuple, interpolation: str, mode: str) -> Iterator[tuple]:
    """(number of the pixel, weight, whether it is inside), each (N, n0, n1), for each tap.

    Pixels are counted through all images.
    """
    count, n0, n1, _ = shape
    t = t.reshape(-1, 8, 1, 1)
    v, u = xp.arange(n0, dtype=t.dtype)[:, None], xp.arange(n1, dtype=t.dtype)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        k = t[:, 6] * u + t[:, 7] * v + 1
        x = (t[:, 0] * u + t[:, 1] * v + t[:, 2]) / k
        y = (t[:, 3] * u + t[:, 4] * v + t[:, 5]) / k
    x, y = (xp.fmin(xp.fmax(p, -_FAR), _FAR) for p in (x, y))
    image = xp.arange(count)[:, None, None] * n0
    columns = _taps(xp, x, n1, interpolation, mode)
    for i, w, in_row in _taps(xp, y, n0, interpolation, mode):
        for j, w_j, in_column in columns:
            yield (image + i) * n1 + j, w * w_j, in_row & in_column


def _wide(dtype: Any) -> Any:
    return np.float64 if dtype == np.float64 else np.float32


def _chunks(images: Array, transform: Array) -> Iterator[tuple[slice, Array]]:
    """Some images after the other, and their transforms: memory is bounded."""
    n, *one = images.shape
    step = max(1, CHUNK // max(1, prod(one)))
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        yield part, transform[part] if len(transform) == n else transform


# --- CUDA, examples ---


def _launch(backward: bool) -> Any:
    def launch(
        source: Array, transform: Array, out: Array, interpolation: str, mode: str, **fill: float
    ) -> Any:
        if out.size == 0 or not contiguous(source, transform, out):
            return NotImplemented
        n, n0, n1, channels = out.shape
        threads = out.size // channels if backward else out.size
        stride = 8 if len(transform) == n else 0
        numbers = (stride, n0, n1, channels, interpolation == "bilinear", FILL_MODES.index(mode))
        extra = tuple(np.float64(v) for v in fill.values())
        arguments = (source, transform, out, np.int64(threads), *map(np.int32, numbers), *extra)
        return (blocks(threads),), (THREADS,), arguments, 0

    def types(source: Array, transform: Array, *_: Any, **__: Any) -> tuple:
        return source.dtype, transform.dtype

    return raw("affine.cu", f"affine_{'backward' if backward else 'forward'}", launch, types)


def _examples(backward: bool) -> Any:
    def examples(rng: np.random.Generator, dtype: str) -> Any:
        wide = "float64" if dtype == "float64" else "float32"
        for shape, maps in (((3, 9, 11, 3), 3), ((2, 17, 5, 1), 1), ((2, 1, 4, 6), 2)):
            for mode in FILL_MODES:
                for interpolation in INTERPOLATIONS:
                    t = np.array([1, 0, 0, 0, 1, 0, 0, 0]) + 0.6 * rng.standard_normal((maps, 8))
                    t[:, (2, 5)] *= 9
                    t[:, 6:] = 0
                    t[0, 6:] = 0.02 * (mode == "wrap")  # a projective map among the others
                    arrays = normal(rng, shape, dtype), t.astype(wide), unwritten(shape, dtype)
                    options = {"interpolation": interpolation, "mode": mode}
                    yield arrays, options if backward else {**options, "fill": -0.5}
        t = np.array([[0, 0, np.nan, 0, 1e30, 1, 0, 0], [1, 0, 0, 0, 1, 0, -1, 0]], wide)
        x = normal(rng, (2, 3, 3, 2), dtype)
        options = {"interpolation": "bilinear", "mode": "constant"}
        yield (x, t, unwritten(x.shape, dtype)), options if backward else {**options, "fill": 2.0}

    return examples


# --- kernels ---


@kernel(cuda=_launch(False), examples=_examples(False))
def affine_forward(
    xp: Any, x: Array, transform: Array, y: Array, interpolation: str, mode: str, fill: float
) -> None:
    """y = the images at the positions of the maps; in mode "constant", `fill` outside"""
    wide = _wide(y.dtype)
    for part, t in _chunks(x, transform):
        images = x[part]
        pixels = images.reshape(prod(images.shape[:-1]), images.shape[-1])
        total = y[part] if y.dtype == wide else xp.empty(images.shape, wide)
        total.fill(0)
        for pixel, weight, inside in _pixels(xp, t, images.shape, interpolation, mode):
            values = xp.take(pixels, pixel, axis=0).astype(wide, copy=False)  # (N, n0, n1, C)
            if mode == "constant":
                values = xp.where(inside[..., None], values, wide(fill))
            total += values * weight[..., None].astype(wide, copy=False)
        if total.dtype != y.dtype:
            y[part] = total


@kernel(cuda=_launch(True), examples=_examples(True))
def affine_backward(
    xp: Any, dy: Array, transform: Array, dx: Array, interpolation: str, mode: str
) -> None:
    """dx = Σ w dy over the outputs that a pixel is part of"""
    for part, t in _chunks(dy, transform):
        slopes = dy[part]
        channels = xp.arange(slopes.shape[-1])
        total = xp.zeros(slopes.size)
        for pixel, weight, inside in _pixels(xp, t, slopes.shape, interpolation, mode):
            if mode == "constant":
                weight = weight * inside
            elements = pixel[..., None] * len(channels) + channels
            share = slopes * weight[..., None]
            total += xp.bincount(elements.reshape(-1), share.reshape(-1), slopes.size)
        dx[part] = total.reshape(slopes.shape)
