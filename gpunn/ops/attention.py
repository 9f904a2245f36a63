"""What attention adds to matrix products: which positions may see which."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import elementwise
from gpunn.backend.devices import empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array

UNBOUNDED = 1 << 30  # more steps than any sequence has


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, before, after in (((4, 4), UNBOUNDED, 0), ((3, 7), 2, 2), ((7, 3), 0, 1)):
        out = np.asarray(rng.integers(0, 2, shape), dtype)
        yield (out,), {"columns": shape[1], "before": before, "after": after}


@kernel(
    cuda=elementwise(
        "int64 columns, int64 before, int64 after -> T out",
        "long long apart = i % columns - i / columns; out = -before <= apart && apart <= after",
    ),
    examples=_examples,
    dtypes=("bool",),
)
def fill_band(xp: Any, out: Array, columns: int, before: int, after: int) -> None:
    """out_ij = -before <= j - i <= after, for a matrix of so many columns"""
    apart = xp.arange(columns) - xp.arange(out.shape[0])[:, None]
    xp.logical_and(apart >= -before, apart <= after, out=out)


def _band_rule(x: Any, before: int = UNBOUNDED, after: int = UNBOUNDED) -> Spec:
    return Spec(tuple(x.shape[-2:]), np.dtype("bool"))


@op(shape=_band_rule)
def band(x: Array, before: int = UNBOUNDED, after: int = UNBOUNDED) -> Any:
    """(T, S) for scores x (..., T, S): True where -before <= j - i <= after.

    `after=0` is a causal mask: position i sees no later one.
    """
    out = empty(x.shape[-2:], "bool", x)
    fill_band(out, columns=x.shape[-1], before=before, after=after)
    return out, None
