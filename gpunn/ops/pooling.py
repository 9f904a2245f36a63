"""Pooling: the maximum or the mean of windows that slide over the spatial axes of images.

Images are channels-last inside, (N, *sizes, C) with one to three spatial axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any, NamedTuple

from gpunn.autodiff.dtypes import to_float
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec, SymbolicShape
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into
from gpunn.errors import ShapeError
from gpunn.ops import pool_kernels as kernels
from gpunn.ops import windows as geometry
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.pool_windows import Axes, Axis
from gpunn.ops.shaping import moveaxis

_WHOLE = Axis(1, 1, 1, 1)  # of the axes that an image does not have


class Sliding(NamedTuple):
    """Windows of one size, `strides` apart."""

    name: str
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str

    def lengths(self, sizes: SymbolicShape) -> SymbolicShape:
        """How many windows there are along each axis, None where that is unknown."""
        dense = (1,) * len(sizes)
        return geometry.windowed_sizes(
            self.name, sizes, self.sizes, self.strides, dense, self.padding
        )

    def reach(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """How far the windows reach into axes of these lengths: "valid" ones may leave a rest."""
        ends = ((a.out - 1) * a.step + a.extent - a.before for a in self.axes(sizes))
        return tuple(map(min, ends, sizes))

    def axes(self, sizes: tuple[int, ...]) -> tuple[Axis, ...]:
        """The windows along each axis."""
        dense = (1,) * len(sizes)
        found = geometry.windows(self.name, sizes, self.sizes, self.strides, dense, self.padding)
        before = found.before
        return tuple(
            Axis(n, out, step, size, 1, front)
            for n, out, step, size, front in zip(
                sizes, found.out, self.strides, self.sizes, before, strict=True
            )
        )


class Adaptive(NamedTuple):
    """`out` windows that divide one axis of n, [⌊i·n/out⌋, ⌈(i + 1)·n/out⌉); the others stay."""

    name: str
    axis: int
    out: int

    def lengths(self, sizes: SymbolicShape) -> SymbolicShape:
        """How many windows there are along each axis, None where that is unknown."""
        return (*sizes[: self.axis], self.out, *sizes[self.axis + 1 :])

    def axes(self, sizes: tuple[int, ...]) -> tuple[Axis, ...]:
        """The windows along each axis."""
        divisor = gcd(sizes[self.axis], self.out)
        step, parts = sizes[self.axis] // divisor, self.out // divisor
        divided = Axis(sizes[self.axis], self.out, step, step, parts)
        return tuple(divided if d == self.axis else Axis(n, n, 1, 1) for d, n in enumerate(sizes))


Pools = Sliding | Adaptive


def _rule(x: Any, pools: Pools) -> Spec:
    if 0 in x.shape[1:-1]:
        raise ShapeError(
            f"{pools.name}: a spatial axis has length 0 (channels-last shape {tuple(x.shape)}). "
            f"Check the data."
        )
    shape = (x.shape[0], *pools.lengths(tuple(x.shape[1:-1])), x.shape[-1])
    return Spec(shape, to_float(x.dtype))


def _packed(x: Array, shape: tuple[int, ...]) -> Array:
    """x in this shape, C-contiguous; a copy if it is not."""
    if not x.flags.c_contiguous:
        copy = empty_like(x)
        copy_into(x, copy)
        x = copy
    return x.reshape(shape)


def volumes(shape: tuple[int, ...], pools: Pools) -> tuple[Axes, tuple[int, ...], tuple[int, ...]]:
    """The windows of the three axes, the shapes of x and y with all three."""
    n, *sizes, channels = shape
    axes: Any = (_WHOLE,) * (3 - len(sizes)) + pools.axes(tuple(sizes))
    return axes, (n, *(a.n for a in axes), channels), (n, *(a.out for a in axes), channels)


@op(shape=_rule, promotes="float")
def _max_pool(x: Array, pools: Pools) -> Any:
    axes, shape, pooled = volumes(x.shape, pools)
    y = empty(pooled, x.dtype, x)
    index = empty(pooled, kernels.index_dtype(axes), x)
    kernels.max_pool_forward(_packed(x, shape), y, index, axes=axes)

    def gradient(dy: Array) -> Array:
        dx = empty(shape, dy.dtype, dy)
        kernels.max_pool_backward(_packed(dy, pooled), index, dx, axes=axes)
        return dx.reshape(x.shape)

    return y.reshape(_rule(x, pools).shape), (gradient,)


@op(shape=_rule, promotes="float")
def _average_pool(x: Array, pools: Pools) -> Any:
    axes, shape, pooled = volumes(x.shape, pools)
    y = empty(pooled, x.dtype, x)
    kernels.average_pool_forward(_packed(x, shape), y, axes=axes)

    def gradient(dy: Array) -> Array:
        dx = empty(shape, dy.dtype, dy)
        kernels.average_pool_backward(_packed(dy, pooled), dx, axes=axes)
        return dx.reshape(x.shape)

    return y.reshape(_rule(x, pools).shape), (gradient,)


def _channels_last(name: str, inputs: Any, data_format: str | None) -> tuple[Any, bool]:
    """The images in channels-last order, and whether they had another one."""
    x = convert_to_tensor(inputs)
    if not 3 <= len(x.shape) <= 5:
        raise ShapeError(
            f"{name}: inputs must have a batch axis, one to three spatial axes and channels, "
            f"received shape {tuple(x.shape)}. Add the missing axes with ops.expand_dims."
        )
    first = geometry.data_format(data_format) == "channels_first"
    return (moveaxis(x, 1, -1) if first else x), first


def _sliding(
    name: str, run: Any, inputs: Any, pool_size: Any, strides: Any, padding: str, order: str | None
) -> Any:
    x, first = _channels_last(name, inputs, order)
    rank = len(x.shape) - 2
    sizes = geometry.per_axis(name, "pool_size", pool_size, rank)
    steps = sizes if strides is None else geometry.per_axis(name, "strides", strides, rank)
    y = run(x, pools=Sliding(name, sizes, steps, geometry.check_padding(name, padding)))
    return moveaxis(y, -1, 1) if first else y


def _adaptive(name: str, run: Any, inputs: Any, output_size: Any, order: str | None) -> Any:
    """One axis after the other, the last first: the first maximum stays the first."""
    x, first = _channels_last(name, inputs, order)
    sizes = geometry.per_axis(name, "output_size", output_size, len(x.shape) - 2)
    for axis, out in reversed(list(enumerate(sizes))):
        if out != x.shape[axis + 1]:
            x = run(x, pools=Adaptive(name, axis, out))
    return moveaxis(x, -1, 1) if first else x


def max_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """y_o = max of the window o; the gradient goes to its first maximum.

    (N, *sizes, C) -> (N, *out, C) with one to three spatial axes. `padding`: "valid" (only whole
    windows) or "same" (⌈size / stride⌉ windows, whose part outside of the image does not count).

    >>> gpunn.ops.max_pool(images, 2)  # (N, H, W, C) -> (N, H // 2, W // 2, C)
    """
    return _sliding("max_pool", _max_pool, inputs, pool_size, strides, padding, data_format)


def average_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Any:
    """y_o = mean of the part of window o that lies in the image. Shapes as in `max_pool`.

    >>> gpunn.ops.average_pool(images, 3, strides=2, padding="same")
    """
    return _sliding("average_pool", _average_pool, inputs, pool_size, strides, padding, data_format)


def adaptive_max_pool(
    inputs: Any, output_size: int | Sequence[int], data_format: str | None = None
) -> Any:
    """y_o = max over [⌊o·n/out⌋, ⌈(o + 1)·n/out⌉) of each spatial axis: (N, *output_size, C).

    >>> gpunn.ops.adaptive_max_pool(images, (7, 7))
    """
    return _adaptive("adaptive_max_pool", _max_pool, inputs, output_size, data_format)


def adaptive_average_pool(
    inputs: Any, output_size: int | Sequence[int], data_format: str | None = None
) -> Any:
    """y_o = mean over [⌊o·n/out⌋, ⌈(o + 1)·n/out⌉) of each spatial axis: (N, *output_size, C).

    >>> gpunn.ops.adaptive_average_pool(images, 1)
    """
    return _adaptive("adaptive_average_pool", _average_pool, inputs, output_size, data_format)


__all__ = ["adaptive_average_pool", "adaptive_max_pool", "average_pool", "max_pool"]
