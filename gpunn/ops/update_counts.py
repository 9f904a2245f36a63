"""Counts and switches of optimizers, which change on the device: no step asks the host for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.backend.cuda import elementwise
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array


@kernel(
    cuda=elementwise("raw bool go -> T x", "x += go[0] ? 1 : 0"),
    examples=lambda rng, dtype: [
        ((np.array([go]), np.array(5, dtype)), {}) for go in (True, False)
    ],
    dtypes=("int32",),
)
def increment(xp: Any, go: Array, x: Array) -> None:
    """x += 1, where `go` is True"""
    x += go[0]


@kernel(
    cuda=elementwise(
        "bool run, T step, int32 every -> T made, bool due",
        "made = step / every; due = run && (step + 1) % every == 0",
    ),
    examples=lambda rng, dtype: [
        ((np.array([run]), *np.array([[step], [77]], dtype), np.array([False])), {"every": 3})
        for run, step in ((True, 5), (True, 6), (False, 5))
    ],
    dtypes=("int32",),
)
def count_updates(xp: Any, run: Array, step: Array, made: Array, due: Array, every: int) -> None:
    """made = ⌊step / every⌋; due: whether this step is the last one of `every`, and `run`"""
    xp.floor_divide(step, every, out=made)
    due[...] = run & ((step + 1) % every == 0)


@kernel(
    cuda=elementwise(  # volatile: several threads may write, all of them the same
        "T g -> raw bool finite",
        "if (!(g - g == T(0))) *(volatile bool*)&finite[0] = false",
    ),
    examples=lambda rng, dtype: [
        ((np.array([1, value, value, 3], dtype), np.array([before])), {})
        for value in (2, np.inf, np.nan)
        for before in (True, False)
    ],
    dtypes=("float32",),
)
def check_finite(xp: Any, g: Array, finite: Array) -> None:
    """finite = False where an element of g is ∞ or NaN"""
    finite &= xp.isfinite(g).all()


@kernel(
    cuda=elementwise(
        "raw bool finite, int32 growth_steps -> int32 count, T scale",
        "bool grown = finite[0] && count + 1 >= growth_steps;"
        "count = finite[0] && !grown ? count + 1 : 0;"
        "scale *= grown ? T(2) : finite[0] ? T(1) : T(0.5)",
    ),
    examples=lambda rng, dtype: [
        ((np.array([finite]), np.array(n, "int32"), np.array(8, dtype)), {"growth_steps": 4})
        for finite, n in ((True, 0), (True, 3), (False, 2))
    ],
    dtypes=("float32",),
)
def adjust_loss_scale(
    xp: Any, finite: Array, count: Array, scale: Array, growth_steps: int
) -> None:
    """scale *= 2 after `growth_steps` finite steps in a row, scale /= 2 after one that is not"""
    grown = finite[0] & (count + 1 >= growth_steps)
    count[...] = xp.where(finite[0] & ~grown, count + 1, 0)
    scale *= xp.where(grown, 2, xp.where(finite[0], 1, 0.5)).astype(scale.dtype)


@kernel(
    cuda=elementwise(
        "raw T table, int32 step, int32 start -> T rate", "rate = table[step - start]"
    ),
    examples=lambda rng, dtype: [
        ((np.arange(8, dtype=dtype), *np.array([12, 10], "int32"), np.array(77, dtype)), {})
    ],
    dtypes=("float32",),
)
def pick_rate(xp: Any, table: Array, step: Array, start: Array, rate: Array) -> None:
    """rate = table[step - start]"""
    rate[...] = table[step - start]
