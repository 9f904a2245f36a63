"""Windows of images as rows of their own, and such rows added up to images (im2col and col2im).

Images x (N, *sizes, C) with one to three spatial axes, patches y (N, *out, taps, C):

    y[o, t] = x[o · stride + t · dilation - before], 0 in the padding;  dx = Σ dy over (o, t) that
    read a pixel.

The two are each other's gradient; as ops they have taps and channels as one axis. CUDA twins:
kernels/patches.cu.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec, SymbolicShape
from gpunn.backend.cuda import THREADS, blocks, contiguous, raw
from gpunn.backend.devices import empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.columns import overlap, work_dtype
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.windows import Windows, launch_geometry, windowed_sizes, windows

# --- kernels ---


def _launch(source: Array, out: Array, windows: Windows) -> Any:
    if out.size == 0 or not contiguous(source, out):
        return NotImplemented
    numbers = np.int32(out.shape[0]), np.int32(out.shape[-1])
    arguments = (source, out, *numbers, *launch_geometry(windows))
    return (blocks(out.size),), (THREADS,), arguments, 0


def _examples(backward: bool) -> Callable:
    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for sizes, size, strides, dilation, padding, channels in (
            ((6, 7), (3, 2), (1, 1), (1, 1), "same", 3),
            ((7, 8), (2, 3), (2, 2), (2, 1), "valid", 2),
            ((4, 5, 6), (2, 2, 3), (2, 1, 3), (1, 1, 1), "same", 1),
            ((9,), (3,), (3,), (1,), "valid", 5),
        ):
            found = windows("patches", sizes, size, strides, dilation, padding)
            shapes = [(2, *sizes, channels), (2, *found.out, prod(size), channels)]
            source, out = reversed(shapes) if backward else shapes
            yield (normal(rng, source, dtype), unwritten(out, dtype)), {"windows": found}

    return examples


def _places(windows: Windows) -> Any:
    """For each tap: where it reads the images, and the patches that it is in."""
    every = slice(None)
    for t, tap in enumerate(np.ndindex(*windows.kernel)):
        read, written = overlap(windows, tap, slice(0, windows.out[0]))
        yield (every, *read), (every, *written, t)


@kernel(cuda=raw("patches.cu", "patches_forward", _launch), examples=_examples(False))
def patches_forward(xp: Any, x: Array, y: Array, windows: Windows) -> None:
    """y[o, t] = the pixel that tap t of window o reads, 0 in the padding"""
    y.fill(0)
    for read, written in _places(windows):
        y[written] = x[read]


@kernel(cuda=raw("patches.cu", "patches_backward", _launch), examples=_examples(True))
def patches_backward(xp: Any, dy: Array, dx: Array, windows: Windows) -> None:
    """dx = Σ dy over the windows and taps that read a pixel"""
    total = xp.zeros(dx.shape, work_dtype(dx))
    for read, written in _places(windows):
        total[read] += dy[written]
    dx[...] = total


# --- ops ---


def _patches_rule(
    x: Any, size: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...], padding: str
) -> Spec:
    if len(x.shape) != len(size) + 2:
        raise ShapeError(
            f"patches: a window of {len(size)} axes needs images of {len(size) + 2}, (N, *sizes, "
            f"C), received {tuple(x.shape)}. Add or remove an axis."
        )
    sizes: SymbolicShape = tuple(x.shape[1:-1])
    out = windowed_sizes("patches", sizes, size, strides, dilation, padding)
    width = None if x.shape[-1] is None else prod(size) * x.shape[-1]
    return Spec((x.shape[0], *out, width), as_dtype(x.dtype))


@op(shape=_patches_rule)
def patches(
    x: Array, size: tuple[int, ...], strides: tuple[int, ...], dilation: tuple[int, ...],
    padding: str,
) -> Any:  # fmt: skip
    """The windows of images (N, *sizes, C) -> (N, *out, taps · C), channels fastest."""
    geometry = windows("patches", x.shape[1:-1], size, strides, dilation, padding)
    y = empty((x.shape[0], *geometry.out, prod(size), x.shape[-1]), x.dtype, x)
    patches_forward(packed(x), y, windows=geometry)

    def gradient(dy: Array) -> Array:
        dx = empty(x.shape, x.dtype, x)
        patches_backward(packed(dy).reshape(y.shape), dx, windows=geometry)
        return dx

    return y.reshape(*y.shape[:-2], y.shape[-2] * y.shape[-1]), (gradient,)


def _overlay_rule(
    y: Any, sizes: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Spec:  # fmt: skip
    out = windowed_sizes("overlay", sizes, size, strides, dilation, "valid")
    taps, width = prod(size), y.shape[-1]
    if tuple(y.shape[1:-1]) != tuple(out) or width is None or width % taps:
        raise ShapeError(
            f"overlay: images of {sizes} have {' x '.join(map(str, out))} patches of {taps} · C "
            f"numbers, received {tuple(y.shape)}. Check size, strides, dilation and padding."
        )
    return Spec((y.shape[0], *sizes, width // taps), as_dtype(y.dtype))


@op(shape=_overlay_rule)
def overlay(
    y: Array, sizes: tuple[int, ...], size: tuple[int, ...], strides: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Any:  # fmt: skip
    """Patches (N, *out, taps · C) added up to images (N, *sizes, C)."""
    geometry = windows("overlay", sizes, size, strides, dilation, "valid")
    by_taps = (*y.shape[:-1], prod(size), y.shape[-1] // prod(size))
    x = empty((y.shape[0], *sizes, by_taps[-1]), y.dtype, y)
    patches_backward(packed(y).reshape(by_taps), x, windows=geometry)

    def gradient(dx: Array) -> Array:
        dy = empty(by_taps, y.dtype, y)
        patches_forward(packed(dx), dy, windows=geometry)
        return dy.reshape(y.shape)

    return x, (gradient,)
