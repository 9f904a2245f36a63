"""The kernels of pooling: maxima and means of windows. CUDA twins: kernels/pooling.cu.

Images are (N, n0, n1, n2, C), pooled ones (N, out0, out1, out2, C); images with fewer axes have
axes of length 1 in front. A loop over the offsets inside a window computes all windows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import is_float
from gpunn.backend.cuda import THREADS, blocks, contiguous, raw
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.threads import parallel
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.pool_windows import Axes, Axis, are_disjoint, cover, elements_of, views_of

CHUNK = 1 << 21  # bytes of images that are pooled together on the CPU

# --- CUDA ---


def _twin(function: str, result: int) -> raw:
    """The CUDA kernel with one thread for each element of array number `result`."""

    def launch(*arrays: Array, axes: Axes) -> Any:
        sizes = [a.size for a in arrays]
        if 0 in sizes or max(sizes) >= 2**31 or not contiguous(*arrays):
            return NotImplemented
        widths = (axes[1].width, axes[2].width) if function.startswith("max") else ()
        numbers = (arrays[0].shape[-1], *widths, *(n for axis in axes for n in axis))
        arguments = (*arrays, np.uint32(sizes[result]), *map(np.int32, numbers))
        return (blocks(sizes[result]),), (THREADS,), arguments, 0

    def types(*arrays: Array, axes: Axes) -> tuple:
        index = [a.dtype for a in arrays if not is_float(a.dtype)]
        even = "true" if all(a.parts == 1 for a in axes) else "false"
        return arrays[0].dtype, *index, even

    return raw("pooling.cu", function, launch, types)


# --- examples ---


def _geometries() -> Iterator[tuple[Axes, int]]:
    """Axes and channels: disjoint, overlapping, with gaps, padded, of uneven windows."""
    whole = Axis(1, 1, 1, 1)
    yield (whole, Axis(6, 3, 2, 2), Axis(8, 4, 2, 2)), 5
    yield (whole, Axis(7, 3, 2, 2), Axis(9, 3, 3, 2)), 3
    yield (whole, Axis(5, 5, 1, 3, 1, 1), Axis(8, 4, 2, 3, 1, 0)), 4
    yield (Axis(5, 2, 2, 3), Axis(4, 4, 1, 2), Axis(6, 3, 2, 4, 1, 1)), 2
    yield (whole, whole, Axis(10, 7, 10, 10, 7)), 3
    yield (whole, Axis(3, 5, 3, 3, 5), Axis(9, 6, 3, 3, 2)), 2
    yield (whole, Axis(20, 1, 20, 20), Axis(18, 1, 18, 18)), 33  # more than 256 elements


def _pooled(axes: Axes, channels: int) -> tuple[int, ...]:
    return (2, *(a.out for a in axes), channels)


def _image(axes: Axes, channels: int) -> tuple[int, ...]:
    return (2, *(a.n for a in axes), channels)


def index_dtype(axes: Axes) -> str:
    """The smallest integer that holds the offsets in a window."""
    return "uint8" if prod(a.width for a in axes) <= 256 else "int32"


def _max_examples(rng: np.random.Generator, dtype: str) -> Any:
    for axes, channels in _geometries():
        x = np.round(normal(rng, _image(axes, channels), dtype) * 2)  # there are ties
        x[0, 0, 0, 0] = -np.inf
        x[:, -1, -1, -1] = 9  # the maximum of the largest window: no index is the mark, 77
        shape = _pooled(axes, channels)
        yield (x, unwritten(shape, dtype), unwritten(shape, index_dtype(axes))), {"axes": axes}


def _max_backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for axes, channels in _geometries():
        shape = _pooled(axes, channels)
        index = rng.integers(0, prod(a.width for a in axes), shape).astype(index_dtype(axes))
        index[0] = 0
        dx = unwritten(_image(axes, channels), dtype)
        yield (normal(rng, shape, dtype), index, dx), {"axes": axes}


def _average_examples(rng: np.random.Generator, dtype: str) -> Any:
    for axes, channels in _geometries():
        x = normal(rng, _image(axes, channels), dtype)
        yield (x, unwritten(_pooled(axes, channels), dtype)), {"axes": axes}


def _average_backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for axes, channels in _geometries():
        dy = normal(rng, _pooled(axes, channels), dtype)
        yield (dy, unwritten(_image(axes, channels), dtype)), {"axes": axes}


# --- kernels ---


def _by_images(reference: Callable[..., None]) -> Callable[..., None]:
    """The reference for some images after the other, as many as stay in a core's cache."""

    @wraps(reference)
    def some_by_some(xp: Any, *arrays: Array, axes: Axes) -> None:
        n = len(arrays[0])
        step = max(1, CHUNK * n // max(1, *(a.nbytes for a in arrays)))
        if xp is not np or step >= n:
            reference(xp, *arrays, axes)
            return

        def pool(part: slice) -> None:
            for i in range(part.start, part.stop, step):
                images = slice(i, min(i + step, part.stop))
                reference(xp, *(a[images] for a in arrays), axes)

        parallel(xp, pool, n)

    return some_by_some


@kernel(cuda=_twin("max_pool_forward", 1), examples=_max_examples)
@_by_images
def max_pool_forward(xp: Any, x: Array, y: Array, index: Array, axes: Axes) -> None:
    """y = max of each window; index = how many of its offsets come before its first maximum.

    A NaN is the maximum; the index is then that of the window's first element.
    """
    views = views_of(axes)
    y.fill(-np.inf)
    for windows, elements in (pair for pairs in views for pair in pairs):
        xp.maximum(y[windows], x[elements], out=y[windows])
    index.fill(0)
    ahead = xp.ones(y.shape, bool)  # of the first maximum
    for pairs in views[:-1]:
        for windows, elements in pairs:
            xp.logical_and(ahead[windows], x[elements] < y[windows], out=ahead[windows])
        xp.add(index, ahead.view("uint8"), out=index)


def _scatter(xp: Any, dx: Array, axes: Axes, terms: Any) -> None:
    """dx = Σ over offsets of terms(number of the offset, windows, where to write), in this order"""
    disjoint = are_disjoint(axes)
    if not disjoint or not cover(axes):
        dx.fill(0)
    for k, pairs in enumerate(views_of(axes)):
        for windows, elements in pairs:
            if disjoint:
                terms(k, windows, dx[elements])
            else:
                dx[elements] += terms(k, windows, None)


@kernel(cuda=_twin("max_pool_backward", 2), examples=_max_backward_examples)
@_by_images
def max_pool_backward(xp: Any, dy: Array, index: Array, dx: Array, axes: Axes) -> None:
    """dx = Σ dy of the windows whose first maximum is here"""
    _scatter(xp, dx, axes, lambda k, w, out: xp.multiply(dy[w], index[w] == k, out=out))


@kernel(cuda=_twin("average_pool_forward", 1), examples=_average_examples)
@_by_images
def average_pool_forward(xp: Any, x: Array, y: Array, axes: Axes) -> None:
    """y = mean of each window, of its elements in the image"""
    total = y if y.dtype.itemsize > 2 else xp.empty(y.shape, "float32")
    total.fill(0)
    for windows, elements in (pair for pairs in views_of(axes) for pair in pairs):
        total[windows] += x[elements]
    xp.divide(total, xp.asarray(elements_of(axes, total.dtype)), out=y, casting="same_kind")


@kernel(cuda=_twin("average_pool_backward", 1), examples=_average_backward_examples)
@_by_images
def average_pool_backward(xp: Any, dy: Array, dx: Array, axes: Axes) -> None:
    """dx = Σ dy / (elements of the window) over the windows that cover it"""
    share = dy / xp.asarray(elements_of(axes, dy.dtype))
    _scatter(xp, dx, axes, lambda k, w, out: share[w] if out is None else xp.copyto(out, share[w]))
