"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.errors import ShapeError
from gpunn.ops import reduce
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import moveaxis, ravel

# --- kernels ---


def _length(rows: int | None, columns: int | None, k: int) -> int | None:
    """How many elements diagonal k has."""
    if rows is None or columns is None:
        return None
    return max(0, min(rows, columns - k) if k >= 0 else min(rows + k, columns))


def _diagonal_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in ((4, 4), (2, 3, 5)):
        for k in (-1, 0, 2, 9):
            y = normal(rng, shape, dtype).diagonal(k, -2, -1).copy()
            yield normal(rng, shape, dtype), y, {"k": k}


def _read_examples(rng: np.random.Generator, dtype: str) -> Any:
    for x, y, options in _diagonal_examples(rng, dtype):
        yield (x, unwritten(y.shape, dtype)), options


@kernel(examples=_read_examples, dtypes=(*FLOATS, "int32"))
def read_diagonal(xp: Any, x: Array, out: Array, k: int) -> None:
    """out[..., i] = x[..., i, i + k], or x[..., i - k, i] for a negative k"""
    i = xp.arange(out.shape[-1])
    out[...] = x[..., i + max(0, -k), i + max(0, k)]


def _write_examples(rng: np.random.Generator, dtype: str) -> Any:
    for x, y, options in _diagonal_examples(rng, dtype):
        yield (y, unwritten(x.shape, dtype)), options


@kernel(examples=_write_examples, dtypes=(*FLOATS, "int32"))
def write_diagonal(xp: Any, x: Array, out: Array, k: int) -> None:
    """out = 0, but x on diagonal k of the last two axes"""
    out.fill(0)
    i = xp.arange(x.shape[-1])
    out[..., i + max(0, -k), i + max(0, k)] = x


def within_band(xp: Any, shape: tuple[int, ...], k: int, band: str) -> Array:
    """Where a matrix is on, below or above diagonal k."""
    offset = xp.arange(shape[-1]) - xp.arange(shape[-2])[:, None]
    return offset <= k if band == "lower" else offset >= k if band == "upper" else offset == k


def _band_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in ((4, 4), (2, 3, 5), (0, 2)):
        for k, band in ((-1, "lower"), (0, "upper"), (1, "diagonal")):
            yield (normal(rng, shape, dtype), unwritten(shape, dtype)), {"k": k, "band": band}


@kernel(examples=_band_examples, dtypes=(*FLOATS, "int32"))
def keep_band(xp: Any, x: Array, out: Array, k: int, band: str) -> None:
    """out = x on and below ("lower") or above ("upper") diagonal k, else 0"""
    xp.copyto(out, xp.where(within_band(xp, x.shape, k, band), x, x.dtype.type(0)))


# --- ops ---


def _read_rule(x: Any, k: int) -> Spec:
    if len(x.shape) < 2:
        raise ShapeError(f"diagonal: x needs at least 2 axes, received {tuple(x.shape)}.")
    rows, columns = x.shape[-2:]
    return Spec((*x.shape[:-2], _length(rows, columns, k)), as_dtype(x.dtype))


@op(shape=_read_rule)
def _diagonal(x: Array, k: int) -> Any:
    """Of the last two axes."""
    y = empty(_read_rule(x, k).shape, x.dtype, x)
    read_diagonal(x, y, k=k)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        write_diagonal(dy, dx, k=k)
        return dx

    return y, (gradient,)


def _write_rule(x: Any, k: int) -> Spec:
    n = None if x.shape[-1] is None else x.shape[-1] + abs(k)
    return Spec((*x.shape[:-1], n, n), as_dtype(x.dtype))


@op(shape=_write_rule)
def _matrix_of(x: Array, k: int) -> Any:
    """The matrices with diagonals x."""
    y = empty(_write_rule(x, k).shape, x.dtype, x)
    write_diagonal(x, y, k=k)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        read_diagonal(dy, dx, k=k)
        return dx

    return y, (gradient,)


def _band_rule(x: Any, k: int, band: str) -> Spec:
    if len(x.shape) < 2:
        name = "tril" if band == "lower" else "triu"
        raise ShapeError(f"{name}: x needs at least 2 axes, received {tuple(x.shape)}.")
    return Spec(tuple(x.shape), as_dtype(x.dtype))


@op(shape=_band_rule)
def _band(x: Array, k: int, band: str) -> Any:
    y = empty_like(x)
    keep_band(x, y, k=k, band=band)

    def gradient(dy: Array) -> Array:
        dx = empty_like(dy)
        keep_band(dy, dx, k=k, band=band)
        return dx

    return y, (gradient,)


# --- functions ---


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal of the matrices that lie along two axes, as the last axis of y.

    y[..., i] = x[i, i + offset, ...], for axis1 and axis2 in front.

    >>> gpunn.ops.diagonal([[1, 2], [3, 4]])
    """
    x = convert_to_tensor(x)
    axes = [normalize_axis("diagonal", a, len(x.shape)) for a in (axis1, axis2)]
    if axes[0] == axes[1]:
        raise ShapeError(f"diagonal: axis1 and axis2 are both {axis1}. Name two axes.")
    return _diagonal(moveaxis(x, axes, (-2, -1)), k=offset)


def diag(x: Any, k: int = 0) -> Any:
    """The diagonal k of a matrix, or, of a vector, the matrix whose diagonal k it is.

    >>> gpunn.ops.diag([1, 2])
    """
    x = convert_to_tensor(x)
    if len(x.shape) not in (1, 2):
        raise ShapeError(
            f"diag: x must be a vector or a matrix, received {tuple(x.shape)}. For stacks of "
            f"matrices, use diagonal."
        )
    return _matrix_of(x, k=k) if len(x.shape) == 1 else _diagonal(x, k=k)


def diagflat(x: Any, k: int = 0) -> Any:
    """The matrix whose diagonal k holds the elements of x.

    >>> gpunn.ops.diagflat([[1, 2], [3, 4]]).shape  # (4, 4)
    """
    return _matrix_of(ravel(x), k=k)


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Σ_i x[i, i + offset, ...] over the `diagonal`; bool and small integers as 32-bit integers.

    >>> gpunn.ops.trace([[1, 2], [3, 4]])
    """
    return reduce.sum(diagonal(x, offset, axis1, axis2), axis=-1)


def tril(x: Any, k: int = 0) -> Any:
    """x on and below diagonal k of the last two axes, else 0.

    >>> gpunn.ops.tril([[1, 2], [3, 4]])
    """
    return _band(x, k=k, band="lower")


def triu(x: Any, k: int = 0) -> Any:
    """x on and above diagonal k of the last two axes, else 0.

    >>> gpunn.ops.triu([[1, 2], [3, 4]])
    """
    return _band(x, k=k, band="upper")
