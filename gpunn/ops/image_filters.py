"""Images through filters: blurred, their edges, and their structural similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpunn.autodiff.dtypes import as_dtype, is_float, to_float
from gpunn.errors import ShapeError
from gpunn.ops.arithmetic import divide, multiply, subtract
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.depthwise import depthwise_conv
from gpunn.ops.elementwise import abs_, exp, square
from gpunn.ops.ranges import arange
from gpunn.ops.reduce import mean
from gpunn.ops.reduce import sum as total
from gpunn.ops.shaping import broadcast_to, expand_dims, moveaxis, reshape, squeeze, stack
from gpunn.ops.windows import data_format as checked_format
from gpunn.ops.windows import per_axis


def batched(name: str, images: Any, data_format: str | None) -> tuple[Any, bool, bool]:
    """A batch with channels last; whether it was a single image; whether channels were first."""
    x = convert_to_tensor(images)
    if len(x.shape) not in (3, 4):
        raise ShapeError(
            f"{name}: images have rank 3 (one image) or 4 (a batch), received shape "
            f"{tuple(x.shape)}. Add or remove an axis."
        )
    single, first = len(x.shape) == 3, checked_format(data_format) == "channels_first"
    x = expand_dims(x, 0) if single else x
    return (moveaxis(x, 1, -1) if first else x), single, first


def as_given(y: Any, single: bool, first: bool) -> Any:
    """The batch in the layout that `batched` received."""
    y = moveaxis(y, 3, 1) if first else y
    return squeeze(y, 0) if single else y


def _gaussian(size: int, sigma: Any, dtype: Any) -> Any:
    """w_i ∝ e^(-(i - (n - 1)/2)² / 2σ²), Σ w = 1"""
    offset = cast(arange(size), dtype) - (size - 1) / 2
    w = exp(square(divide(offset, sigma)) * -0.5)
    return divide(w, total(w))


def _filtered(x: Any, w: Any, padding: str = "same") -> Any:
    """Each channel of x (N, H, W, C) under the filter w (kh, kw)."""
    shape = (*w.shape, x.shape[-1], 1)
    filters = broadcast_to(reshape(w, (*w.shape, 1, 1)), shape)
    return depthwise_conv(x, filters, padding=padding, data_format="channels_last")


def gaussian_blur(
    images: Any,
    kernel_size: Sequence[int] = (3, 3),
    sigma: Any = (1.0, 1.0),
    data_format: str | None = None,
) -> Any:
    """Each pixel a mean of those around it, with the weights e^(-d²/2σ²); zeros beyond the edges.

    `kernel_size` and `sigma` are (along the width, along the height), as Keras computes them,
    though not as it says. Integers give floats.

    >>> gpunn.ops.image.gaussian_blur(images, (5, 5), (2.0, 2.0))
    """
    x, single, first = batched("gaussian_blur", images, data_format)
    x = x if is_float(x.dtype) else cast(x, to_float(x.dtype))
    wide, tall = per_axis("gaussian_blur", "kernel_size", kernel_size, 2)
    spread = list(sigma) if isinstance(sigma, (list, tuple)) else [sigma[0], sigma[1]]
    wide_w, tall_w = (_gaussian(n, s, x.dtype) for n, s in zip((wide, tall), spread, strict=True))
    x = _filtered(_filtered(x, reshape(wide_w, (1, wide))), reshape(tall_w, (tall, 1)))
    return as_given(x, single, first)


def sobel_edges(images: Any, data_format: str | None = None) -> Any:
    """The slopes (dy, dx) of images at each pixel, in a new last axis: (N, H, W, C, 2).

    The Sobel filters, with zeros beyond the edges. Integers stay integers.

    >>> gpunn.ops.image.sobel_edges(images).shape
    """
    x = convert_to_tensor(images)
    if len(x.shape) != 4:
        raise ShapeError(
            f"sobel_edges: images must be a batch of rank 4, received shape {tuple(x.shape)}. Add "
            f"an axis."
        )
    dtype, first = as_dtype(x.dtype), checked_format(data_format) == "channels_first"
    x = moveaxis(x, 1, -1) if first else x
    x = x if is_float(dtype) else cast(x, "float32" if dtype.itemsize < 4 else "float64")
    rise = cast(arange(3), x.dtype) - 1  # -1, 0, 1
    smooth = subtract(2, abs_(rise))  # 1, 2, 1
    down, right = (
        _filtered(_filtered(x, reshape(a, (3, 1))), reshape(b, (1, 3)))
        for a, b in ((rise, smooth), (smooth, rise))
    )
    y = cast(stack([down, right], axis=-1), dtype)
    return moveaxis(y, 3, 1) if first else y


def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Any:
    """The structural similarity of images, from -1 to 1 (equal): (N,), or () of single images.

    The mean over windows and channels of (2 μ₁μ₂ + c₁)(2 σ₁₂ + c₂) / (μ₁² + μ₂² + c₁)(σ₁² + σ₂² +
    c₂) with Gaussian weights, c_i = (k_i · max_val)².  Wang et al. 2004

    >>> gpunn.ops.image.ssim(images, restored, max_val=255.0)
    """
    a, b = convert_to_tensor(image1), convert_to_tensor(image2)
    if tuple(a.shape) != tuple(b.shape):
        raise ShapeError(
            f"ssim: the images need the same shape, received {tuple(a.shape)} and {tuple(b.shape)}."
        )
    (a, single, _), (b, _, _) = (batched("ssim", x, data_format) for x in (a, b))
    (n,) = per_axis("ssim", "filter_size", filter_size, 1)
    if any(size is not None and size < n for size in a.shape[1:3]):
        raise ShapeError(
            f"ssim: windows of {n} x {n} do not fit into the images (channels last, "
            f"{tuple(a.shape)}). Choose a smaller filter_size."
        )
    dtype = as_dtype(a.dtype)
    a, b = (x if is_float(x.dtype) else cast(x, to_float(x.dtype)) for x in (a, b))
    w = _gaussian(n, filter_sigma, a.dtype)

    def local(x: Any) -> Any:
        """The mean in each window."""
        return _filtered(_filtered(x, reshape(w, (1, n)), "valid"), reshape(w, (n, 1)), "valid")

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean_a, mean_b = local(a), local(b)
    product = multiply(mean_a, mean_b)
    squares = square(mean_a) + square(mean_b)
    covariance = local(multiply(a, b)) - product
    variances = local(square(a) + square(b)) - squares
    above = multiply(product * 2 + c1, covariance * 2 + c2)
    y = mean(divide(above, multiply(squares + c1, variances + c2)), axis=(1, 2, 3))
    y = cast(y, dtype)
    return squeeze(y, 0) if single else y
