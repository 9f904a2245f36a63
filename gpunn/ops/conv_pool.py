"""Convolution and max pooling in one: y = max over windows of conv(x, w).

A bias and a ReLU keep the order of values, so they may follow the maximum, on smaller images:
max f(z + b) = f(max z + b). On the CPU an image is pooled while it is in the cache, and the
convolution's own output is never whole in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.op import Joint, grad_like, op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.ops import columns
from gpunn.ops.conv import conv_rule
from gpunn.ops.conv_kernels import (
    conv_backward_input,
    conv_backward_kernel,
    conv_cases,
    conv_forward,
)
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.pool_kernels import index_dtype, max_pool_backward, max_pool_forward
from gpunn.ops.pool_windows import Axes, Axis
from gpunn.ops.pooling import Sliding, volumes
from gpunn.ops.windows import Windows, windows


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    for geometry, c, k, groups in conv_cases():
        x = normal(rng, (3, *geometry.sizes, c), dtype)
        w = normal(rng, (*geometry.kernel, c // groups, k), dtype)
        sizes = (1,) * (3 - len(geometry.out)) + geometry.out
        axes: Any = tuple(Axis(n, n // 2, 2, 2) if n > 1 else Axis(1, 1, 1, 1) for n in sizes)
        pooled = (3, *(a.out for a in axes), k)
        arrays = x, w, unwritten(pooled, dtype), unwritten(pooled, index_dtype(axes))
        yield arrays, {"windows": geometry, "groups": groups, "axes": axes}


def _one_after_the_other(kernel: Kernel, arrays: tuple, options: dict) -> None:
    """On a GPU: the convolution, then the pooling."""
    x, w, y, index = arrays
    geometry, groups, axes = options["windows"], options["groups"], options["axes"]
    z = empty((x.shape[0], *geometry.out, w.shape[-1]), x.dtype, x)
    conv_forward(x, w, None, z, windows=geometry, groups=groups, relu=False)
    max_pool_forward(z.reshape(len(z), *(a.n for a in axes), -1), y, index, axes=axes)


@kernel(cuda=_one_after_the_other, examples=_examples)
def conv_max_pool_forward(
    xp: Any, x: Array, w: Array, y: Array, index: Array, windows: Windows, groups: int, axes: Axes
) -> None:
    """y = max of each window of conv(x, w), and the offset of its first maximum in the window"""
    sizes = (*(a.n for a in axes), w.shape[-1])

    def pool(images: slice, z: Array) -> None:
        max_pool_forward.reference(xp, z.reshape(-1, *sizes), y[images], index[images], axes=axes)

    columns.forward_by_images(xp, x, w, windows, groups, pool)


@op(shape=lambda x, w, *, pool, **options: _rule(x, w, pool, options), promotes="common")
def convolution_max_pool(
    x: Array, w: Array, *, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str,
    pool: Sliding,
) -> Any:  # fmt: skip
    """y = max of each window `pool` of conv(x, w), channels-last"""
    geometry = windows("conv", x.shape[1:-1], w.shape[:-2], strides, dilation, padding)
    geometry = geometry.first(pool.reach(geometry.out))  # more is read by no window of the pool
    groups = x.shape[-1] // w.shape[-2]
    x, w = packed(x), packed(w)
    shape = (x.shape[0], *geometry.out, w.shape[-1])
    axes, z_shape, pooled = volumes(shape, pool)
    y = empty(pooled, x.dtype, x)
    index = empty(pooled, index_dtype(axes), x)
    conv_max_pool_forward(x, w, y, index, windows=geometry, groups=groups, axes=axes)

    def gradients(dy: Array, needed: tuple[bool, bool]) -> tuple[Array | None, Array | None]:
        dz, dx, dw = empty(z_shape, dy.dtype, dy), None, None
        max_pool_backward(packed(dy).reshape(pooled), index, dz, axes=axes)
        dz = dz.reshape(shape)
        if needed[1]:
            dw = grad_like(w)
            conv_backward_kernel(x, dz, dw, windows=geometry, groups=groups)
        if needed[0]:
            dx = empty_like(x)
            conv_backward_input(dz, w, dx, windows=geometry, groups=groups)
        return dx, dw

    return y.reshape(x.shape[0], *pool.lengths(geometry.out), w.shape[-1]), Joint(gradients)


def _rule(x: Any, w: Any, pool: Sliding, options: dict[str, Any]) -> Spec:
    z = conv_rule(x, w, **options)
    return Spec((z.shape[0], *pool.lengths(tuple(z.shape[1:-1])), z.shape[-1]), z.dtype)
