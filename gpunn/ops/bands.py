"""Matrices that are made of a few numbers: eye, identity, tri, vander."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import Spec
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.errors import ShapeError
from gpunn.ops.arithmetic import power
from gpunn.ops.composite import composite
from gpunn.ops.diagonals import within_band
from gpunn.ops.examples import unwritten
from gpunn.ops.ranges import arange
from gpunn.ops.shaping import expand_dims


def _ones_examples(rng: np.random.Generator, dtype: str) -> Any:
    for k, band in ((-1, "lower"), (0, "upper"), (1, "diagonal")):
        yield (unwritten((3, 5), dtype),), {"k": k, "band": band}


@kernel(examples=_ones_examples, dtypes=(*FLOATS, "int32", "bool"))
def ones_in_band(xp: Any, out: Array, k: int, band: str) -> None:
    """out = 1 on diagonal k, and below or above it, else 0"""
    xp.copyto(out, within_band(xp, out.shape, k, band), casting="unsafe")


def _ones(rows: Any, columns: Any, k: int, dtype: Any, band: str) -> Tensor:
    shape = (int(rows), int(rows if columns is None else columns))
    out = devices.current().empty(shape, as_dtype(dtype))
    ones_in_band(out, k=int(k), band=band)
    return Tensor(out)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """The (N, M) matrix with ones on and below diagonal k, else 0.

    >>> gpunn.ops.tri(3)
    """
    return _ones(N, M, k, dtype, "lower")


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """The (N, M) matrix with ones on diagonal k, else 0.

    >>> gpunn.ops.eye(2)
    """
    if isinstance(N, float):
        raise TypeError(f"eye: N must be an integer, received {N!r}.")
    return _ones(N, M, k, dtype, "diagonal")


def identity(n: int, dtype: Any = None) -> Tensor:
    """The (n, n) matrix with ones on its diagonal, else 0.

    >>> gpunn.ops.identity(2)
    """
    return eye(n, dtype=dtype)


def _vander_rule(x: Any, n: int | None, increasing: bool) -> Spec:
    if len(x.shape) != 1:
        raise ShapeError(f"vander: x must be a vector, received {tuple(x.shape)}. Flatten it.")
    return Spec((x.shape[0], x.shape[0] if n is None else n), as_dtype(x.dtype))


@composite(_vander_rule)
def _vander(x: Any, n: int | None, increasing: bool) -> Any:
    count = x.shape[0] if n is None else n
    first, step = (0, 1) if increasing else (count - 1, -1)
    exponents = arange(first, first + step * count, step, dtype=x.dtype)
    return power(expand_dims(x, -1), exponents)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix: its columns are x^(N - 1), ..., x, 1, or 1, x, ... if `increasing`.

    x (n,) -> (n, N), N = n unless given. Differentiates by x.

    >>> gpunn.ops.vander([1, 2, 3])
    """
    return _vander(x, n=None if N is None else int(N), increasing=bool(increasing))
