"""Convolution on tensor cores: float16, and float32 as tf32 where `gpunn.config` lets it.

CUDA: kernels/conv_mma.cu.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import config
from gpunn.backend.cuda import raw
from gpunn.backend.devices import empty, gpu
from gpunn.backend.kernel import Kernel
from gpunn.backend.protocol import Array
from gpunn.ops.conv_product import Product, product_of
from gpunn.ops.windows import Windows, launch_geometry

_TYPES = {"float32": "float", "float16": "__half", "bfloat16": "__nv_bfloat16"}
_CAPABILITY = {"float32": 80, "float16": 75, "bfloat16": 80}  # of cards that multiply them
_STAGE = 2 * 64  # bytes for each row and column of a tile: a stage of both operands
_STAGES = 3
_NARROWEST = 16  # channels and filters of a group, where there are several
_FILLED = 108  # large tiles that keep a GPU busy; of fewer, smaller ones are made


def applies(dtype: np.dtype, capability: int) -> bool:
    """Whether a card may multiply this dtype on its tensor cores."""
    if dtype.name not in _TYPES or capability < _CAPABILITY[dtype.name]:
        return False
    return dtype.name != "float32" or config.matmul_precision() == "high"


def vector(array: Array, width: int) -> int:
    """How many elements a copy takes, of rows of this width: 16 bytes, 4 or a single element."""
    itemsize = array.dtype.itemsize
    address = array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr
    for size in (16, 4):
        if width * itemsize % size == 0 and address % size == 0:
            return size // itemsize
    return 1


def _tile(mode: str, product: Product) -> int:
    """Rows and columns of the result that a block computes."""
    filled = mode == "BACKWARD_KERNEL" or np.prod(product.grid(128)) >= _FILLED
    return 128 if min(product.rows, product.columns) > 64 and filled else 64


class TensorConvolution(raw):
    """One of the three products of conv_mma.cu."""

    name = "tensor cores"

    def __init__(self, mode: str):
        super().__init__("conv_mma.cu", "convolution_mma", self._plan, self._template)
        self.mode = mode
        self.add_parts = raw("conv_mma.cu", "add_parts", _sum_plan, _sum_template)

    def __call__(self, kernel: Kernel, arrays: tuple, options: dict) -> Any:
        out = arrays[-1]
        if not applies(out.dtype, gpu(out.device.id).capability):
            return NotImplemented
        product = self._product(*arrays, **options)
        if product is None:
            return NotImplemented
        splits = product.splits(_tile(self.mode, product))
        if self.mode != "BACKWARD_KERNEL" or splits < 2:
            return super().__call__(kernel, arrays, options)
        parts = empty((splits, out.size), "float32", out)
        super().__call__(kernel, arrays, {**options, "parts": parts})
        return self.add_parts(kernel, (parts, out), {})

    def _product(
        self, *arrays: Array, windows: Windows, groups: int, relu: bool = False
    ) -> Product | None:
        dtype = arrays[0].dtype
        product = product_of(self.mode, *arrays, windows=windows, groups=groups)
        mixed = any(x is not None and x.dtype != dtype for x in arrays)
        if product is None or mixed or dtype.name not in _TYPES:
            return None
        narrow = min(product.channels, product.filters) // groups < _NARROWEST
        # The kernel divides shifts by strides, through products of 32 bits.
        axes = zip(windows.kernel, windows.dilation, windows.strides)
        far = any(k * dilation * stride >= 1 << 30 for k, dilation, stride in axes)
        return None if far or (groups > 1 and narrow) else product

    def _plan(
        self, a: Array, b: Array, *rest: Array, windows: Windows, groups: int, relu: bool = False,
        parts: Array | None = None,
    ) -> Any:  # fmt: skip
        product = self._product(a, b, *rest, windows=windows, groups=groups)
        if product is None:
            return NotImplemented
        *bias, out = rest
        tile = _tile(self.mode, product)
        rows, columns, _ = product.grid(tile)
        splits = 1 if parts is None else len(parts)
        numbers = (a.shape[0], product.channels, product.filters, groups, splits, relu)
        arguments = (
            a, b, bias[0] if bias else None, out, parts,
            *map(np.int32, numbers), *launch_geometry(windows),
        )  # fmt: skip
        return (rows, columns, groups * splits), (2 * tile,), arguments, _STAGES * _STAGE * tile

    def _template(self, a: Array, b: Array, *rest: Array, **options: Any) -> tuple[str, ...]:
        options.pop("parts", None)
        product = self._product(a, b, *rest, **options)
        assert product is not None  # or there is no launch
        channels, filters = (n // product.groups for n in (product.channels, product.filters))
        widths = (filters if self.mode == "BACKWARD_INPUT" else channels), filters
        copies = (str(vector(x, width)) for x, width in zip((a, b), widths))
        return _TYPES[a.dtype.name], self.mode, str(_tile(self.mode, product)), *copies


def _sum_plan(parts: Array, out: Array) -> Any:
    numbers = map(np.int32, parts.shape)
    return (-(-out.size // 256),), (256,), (parts, out, *numbers), 0


def _sum_template(parts: Array, out: Array) -> tuple[str, ...]:
    return (_TYPES[out.dtype.name],)
