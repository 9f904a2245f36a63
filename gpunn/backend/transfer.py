"""The kernels that only move values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gpunn.backend.devices import empty
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array, Backend


def _copy_examples(rng: np.random.Generator, dtype: str) -> Iterable[tuple[tuple, dict]]:
    x = rng.standard_normal((4, 5)).astype(dtype)
    for target in ("float32", "float64", "int32", "bool"):
        yield (x, np.full((4, 5), 77, target)), {}
    yield (x.T, np.full((5, 4), 77, dtype)), {}
    yield (x[:1], np.full((4, 5), 77, dtype)), {}


@kernel(examples=_copy_examples)
def copy_into(xp: Any, x: Array, out: Array) -> None:
    """out = x, cast to the dtype of `out` and broadcast to its shape"""
    xp.copyto(out, x, casting="unsafe")


def packed(x: Array, dtype: Any = None) -> Array:
    """x itself where it is C-contiguous and of this dtype, else a copy that is.

    A recording sees this copy, but not the one that `reshape` makes of a strided array.
    """
    dtype = x.dtype if dtype is None else dtype
    if x.flags.c_contiguous and x.dtype == dtype:
        return x
    out = empty(x.shape, dtype, x)
    copy_into(x, out)
    return out


def _fill_examples(rng: np.random.Generator, dtype: str) -> Iterable[tuple[tuple, dict]]:
    for shape in ((), (0, 3), (5, 7)):
        yield (np.full(shape, 77, dtype),), {"value": 2}


@kernel(examples=_fill_examples, dtypes=(*FLOATS, "int32"))
def fill(xp: Any, out: Array, value: float) -> None:
    """out = value, everywhere"""
    out.fill(value)


MOST_CONSTANTS = 64  # elements that are worth a kernel each


def constant(values: np.ndarray, backend: Backend) -> Array:
    """A few values of the host, written by kernels, so that a recording repeats it."""
    out = backend.empty(values.shape, values.dtype)
    places = out.reshape(-1)
    for i, value in enumerate(values.reshape(-1).tolist()):
        fill(places[i : i + 1], value=value)
    return out
