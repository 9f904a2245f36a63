"""Images, as in `keras.ops.image`: (N, H, W, C) or (H, W, C), or with the channels in front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.affine import affine_transform
from gpunn.ops.blocks import extract_patches, extract_patches_3d
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.elementwise import clip, rint
from gpunn.ops.image_color import hsv_to_rgb, rgb_to_hsv
from gpunn.ops.image_filters import gaussian_blur, sobel_edges, ssim
from gpunn.ops.image_sampling import (
    elastic_transform,
    map_coordinates,
    perspective_transform,
    scale_and_translate,
)
from gpunn.ops.indexing import getitem
from gpunn.ops.padding import pad
from gpunn.ops.resample import FUNCTIONS, resample
from gpunn.ops.windows import data_format as checked_format

_GRAY = (0.2989, 0.5870, 0.1140)  # shares of red, green and blue: ITU-R BT.601


def _axes(name: str, images: Any, data_format: str | None) -> tuple[int, int, int]:
    """The axes (height, width, channels) of the images."""
    rank = len(images.shape)
    if rank not in (3, 4):
        raise ShapeError(
            f"{name}: images have rank 3 (one image) or 4 (a batch), received shape "
            f"{tuple(images.shape)}. Add or remove an axis."
        )
    last = checked_format(data_format) == "channels_last"
    return (rank - 3, rank - 2, rank - 1) if last else (rank - 2, rank - 1, rank - 3)


def _target(name: str, size: Any) -> tuple[int, int]:
    whole = isinstance(size, Sequence) and all(is_whole(n, 1) for n in size)
    if not whole or len(size) != 2:
        raise ValueError(f"{name}: size must be two positive integers, received {size!r}.")
    return int(size[0]), int(size[1])


def _part(x: Any, axis: int, start: int, stop: int | None) -> Any:
    return getitem(x, (*[slice(None)] * axis, slice(start, stop)))


def _with_border(x: Any, borders: dict[int, tuple[int, int]], value: float = 0.0) -> Any:
    """x with (before, after) new elements along some axes."""
    widths = tuple(borders.get(axis, (0, 0)) for axis in range(len(x.shape)))
    return x if not any(map(any, widths)) else pad(x, widths, constant_values=value)


def _fitted(
    images: Any, axes: tuple[int, int], size: tuple[int, int], crop: bool, fill: float
) -> Any:
    """The images cut at both sides, or padded, so that height : width is that of `size`."""
    lengths = [images.shape[a] for a in axes]
    if None in lengths:
        raise ShapeError(
            f"resize: to keep the aspect ratio, the size of the images must be known (images "
            f"{tuple(images.shape)})."
        )
    wanted = lengths[1] * size[0] // size[1], lengths[0] * size[1] // size[0]
    borders = {}
    for axis, n, length in zip(axes, lengths, wanted, strict=True):
        if crop:
            length = max(min(n, length), 1)
            start = (n - length) // 2
            images = _part(images, axis, start, start + length)
        else:
            borders[axis] = ((max(n, length) - n) // 2,) * 2
    return _with_border(images, borders, fill)


def _as_integers(x: Any, dtype: Any) -> Any:
    """Rounded, and held within the bounds of the dtype."""
    if as_dtype(dtype).kind == "b":
        return cast(x, dtype)
    bounds = np.iinfo(as_dtype(dtype))
    return cast(clip(rint(x), float(bounds.min), float(bounds.max)), dtype)


def resize(
    images: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Any:
    """The images in another size (height, width).

    y = W_h x W_wᵀ with the weights of `gpunn.ops.resample`; differentiable. `interpolation`:
    "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5". `antialias` smooths what is made
    smaller. A changed aspect ratio can be kept by cropping or padding first. Integers are computed
    as floats and rounded.

    >>> gpunn.ops.image.resize(images, (224, 224), antialias=True)
    """
    if interpolation not in (*FUNCTIONS, "nearest"):
        raise unknown_name("interpolation", interpolation, (*FUNCTIONS, "nearest"))
    if fill_mode != "constant":
        raise unknown_name("fill_mode of resize", fill_mode, ("constant",))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            "resize: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other. Choose one."
        )
    images = convert_to_tensor(images)
    *axes, _ = _axes("resize", images, data_format)
    new = _target("resize", size)
    if 0 in (images.shape[a] for a in axes):
        raise ShapeError(
            f"resize: there are no pixels to take values from (images {tuple(images.shape)}). "
            f"Give images of at least 1 x 1."
        )
    if crop_to_aspect_ratio or pad_to_aspect_ratio:
        images = _fitted(images, (axes[0], axes[1]), new, crop_to_aspect_ratio, fill_value)
    dtype = as_dtype(images.dtype)
    x = images if is_float(dtype) else cast(images, "float32" if dtype.itemsize < 4 else "float64")
    changes = [(a, n) for a, n in zip(axes, new, strict=True) if images.shape[a] != n]
    if all(images.shape[a] is not None for a in axes):  # the larger reduction first
        changes.sort(key=lambda change: change[1] / images.shape[change[0]])
    for axis, n in changes:
        x = resample(x, axis=axis, size=n, method=interpolation, antialias=antialias)
    return x if is_float(dtype) else _as_integers(x, dtype)


def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Any:
    """0.2989 red + 0.5870 green + 0.1140 blue, in one channel; grey images stay as they are."""
    images = convert_to_tensor(images)
    *_, channels = _axes("rgb_to_grayscale", images, data_format)
    count = images.shape[channels]
    if count == 1:
        return images
    if count != 3:
        raise ShapeError(
            f"rgb_to_grayscale: images have 3 channels (or 1), received {count} (images "
            f"{tuple(images.shape)}). Choose data_format, or the channels."
        )
    dtype = as_dtype(images.dtype)
    x = images if is_float(dtype) else cast(images, "float32")
    red, green, blue = (_part(x, channels, i, i + 1) * share for i, share in enumerate(_GRAY))
    return cast(red + green + blue, dtype)


def _ends(
    name: str, what: str, change: int, n: int | None, sides: dict[str, int | None]
) -> tuple[int, int]:
    """How much changes (before, after) an axis of length n, from exactly two of: before, after,
    length in the end. `change` is -1 for cropping, 1 for padding.
    """
    if sum(v is not None for v in sides.values()) != 2:
        given = ", ".join(f"{k}={v}" for k, v in sides.items())
        raise ValueError(f"{name}: give exactly two of {', '.join(sides)}; received {given}.")
    before, after, length = sides.values()
    if length is not None:
        if n is None:
            raise ShapeError(f"{name}: the {what} of the images is unknown. Give both sides.")
        total = change * (length - n)
        before = total - (after or 0) if before is None else before
        after = total - before if after is None else after
    if before is None or after is None or min(before, after) < 0:
        raise ValueError(
            f"{name}: nothing can be negative; the {what} {n} would change by {before} in front "
            f"and {after} behind. Change {' or '.join(sides)}."
        )
    return before, after


def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """A part of the images: for each axis, two of what goes in front, behind, and what stays.

    >>> gpunn.ops.image.crop_images(images, 2, 2, target_height=8, target_width=8)
    """
    images = convert_to_tensor(images)
    height, width, _ = _axes("crop_images", images, data_format)
    for axis, what, sides in (
        (height, "height", {"top_cropping": top_cropping, "bottom_cropping": bottom_cropping,
                            "target_height": target_height}),
        (width, "width", {"left_cropping": left_cropping, "right_cropping": right_cropping,
                          "target_width": target_width}),
    ):  # fmt: skip
        n = images.shape[axis]
        before, after = _ends("crop_images", what, -1, n, sides)
        if n is not None and before + after > n:
            raise ShapeError(
                f"crop_images: {before} + {after} elements are more than the {what} has (images "
                f"{tuple(images.shape)}). Crop less."
            )
        stop = -after or None if n is None else n - after
        images = _part(images, axis, before, stop)
    return images


def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Any:
    """The images with borders of zeros: for each axis, two of front, behind, and length in the end.

    >>> gpunn.ops.image.pad_images(images, 2, 2, target_height=32, target_width=32)
    """
    images = convert_to_tensor(images)
    height, width, _ = _axes("pad_images", images, data_format)
    borders = {
        axis: _ends("pad_images", what, 1, images.shape[axis], sides)
        for axis, what, sides in (
            (height, "height", {"top_padding": top_padding, "bottom_padding": bottom_padding,
                                "target_height": target_height}),
            (width, "width", {"left_padding": left_padding, "right_padding": right_padding,
                              "target_width": target_width}),
        )
    }  # fmt: skip
    return _with_border(images, borders)


__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches",
    "extract_patches_3d", "gaussian_blur", "hsv_to_rgb", "map_coordinates", "pad_images",
    "perspective_transform", "resize", "rgb_to_grayscale", "rgb_to_hsv", "scale_and_translate",
    "sobel_edges", "ssim",
]  # fmt: skip
