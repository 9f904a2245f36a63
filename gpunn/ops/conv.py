"""Convolutions as in `keras.ops`: y[o, k] = Σ x[o · stride + t · dilation, c] w[t, c, k] over t, c.

Images are (N, *sizes, C), or (N, C, *sizes) with data_format "channels_first", with one to three
spatial axes; w is (*kernel, C/groups, K). The number of groups follows from the shapes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.autodiff.op import Joint, grad_like, op
from gpunn.autodiff.symbolic import Spec, SymbolicShape
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops import pointwise
from gpunn.ops.conv_kernels import conv_backward_input, conv_backward_kernel, conv_forward
from gpunn.ops.reduce import reduce_sum
from gpunn.ops.rules import result_dtype
from gpunn.ops.shaping import moveaxis
from gpunn.ops.windows import (
    PADDINGS,
    Windows,
    check_padding,
    per_axis,
    windowed_sizes,
    windows,
)
from gpunn.ops.windows import data_format as checked_format

_CONV_PADDINGS = (*PADDINGS, "causal")


def channels_last(x: Any, order: str) -> Any:
    """The images with their channels behind."""
    return x if order == "channels_last" else moveaxis(x, 1, -1)


def in_order(y: Any, order: str) -> Any:
    """Images with their channels where the user has them."""
    return y if order == "channels_last" else moveaxis(y, -1, 1)


def check_images(name: str, x: Any, w: Any) -> None:
    """x and w have one to three spatial axes each, as many in one as in the other."""
    if len(x.shape) != len(w.shape) or not 3 <= len(x.shape) <= 5:
        raise ShapeError(
            f"{name}: inputs must be a batch of images with 1 to 3 spatial axes, and the kernel "
            f"must have as many axes (inputs {tuple(x.shape)}, kernel {tuple(w.shape)})."
        )
    if 0 in (*x.shape[1:-1], *w.shape[:-2]):
        raise ShapeError(
            f"{name}: a spatial axis has length 0 (channels-last inputs {tuple(x.shape)}, kernel "
            f"{tuple(w.shape)}). Leave empty images out."
        )


def _check_bias(name: str, b: Any, channels: int) -> None:
    if b is not None and tuple(b.shape) != (channels,):
        raise ShapeError(
            f"{name}: the bias must have one element a filter, shape ({channels},), received "
            f"{tuple(b.shape)}."
        )


def conv_rule(
    x: Any, w: Any, b: Any = None, *, strides: tuple[int, ...], dilation: tuple[int, ...],
    padding: str, activation: str | None = None,
) -> Spec:  # fmt: skip
    """x (N, *sizes, C), w (*kernel, C / groups, filters), b (filters,) -> (N, *sizes, filters)"""
    check_images("conv", x, w)
    channels, per_group, filters = x.shape[-1], w.shape[-2], w.shape[-1]
    if channels is None or per_group == 0 or channels % per_group:
        raise ShapeError(
            f"conv: the {channels} channels of the inputs must be a multiple of the kernel's "
            f"{per_group} (channels-last inputs {tuple(x.shape)}, kernel {tuple(w.shape)}). Give "
            f"images with {per_group} channels, or check data_format."
        )
    if filters == 0 or filters % (channels // per_group):
        raise ShapeError(
            f"conv: {filters} filters cannot be shared among {channels // per_group} groups "
            f"(inputs {tuple(x.shape)}, kernel {tuple(w.shape)}). Make filters a multiple of it."
        )
    _check_bias("conv", b, filters)
    sizes = windowed_sizes("conv", x.shape[1:-1], w.shape[:-2], strides, dilation, padding)
    return Spec((x.shape[0], *sizes, filters), result_dtype(x, w))


@op(shape=conv_rule, promotes="common")
def convolution(
    x: Array, w: Array, b: Array | None = None, *, strides: tuple[int, ...],
    dilation: tuple[int, ...], padding: str, activation: str | None = None,
) -> Any:  # fmt: skip
    """y = f(conv(x, w) + b), channels-last; f in `gemm.FUSED` or None."""
    geometry = windows("conv", x.shape[1:-1], w.shape[:-2], strides, dilation, padding)
    groups = x.shape[-1] // w.shape[-2]
    x, w = packed(x), packed(w)
    y = empty((x.shape[0], *geometry.out, w.shape[-1]), x.dtype, x)
    relu = activation == "relu"
    conv_forward(x, w, b, y, windows=geometry, groups=groups, relu=relu)
    if activation is not None and not relu:
        pointwise.kernels[activation][0](y, y)

    def gradients(dy: Array, needed: tuple[bool, ...]) -> tuple[Array | None, ...]:
        dz = packed(dy)
        if activation is not None:
            dz = empty_like(y)
            pointwise.kernels[activation][1](y, y, packed(dy), dz)
        dx = dw = db = None
        if needed[1]:
            dw = grad_like(w)
            conv_backward_kernel(x, dz, dw, windows=geometry, groups=groups)
        if b is not None and needed[2]:
            db = grad_like(b)
            reduce_sum(dz, db, axes=tuple(range(dz.ndim - 1)))
        if needed[0]:
            dx = empty_like(x)
            conv_backward_input(dz, w, dx, windows=geometry, groups=groups)
        return (dx, dw, db)[: len(needed)]

    return y, Joint(gradients)


def conv(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """y[o, k] = Σ x[o · strides + t · dilation_rate, c] kernel[t, c, k]

    `padding`: "valid" (windows within the image), "same" (⌈n / stride⌉ windows) or "causal" (a
    window ends at its position; 1-D).

    >>> gpunn.ops.conv(images, kernel, strides=2, padding="same").shape
    """
    order, options = checked_options("conv", kernel, strides, padding, data_format, dilation_rate)
    return in_order(convolution(channels_last(inputs, order), kernel, **options), order)


def checked_options(
    name: str, kernel: Any, strides: Any, padding: str, order: str | None, dilation: Any
) -> tuple[str, dict[str, Any]]:
    """The axis order, and the checked options of `convolution`."""
    rank = max(len(np.shape(kernel)) - 2, 0)
    allowed = _CONV_PADDINGS if rank == 1 else PADDINGS
    options = {
        "strides": per_axis(name, "strides", strides, rank),
        "padding": check_padding(name, padding, allowed),
        "dilation": per_axis(name, "dilation_rate", dilation, rank),
    }
    return checked_format(order), options


# --- transposed ---


def _transposed(
    sizes: SymbolicShape, kernel: tuple[int, ...], strides: tuple[int, ...],
    dilation: tuple[int, ...], padding: str, output_padding: tuple[int, ...] | None,
) -> list[tuple[int | None, int]]:  # fmt: skip
    """(length of the output, padding in front) of each axis"""
    found = []
    for axis, n in enumerate(sizes):
        stride, extent = strides[axis], dilation[axis] * (kernel[axis] - 1) + 1
        if output_padding is not None:
            more, both = output_padding[axis], 2 * (extent // 2) if padding == "same" else 0
            out = None if n is None else (n - 1) * stride + extent - both + more
            before = max(both - more, 0) // 2
        elif padding == "same":
            out = None if n is None else n * stride
            before = max(extent - stride, 0) // 2
        else:
            out, before = None if n is None else n * stride + max(extent - stride, 0), 0
        found.append((out, before))
    return found


def _transpose_rule(
    x: Any, w: Any, *, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str,
    output_padding: tuple[int, ...] | None = None,
) -> Spec:  # fmt: skip
    check_images("conv_transpose", x, w)
    if x.shape[-1] != w.shape[-1]:
        raise ShapeError(
            f"conv_transpose: the inputs have {x.shape[-1]} channels, the kernel (*kernel, filters,"
            f" channels) expects {w.shape[-1]} (channels-last inputs {tuple(x.shape)}, kernel "
            f"{tuple(w.shape)})."
        )
    axes = _transposed(x.shape[1:-1], w.shape[:-2], strides, dilation, padding, output_padding)
    sizes = tuple(out for out, _ in axes)
    if any(n is not None and n < 1 for n in sizes):
        raise ShapeError(
            f"conv_transpose: the output would have sizes {sizes} (inputs {tuple(x.shape)}, kernel "
            f"{tuple(w.shape)}). Use a larger output_padding or another padding."
        )
    return Spec((x.shape[0], *sizes, w.shape[-2]), result_dtype(x, w))


@op(shape=_transpose_rule, promotes="common")
def transposed_convolution(
    x: Array, w: Array, *, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str,
    output_padding: tuple[int, ...] | None = None,
) -> Any:  # fmt: skip
    """y = the gradient of a convolution of y's shape whose output is x: w is (*kernel, K, C)"""
    axes = _transposed(x.shape[1:-1], w.shape[:-2], strides, dilation, padding, output_padding)
    sizes, before = zip(*axes, strict=True)
    out, kernel = x.shape[1:-1], w.shape[:-2]
    after = tuple(
        max((o - 1) * s + d * (k - 1) + 1 - b - n, 0)
        for o, s, d, k, b, n in zip(out, strides, dilation, kernel, before, sizes, strict=True)
    )
    geometry = Windows(sizes, kernel, strides, dilation, before, after, out)
    x, w = packed(x), packed(w)
    y = empty((x.shape[0], *sizes, w.shape[-2]), x.dtype, x)
    conv_backward_input(x, w, y, windows=geometry, groups=1)

    def gradients(dy: Array, needed: tuple[bool, bool]) -> tuple[Array | None, Array | None]:
        dy, dx, dw = packed(dy), None, None
        if needed[1]:
            dw = grad_like(w)
            conv_backward_kernel(dy, x, dw, windows=geometry, groups=1)
        if needed[0]:
            dx = empty_like(x)
            conv_forward(dy, w, None, dx, windows=geometry, groups=1, relu=False)
        return dx, dw

    return y, Joint(gradients)


def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: Any = 1,
    padding: str = "valid",
    output_padding: Any = None,
    data_format: str | None = None,
    dilation_rate: Any = 1,
) -> Any:
    """The gradient of `conv` as a layer: enlarges images; kernel (*kernel, filters, channels).

    >>> gpunn.ops.conv_transpose(images, kernel, strides=2, padding="same").shape
    """
    order, options = checked_options(
        "conv_transpose", kernel, strides, padding, data_format, dilation_rate
    )
    if options["padding"] == "causal":
        check_padding("conv_transpose", padding)
    if output_padding is not None:
        output_padding = output_padding_of(output_padding, options["strides"])
    y = transposed_convolution(
        channels_last(inputs, order), kernel, output_padding=output_padding, **options
    )
    return in_order(y, order)


def output_padding_of(value: Any, strides: tuple[int, ...]) -> tuple[int, ...]:
    """One number for each axis, smaller than its stride."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * len(strides)
    if len(values) != len(strides) or any(
        not is_whole(v, 0) or v >= s for v, s in zip(values, strides, strict=False)
    ):
        raise ValueError(
            f"conv_transpose: output_padding must be 0 or more and smaller than the stride on each "
            f"axis (strides {strides}), received {value!r}."
        )
    return tuple(map(int, values))
