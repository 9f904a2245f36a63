"""One axis of another length, its values interpolated. CUDA twin: kernels/resize.cu.

Output i of m stands at s_i = (i + 1/2) n / m - 1/2 among n inputs, and is the weighted mean of the
inputs j near it: y_i = Σ_j w_ij x_j, w_ij ∝ f(|s_i - j|), Σ_j w_ij = 1. With antialiasing, f is
stretched by n / m where the result is shorter.

f: Keys, Cubic convolution interpolation for digital image processing (1981), a = -1/2, for
"bicubic"; Lanczos, f = sinc(x) sinc(x / r), for "lanczos3" and "lanczos5".
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import THREADS, blocks, contiguous, cuda_type, raw
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.rules import normalize_axis


def _bilinear(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - x)


def _bicubic(x: np.ndarray) -> np.ndarray:
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(radius: int) -> Any:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


#: By name: f, its radius, and its type in the CUDA source.
FUNCTIONS: dict[str, tuple[Any, int, str]] = {
    "bilinear": (_bilinear, 1, "Bilinear"),
    "bicubic": (_bicubic, 2, "Bicubic"),
    "lanczos3": (_lanczos(3), 3, "Lanczos<3>"),
    "lanczos5": (_lanczos(5), 5, "Lanczos<5>"),
}

# --- kernels: for x (outer, n, inner) and y (outer, m, inner) ---


def _stretch(n: int, m: int, antialias: bool) -> float:
    return max(n / m, 1.0) if antialias else 1.0


@lru_cache(maxsize=128)
def weights(n: int, m: int, method: str, antialias: bool, dtype: np.dtype) -> np.ndarray:
    """w (m, n)"""
    position = ((2 * np.arange(m) + 1) * n - m)[:, None] / (2 * m)
    distance = np.abs(position - np.arange(n)) / _stretch(n, m, antialias)
    w = FUNCTIONS[method][0](distance)
    return (w / w.sum(1, keepdims=True)).astype(dtype)


@lru_cache(maxsize=128)
def nearest(n: int, m: int) -> np.ndarray:
    """The input of each output."""
    return (2 * np.arange(m) + 1) * n // (2 * m)


def _product(w: np.ndarray, x: Array, out: Array) -> None:
    """out = w x over the axis in the middle, in float32 at least"""
    if out.dtype != w.dtype:
        out[...] = np.matmul(w, x.astype(w.dtype))
    elif x.shape[2] == 1:
        np.matmul(x[..., 0], w.T, out=out[..., 0])
    else:
        np.matmul(w, x, out=out)


def _wide(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def _sizes(source: Array, out: Array, backward: bool) -> tuple:
    n, m = source.shape[1], out.shape[1]
    n, m = (m, n) if backward else (n, m)
    return np.int64(out.size), np.int32(n), np.int32(m), np.int32(out.shape[2])


def _resample(backward: bool) -> Any:
    """The CUDA twin of an interpolation or of its gradient."""

    def launch(source: Array, out: Array, method: str, antialias: bool) -> Any:
        if not contiguous(source, out):
            return NotImplemented
        sizes = _sizes(source, out, backward)
        stretch = _stretch(int(sizes[1]), int(sizes[2]), antialias)
        reach = np.int32(ceil(FUNCTIONS[method][1] * stretch))
        arguments = (source, out, *sizes, reach, np.float64(1 / stretch))
        return (blocks(out.size),), (THREADS,), arguments, 0

    def types(source: Array, out: Array, method: str, antialias: bool) -> tuple:
        return cuda_type(out.dtype), FUNCTIONS[method][2]

    name = "resample_backward" if backward else "resample_forward"
    return raw("resize.cu", name, launch, types)


def _nearest(backward: bool) -> Any:
    """The CUDA twin of the choice of the nearest element, or of its gradient."""

    def launch(source: Array, out: Array) -> Any:
        if not contiguous(source, out):
            return NotImplemented
        arguments = source, out, *_sizes(source, out, backward)
        return (blocks(out.size),), (THREADS,), arguments, 0

    return raw("resize.cu", "nearest_backward" if backward else "nearest_forward", launch)


def _examples(backward: bool, options: tuple[dict, ...]) -> Any:
    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for outer, n, m, inner in ((2, 5, 10, 3), (3, 10, 4, 2), (1, 7, 16, 1), (2, 1, 3, 4)):
            shapes = (outer, n, inner), (outer, m, inner)
            for chosen in options:
                source, out = reversed(shapes) if backward else shapes
                yield (normal(rng, source, dtype), unwritten(out, dtype)), chosen

    return examples


_OPTIONS = tuple({"method": k, "antialias": a} for k in FUNCTIONS for a in (False, True))


@kernel(cuda=_resample(False), examples=_examples(False, _OPTIONS))
def resample_forward(xp: Any, x: Array, y: Array, method: str, antialias: bool) -> None:
    """y = w x along the axis in the middle"""
    _product(weights(x.shape[1], y.shape[1], method, antialias, _wide(y.dtype)), x, y)


@kernel(cuda=_resample(True), examples=_examples(True, _OPTIONS))
def resample_backward(xp: Any, dy: Array, dx: Array, method: str, antialias: bool) -> None:
    """dx = wᵀ dy"""
    _product(weights(dx.shape[1], dy.shape[1], method, antialias, _wide(dx.dtype)).T, dy, dx)


@kernel(cuda=_nearest(False), examples=_examples(False, ({},)))
def nearest_forward(xp: Any, x: Array, y: Array) -> None:
    """y = the nearest element of x, along the axis in the middle"""
    xp.take(x, xp.asarray(nearest(x.shape[1], y.shape[1])), axis=1, out=y)


@kernel(cuda=_nearest(True), examples=_examples(True, ({},)))
def nearest_backward(xp: Any, dy: Array, dx: Array) -> None:
    """dx = Σ dy over the outputs that an input was the nearest of"""
    used, first = np.unique(nearest(dx.shape[1], dy.shape[1]), return_index=True)
    wide = dy.astype(_wide(dy.dtype), copy=False)
    dx.fill(0)
    dx[:, used] = np.add.reduceat(wide, first, axis=1)


# --- op ---


def _rule(x: Any, axis: int, size: int, method: str, antialias: bool = False) -> Spec:
    along = normalize_axis("resample", axis, len(x.shape))
    if size < 1 or x.shape[along] == 0:
        raise ShapeError(
            f"resample: there must be elements to take and to make (axis {axis} of x "
            f"{tuple(x.shape)}, size {size}). Give lengths of at least 1."
        )
    return Spec((*x.shape[:along], size, *x.shape[along + 1 :]), as_dtype(x.dtype))


@op(shape=_rule, promotes="float")
def resample(x: Array, axis: int, size: int, method: str, antialias: bool = False) -> Any:
    """x with `size` elements along an axis. `method`: "nearest", or a name in `FUNCTIONS`."""
    along = normalize_axis("resample", axis, x.ndim)
    before, n, behind = x.shape[:along], x.shape[along], x.shape[along + 1 :]
    short = prod(before), n, prod(behind)
    long = short[0], size, short[2]
    if method == "nearest":
        forward, backward, options = nearest_forward, nearest_backward, {}
    else:
        forward, backward = resample_forward, resample_backward
        options = {"method": method, "antialias": antialias}
    y = empty((*before, size, *behind), x.dtype, x)
    forward(packed(x).reshape(short), y.reshape(long), **options)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        backward(packed(dy).reshape(long), dx.reshape(short), **options)
        return dx

    return y, (gradient,)
