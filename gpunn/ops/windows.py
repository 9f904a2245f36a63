"""Windows that slide over images: how many there are, what is padded, and where the channels stand.

Convolutions and poolings share this. Inside, images are channels-last: (N, *sizes, C) with one to
three spatial axes; `channels_first` is transposed at the op's edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpunn import config
from gpunn.arguments import is_whole
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.errors import ShapeError, unknown_name

_FORMATS = ("channels_last", "channels_first")
PADDINGS = ("valid", "same")


def data_format(value: str | None) -> str:
    """The axis order, None for the default of `gpunn.config`."""
    if value is None:
        return config.image_data_format()
    if value not in _FORMATS:
        raise unknown_name("data_format", value, _FORMATS)
    return value


def per_axis(name: str, what: str, value: Any, rank: int) -> tuple[int, ...]:
    """One positive integer for each spatial axis, of one for all or of a sequence."""
    values = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    if len(values) != rank or not all(is_whole(v, 1) for v in values):
        several = f" or {rank} of them" if rank > 1 else ""
        raise ValueError(f"{name}: {what} must be a positive integer{several}, received {value!r}.")
    return tuple(int(v) for v in values)


@dataclass(frozen=True)
class Windows:
    """The geometry along all spatial axes; fixed lengths, so it may be an option of a kernel."""

    sizes: tuple[int, ...]  # of the image
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]  # padded in front of each axis
    after: tuple[int, ...]
    out: tuple[int, ...]  # how many windows

    @property
    def are_pixels(self) -> bool:
        """Whether each window is one pixel, and each pixel has one: the images are the columns."""
        padded = any((*self.before, *self.after))
        return {*self.kernel, *self.strides} == {1} and not padded and self.out == self.sizes

    def first(self, out: tuple[int, ...]) -> Windows:
        """Only so many of the windows along each axis."""
        return replace(self, out=out)


def windows(
    name: str,
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str,
) -> Windows:
    """The windows over an image of these sizes.

    "valid": out = ⌊(n - extent) / stride⌋ + 1 with extent = dilation · (kernel - 1) + 1.
    "same": out = ⌈n / stride⌉, the padding split evenly, the odd one behind. "causal": all padding
    of "same" with stride 1 in front.
    """
    axes: Any = _axes(name, tuple(sizes), kernel, strides, dilation, padding)
    before, after, out = zip(*axes, strict=True)
    return Windows(tuple(sizes), tuple(kernel), tuple(strides), tuple(dilation), before, after, out)


def _axes(
    name: str,
    sizes: SymbolicShape,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str,
) -> list[tuple[int, int, int] | None]:
    """(before, after, out) along each axis, None where its length is unknown"""
    axes = []
    for n, k, s, d in zip(sizes, kernel, strides, dilation, strict=True):
        extent = d * (k - 1) + 1
        axis = None if n is None else _axis(n, extent, s, padding)
        if axis is not None and axis[2] < 1:
            raise ShapeError(
                f"{name}: a window of {extent} (kernel {k}, dilation {d}) does not fit into an "
                f"axis of length {n} with padding '{padding}' (image {tuple(sizes)}, kernel "
                f"{tuple(kernel)}). Make the image larger, the kernel smaller, or use "
                f"padding='same'."
            )
        axes.append(axis)
    return axes


def _axis(n: int, extent: int, stride: int, padding: str) -> tuple[int, int, int]:
    """(before, after, out) along one axis"""
    if padding == "same":
        out = -(-n // stride)
        total = max((out - 1) * stride + extent - n, 0)
        return total // 2, total - total // 2, out
    front = extent - 1 if padding == "causal" else 0
    return front, 0, (n + front - extent) // stride + 1


def windowed_sizes(
    name: str,
    sizes: SymbolicShape,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str,
) -> SymbolicShape:
    """How many windows there are along each axis, None where the length is unknown."""
    axes = _axes(name, sizes, kernel, strides, dilation, padding)
    return tuple(None if axis is None else axis[2] for axis in axes)


def check_padding(name: str, padding: Any, allowed: tuple[str, ...] = PADDINGS) -> str:
    """The padding in lower case."""
    if isinstance(padding, str) and padding.lower() in allowed:
        return padding.lower()
    error = unknown_name(f"padding of {name}", padding, allowed)
    if not isinstance(padding, str):
        error = ValueError(f"{error} For widths of your own use ops.pad or ZeroPadding2D before.")
    raise error


def split_shape(shape: SymbolicShape, order: str) -> tuple[Any, SymbolicShape, Any]:
    """(N, sizes, C) of the shape of a batch of images."""
    if order == "channels_last":
        return shape[0], tuple(shape[1:-1]), shape[-1]
    return shape[0], tuple(shape[2:]), shape[1]


def joined_shape(batch: Any, sizes: SymbolicShape, channels: Any, order: str) -> SymbolicShape:
    """The shape of a batch of images in this order."""
    if order == "channels_last":
        return (batch, *sizes, channels)
    return (batch, channels, *sizes)


def launch_geometry(geometry: Windows) -> tuple[np.int32, ...]:
    """The numbers of `Geometry` in kernels/windows.cuh: fewer axes are filled up with length 1."""
    missing = 3 - len(geometry.sizes)
    fields = (
        (geometry.sizes, 1), (geometry.kernel, 1), (geometry.strides, 1), (geometry.dilation, 1),
        (geometry.before, 0), (geometry.out, 1),
    )  # fmt: skip
    return tuple(np.int32(v) for values, one in fields for v in ((one,) * missing + values))
