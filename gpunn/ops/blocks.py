"""Blocks and windows of pixels, to channels or rows and back; the halves of `glu`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpunn.errors import ShapeError
from gpunn.ops.activations import sigmoid
from gpunn.ops.arithmetic import multiply
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.indexing import getitem
from gpunn.ops.padding import pad
from gpunn.ops.patches import overlay, patches
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import expand_dims, moveaxis, reshape, squeeze, transpose
from gpunn.ops.splitting import split
from gpunn.ops.windows import check_padding, per_axis
from gpunn.ops.windows import data_format as checked_format


def glu(x: Any, axis: int = -1) -> Any:
    """y = a · sigmoid(b), a and b the halves of x along the axis.  arXiv:1612.08083"""
    x = convert_to_tensor(x)
    length = x.shape[normalize_axis("glu", axis, len(x.shape))]
    if length is None or length % 2:
        raise ShapeError(
            f"glu: x must have an even length along axis {axis} (x {tuple(x.shape)}). "
            f"Give the layer before it twice as many units as are wanted."
        )
    a, b = split(x, 2, axis=axis)
    return multiply(a, sigmoid(b))


# --- blocks ---


def _images(name: str, x: Any, data_format: str) -> tuple[Any, bool]:
    """The images with channels last, and whether they were first."""
    x = convert_to_tensor(x)
    if len(x.shape) != 4:
        raise ShapeError(
            f"{name}: images must have rank 4, received shape {tuple(x.shape)}. Add or remove an "
            f"axis."
        )
    first = checked_format(data_format) == "channels_first"
    return (moveaxis(x, 1, -1) if first else x), first


def _check_block(name: str, block_size: Any, lengths: dict[str, int | None], unit: int) -> None:
    if not isinstance(block_size, int) or block_size < 2:
        raise ValueError(f"{name}: block_size must be at least 2, received {block_size!r}.")
    for what, n in lengths.items():
        if n is None or n % unit:
            raise ShapeError(
                f"{name}: the {what} must be a known multiple of {unit}, received {n} (block_size "
                f"{block_size}). Choose another block_size, or pad."
            )


def _known(*shape: int | None) -> tuple[int, ...]:
    """For `reshape`, in which the unknown length is -1."""
    return tuple(-1 if n is None else n for n in shape)


def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """y[i·b + p, j·b + q, c] = x[i, j, (p·b + q)·C + c]: (N, H, W, C·b²) -> (N, H·b, W·b, C).

    The pixel shuffle, with b = block_size. The inverse of `space_to_depth`. Of channels in front,
    the depth is c·b² + p·b + q, as in Keras and PyTorch.

    >>> gpunn.ops.depth_to_space(gpunn.ops.ones((1, 2, 2, 12)), 2).shape
    (1, 4, 4, 3)
    """
    x, first = _images("depth_to_space", x, data_format)
    b, (n, height, width, depth) = block_size, x.shape
    _check_block("depth_to_space", b, {"number of channels": depth}, _square(b))
    _check_block("depth_to_space", b, {"height": height, "width": width}, 1)
    c = depth // b**2
    if first:
        parts = transpose(reshape(x, _known(n, height, width, c, b, b)), (0, 3, 1, 4, 2, 5))
        return reshape(parts, _known(n, c, height * b, width * b))
    parts = transpose(reshape(x, _known(n, height, width, b, b, c)), (0, 1, 3, 2, 4, 5))
    return reshape(parts, _known(n, height * b, width * b, c))


def _square(block_size: Any) -> int:
    return block_size**2 if isinstance(block_size, int) and block_size else 1


def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> Any:
    """y[i, j, (p·b + q)·C + c] = x[i·b + p, j·b + q, c]: (N, H·b, W·b, C) -> (N, H, W, C·b²).

    >>> gpunn.ops.space_to_depth(gpunn.ops.ones((1, 4, 4, 3)), 2).shape
    (1, 2, 2, 12)
    """
    x, first = _images("space_to_depth", x, data_format)
    b, (n, height, width, depth) = block_size, x.shape
    unit = b if isinstance(b, int) and b else 1
    _check_block("space_to_depth", b, {"height": height, "width": width}, unit)
    parts = reshape(x, _known(n, height // b, b, width // b, b, depth))
    if first:
        parts = transpose(parts, (0, 5, 2, 4, 1, 3))
        return reshape(parts, _known(n, depth * b**2, height // b, width // b))
    parts = transpose(parts, (0, 1, 3, 2, 4, 5))
    return reshape(parts, _known(n, height // b, width // b, depth * b**2))


# --- windows ---


def _pair(name: str, what: str, value: Any, least: int) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(values) != 2 or any(not isinstance(v, int) or v < least for v in values):
        raise ValueError(
            f"{name}: {what} must be an integer of at least {least}, or two of them, received "
            f"{value!r}."
        )
    return values


def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images (N, C, H, W) as columns (N, C·kh·kw, L), L = how many there are.

    Channels are first, as in PyTorch's function of this name. `padding`: zeros on both sides.

    >>> gpunn.ops.unfold(gpunn.ops.ones((1, 2, 4, 4)), 2, stride=2).shape
    (1, 8, 4)
    """
    x = convert_to_tensor(x)
    if len(x.shape) != 4:
        raise ShapeError(f"unfold: x must be (N, C, H, W), received shape {tuple(x.shape)}.")
    size, steps, dilated = (
        _pair("unfold", what, value, 1)
        for what, value in (
            ("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)
        )
    )  # fmt: skip
    top, left = _pair("unfold", "padding", padding, 0)
    x = moveaxis(pad(x, ((0, 0), (0, 0), (top, top), (left, left))), 1, -1)
    found = patches(x, size=size, strides=steps, dilation=dilated, padding="valid")
    n, rows, columns, width = found.shape
    if rows is None or columns is None:
        raise ShapeError(f"unfold: height and width must be known, received {tuple(x.shape)}.")
    taps = size[0] * size[1]
    y = transpose(reshape(found, _known(n, rows * columns, taps, width // taps)), (0, 3, 2, 1))
    return reshape(y, _known(n, width, rows * columns))


def fold(
    x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The columns (N, C·kh·kw, L) of `unfold` added up to images (N, C, *output_size).

    >>> gpunn.ops.fold(gpunn.ops.ones((1, 8, 4)), (4, 4), 2, stride=2).shape
    (1, 2, 4, 4)
    """
    x = convert_to_tensor(x)
    height, width = _pair("fold", "output_size", output_size, 1)
    kh, kw = _pair("fold", "kernel_size", kernel_size, 1)
    steps, dilated = _pair("fold", "stride", stride, 1), _pair("fold", "dilation", dilation, 1)
    top, left = _pair("fold", "padding", padding, 0)
    sizes = height + 2 * top, width + 2 * left
    out = tuple(
        (n - d * (k - 1) - 1) // s + 1
        for n, d, k, s in zip(sizes, dilated, (kh, kw), steps, strict=True)
    )
    if len(x.shape) != 3 or x.shape[1] % (kh * kw) or x.shape[2] != out[0] * out[1]:
        raise ShapeError(
            f"fold: x must be (N, C·{kh * kw}, {out[0] * out[1]}) for the {out[0]} x {out[1]} "
            f"windows of ({height}, {width}), received shape {tuple(x.shape)}. Check output_size, "
            f"kernel_size, stride, dilation and padding."
        )
    n, features, count = x.shape
    columns = reshape(x, _known(n, features // (kh * kw), kh * kw, count))
    rows = reshape(transpose(columns, (0, 3, 2, 1)), _known(n, *out, features))
    images = overlay(rows, sizes=sizes, size=(kh, kw), strides=steps, dilation=dilated)
    inside = slice(top, top + height), slice(left, left + width)
    return moveaxis(getitem(images, (slice(None), *inside)), -1, 1)


def _extract(
    name: str, images: Any, size: Any, rank: int, strides: Any, dilation: Any, padding: str,
    data_format: str | None,
) -> Any:  # fmt: skip
    x = convert_to_tensor(images)
    if len(x.shape) not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{name}: images with {rank} spatial axes have rank {rank + 1} (one) or {rank + 2} (a "
            f"batch), received shape {tuple(x.shape)}. Add or remove an axis."
        )
    sizes = per_axis(name, "size", size, rank)
    steps = sizes if strides is None else per_axis(name, "strides", strides, rank)
    dilated = per_axis(name, "dilation_rate", dilation, rank)
    if max(steps) > 1 and max(dilated) > 1:
        raise ValueError(
            f"{name}: strides and dilation_rate cannot both be greater than 1, received strides "
            f"{steps}, dilation_rate {dilated}. Set strides=1, or leave dilation_rate out."
        )
    single, first = len(x.shape) == rank + 1, checked_format(data_format) == "channels_first"
    x = expand_dims(x, 0) if single else x
    x = moveaxis(x, 1, -1) if first else x
    y = patches(
        x, size=sizes, strides=steps, dilation=dilated, padding=check_padding(name, padding)
    )
    y = moveaxis(y, -1, 1) if first else y
    return squeeze(y, 0) if single else y


def extract_patches(
    images: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Windows of images as channels: (N, H, W, C) -> (N, *windows, kh·kw·C), or without N.

    `size`: a number or two of them; three are of volumes, as in `extract_patches_3d`. `strides`:
    None is `size`, so that patches do not overlap. Integers stay integers.

    >>> gpunn.ops.image.extract_patches(images, 16)  # of a vision transformer
    """
    rank = len(size) if isinstance(size, Sequence) else 2
    if rank not in (2, 3):
        raise ValueError(
            f"extract_patches: size must be an integer, or two or three, received {size!r}."
        )
    return _extract(
        "extract_patches", images, size, rank, strides, dilation_rate, padding, data_format
    )


def extract_patches_3d(
    volumes: Any,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """Windows of volumes as channels: (N, D, H, W, C) -> (N, *windows, kd·kh·kw·C), or without N.

    >>> gpunn.ops.image.extract_patches_3d(volumes, (2, 3, 3))
    """
    return _extract(
        "extract_patches_3d", volumes, size, 3, strides, dilation_rate, padding, data_format
    )
