"""Example inputs that kernels bring along for the parity suite and `python -m gpunn check`.

Outputs are filled with NaN (or a mark), so that an element which is not written shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import is_float

SHAPES: tuple[tuple[int, ...], ...] = ((), (0, 3), (7,), (5, 33), (3, 4, 65))

Example = tuple[tuple, dict]


def unwritten(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An output buffer in which unwritten elements can be seen."""
    dtype = np.dtype(dtype)
    return np.full(shape, np.nan if is_float(dtype) else 77, dtype)


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Standard normal numbers, as an array also for shape ()."""
    return np.asarray(rng.standard_normal(shape), dtype)


def unary(
    low: float = -3.0, high: float = 3.0, inputs: int = 1, /, **options: Any
) -> Callable[[np.random.Generator, str], Iterable[Example]]:
    """Examples of an elementwise kernel with some inputs of one shape and one output."""

    def examples(rng: np.random.Generator, dtype: str) -> Iterable[Example]:
        for shape in SHAPES:
            arrays = [np.asarray(rng.uniform(low, high, shape), dtype) for _ in range(inputs)]
            yield (*arrays, unwritten(shape, dtype)), options

    return examples


def broadcasting(
    low: float = -3.0, high: float = 3.0, out_dtype: Any = None
) -> Callable[[np.random.Generator, str], Iterable[Example]]:
    """Examples of an elementwise kernel of two inputs that broadcast."""

    def examples(rng: np.random.Generator, dtype: str) -> Iterable[Example]:
        for a, b in (((), ()), ((4, 5), (5,)), ((3, 1), (1, 4)), ((0, 2), (2,)), ((6,), (6,))):
            x = np.asarray(rng.uniform(low, high, a), dtype)
            y = np.asarray(rng.uniform(low, high, b), dtype)
            yield (x, y, unwritten(np.broadcast_shapes(a, b), out_dtype or dtype)), {}

    return examples
