"""Kernels of convolution: x (N, *sizes, C), w (*kernel, C/g, K).

CUDA twins: kernels/conv.cu, on tensor cores kernels/conv_mma.cu (gpunn/ops/conv_tensor.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.backend.cuda import cuda_type, raw
from gpunn.backend.devices import empty
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.routes import Fastest
from gpunn.ops import columns
from gpunn.ops.activations import rectify
from gpunn.ops.conv_product import product_of
from gpunn.ops.conv_routes import Columns, Pointwise
from gpunn.ops.conv_tensor import TensorConvolution
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.reduce import reduce_sum
from gpunn.ops.windows import Windows, launch_geometry, windows

_TILE = 64  # rows and columns of the result that a block computes


def conv_cases() -> list[tuple[Windows, int, int, int]]:
    """(windows, C, K, groups) of one to three axes, with strides, dilation and padding

    The last two have fewer windows than there is room for.
    """
    return [
        (windows("conv", (7, 6), (3, 3), (1, 1), (1, 1), "same"), 4, 6, 1),
        (windows("conv", (9, 8), (3, 2), (2, 3), (1, 1), "valid"), 3, 5, 1),
        (windows("conv", (9, 9), (2, 3), (1, 1), (2, 1), "same"), 4, 4, 2),
        (windows("conv", (5, 5), (1, 1), (1, 1), (1, 1), "valid"), 8, 70, 1),
        (windows("conv", (11,), (3,), (1,), (2,), "causal"), 2, 4, 1),
        (windows("conv", (5, 4, 6), (2, 3, 2), (2, 1, 2), (1, 1, 1), "same"), 2, 4, 2),
        (windows("conv", (17, 19), (1, 2), (1, 1), (1, 1), "same"), 2, 3, 1),
        (windows("conv", (6, 7), (3, 2), (1, 1), (1, 2), "same"), 5, 3, 1),
        (windows("conv", (7, 6), (3, 2), (1, 1), (1, 1), "same").first((6, 4)), 3, 4, 1),
        (windows("conv", (5, 5), (1, 1), (1, 1), (1, 1), "valid").first((4, 4)), 4, 3, 1),
    ]


# --- CUDA ---


class _Convolution(raw):
    """One of the three products of conv.cu."""

    name = "implicit"

    def __init__(self, mode: str):
        def types(a: Array, *_: Array, **__: Any) -> tuple[str, str]:
            return cuda_type(a.dtype), mode

        super().__init__("conv.cu", "convolution", self._plan, types)
        self.mode = mode

    def _plan(
        self, a: Array, b: Array, *rest: Array, windows: Windows, groups: int, relu: bool = False
    ) -> Any:
        product = product_of(self.mode, a, b, *rest, windows=windows, groups=groups)
        if product is None:
            return NotImplemented
        *bias, out = rest
        splits = out.shape[0] if self.mode == "BACKWARD_KERNEL" and out.ndim > a.ndim else 1
        rows, columns, _ = product.grid(_TILE)
        numbers = (a.shape[0], product.channels, product.filters, groups, splits, relu)
        arguments = (
            a, b, bias[0] if bias else None, out,
            *map(np.int32, numbers), *launch_geometry(windows),
        )  # fmt: skip
        return (rows, columns, groups * splits), (128,), arguments, 0


class _SplitConvolution(_Convolution):
    """The inner dimension, all pixels of the batch, is long: parts of it are summed at the end."""

    def __call__(self, kernel: Kernel, arrays: tuple, options: dict) -> Any:
        x, dy, dw = arrays
        product = product_of(self.mode, x, dy, dw, **options)
        splits = 1 if product is None else product.splits(_TILE)
        if splits < 2 or dw.dtype.itemsize == 2:
            return super().__call__(kernel, arrays, options)
        parts = empty((splits, *dw.shape), dw.dtype, dw)
        if super().__call__(kernel, (x, dy, parts), options) is NotImplemented:
            return NotImplemented
        reduce_sum(parts, dw, axes=(0,))
        return None


def _routes(mode: str) -> Fastest:
    """Without timing, the first one that applies is taken."""
    implicit = _SplitConvolution if mode == "BACKWARD_KERNEL" else _Convolution
    return Fastest(Pointwise(mode), TensorConvolution(mode), implicit(mode), Columns(mode))


# --- kernels ---


def _forward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for geometry, c, k, g in conv_cases():
        x = normal(rng, (2, *geometry.sizes, c), dtype)
        w = normal(rng, (*geometry.kernel, c // g, k), dtype)
        y = unwritten((2, *geometry.out, k), dtype)
        for bias, relu in ((None, False), (normal(rng, (k,), dtype), True)):
            yield (x, w, bias, y), {"windows": geometry, "groups": g, "relu": relu}


@kernel(cuda=_routes("FORWARD"), examples=_forward_examples)
def conv_forward(
    xp: Any, x: Array, w: Array, bias: Array | None, y: Array,
    windows: Windows, groups: int, relu: bool,
) -> None:  # fmt: skip
    """y = max(0, conv(x, w) + bias); bias and ReLU are optional"""
    finish = (lambda part: rectify(xp, part, part)) if relu else None
    columns.forward(xp, x, w, bias, y, windows, groups, finish)


def _input_examples(rng: np.random.Generator, dtype: str) -> Any:
    for geometry, c, k, g in conv_cases():
        dy = normal(rng, (2, *geometry.out, k), dtype)
        w = normal(rng, (*geometry.kernel, c // g, k), dtype)
        dx = unwritten((2, *geometry.sizes, c), dtype)
        yield (dy, w, dx), {"windows": geometry, "groups": g}


@kernel(cuda=_routes("BACKWARD_INPUT"), examples=_input_examples)
def conv_backward_input(
    xp: Any, dy: Array, w: Array, dx: Array, windows: Windows, groups: int
) -> None:
    """dx[i] = Σ dy[o] wᵀ[t] over the windows o and taps t that read i"""
    columns.backward_input(xp, dy, w, dx, windows, groups)


def _kernel_examples(rng: np.random.Generator, dtype: str) -> Any:
    for geometry, c, k, g in conv_cases():
        x = normal(rng, (2, *geometry.sizes, c), dtype)
        dy = normal(rng, (2, *geometry.out, k), dtype)
        dw = unwritten((*geometry.kernel, c // g, k), dtype)
        yield (x, dy, dw), {"windows": geometry, "groups": g}


@kernel(cuda=_routes("BACKWARD_KERNEL"), examples=_kernel_examples)
def conv_backward_kernel(
    xp: Any, x: Array, dy: Array, dw: Array, windows: Windows, groups: int
) -> None:
    """dw[t] = Σ x[i]ᵀ dy[o] over all windows o, where i is what tap t of window o reads"""
    columns.backward_kernel(xp, x, dy, dw, windows, groups)
