"""The table of the op suite: for every op, inputs, options, and an independent oracle.

An op family may bring its own file `cases_<family>.py` that calls `add`. Oracles are Python loops
and `math`, or NumPy functions that the op itself is not made of.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gpunn import check
from gpunn.autodiff.op import registry

check.all_kernels()  # imports all modules, which registers all ops


@dataclass
class Case:
    """One use of an op.

    `call` takes what `inputs` makes of a random generator: float64 arrays, which the suite casts,
    or others, which stay. `oracle` takes the same in NumPy and gives the expected value.
    `differentiable`: the inputs with a gradient. `batch`: the inputs whose first axis may have an
    unknown length. `result`: the dtype of the result where it is not that of the inputs.
    """

    op: str
    label: str
    call: Callable[..., Any]
    inputs: Callable[[np.random.Generator], tuple]
    oracle: Callable[..., Any]
    differentiable: tuple[int, ...] = (0,)
    batch: tuple[int, ...] = (0,)
    result: str | None = None
    tolerance: float = 1e-10
    options: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.op}-{self.label}"

    def arrays(self, dtype: str = "float64") -> tuple:
        """The inputs in this float type, the same ones each time."""
        arrays = self.inputs(np.random.default_rng(sum(repr(self).encode())))
        return tuple(
            a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype == np.float64 else a
            for a in arrays
        )


CASES: dict[str, list[Case]] = defaultdict(list)


def add(op: str, label: str, inputs: Any, oracle: Callable, call: Any = None, **more: Any) -> None:
    """Add a case; `call` is the op itself unless given, with `options`."""
    options = more.get("options", {})
    function = call or (lambda *xs: registry[op](*xs, **options))
    CASES[op].append(Case(op, label, function, inputs, oracle, **more))


def uniform(*shapes: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> Callable:
    """Inputs of these shapes from U[low, high)."""
    return lambda rng: tuple(np.asarray(rng.uniform(low, high, s)) for s in shapes)


def loop(function: Callable[..., float]) -> Callable[..., np.ndarray]:
    """A function of numbers, applied to each element of arrays that broadcast."""

    def oracle(*arrays: Any) -> np.ndarray:
        parts = np.broadcast_arrays(*arrays)
        flat = [function(*values) for values in zip(*(p.ravel().tolist() for p in parts))]
        return np.array(flat).reshape(parts[0].shape)

    return oracle


def rows(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """A function of rows (lists), applied along the last axis of the first array."""

    def oracle(x: np.ndarray, *others: np.ndarray) -> np.ndarray:
        flat = x.reshape(-1, x.shape[-1]).tolist()
        more = [
            o.reshape(len(flat), -1).squeeze(-1).tolist()
            if o.ndim < x.ndim
            else o.reshape(-1, o.shape[-1]).tolist()
            for o in others
        ]
        values = [function(*parts) for parts in zip(flat, *more)]
        shape = x.shape if isinstance(values[0], list) else x.shape[:-1]
        return np.array(values).reshape(shape)

    return oracle


def elements(shape, pick):
    """The array with pick(index) at each index."""
    out = np.empty(shape)
    for index in np.ndindex(*shape):
        out[index] = pick(index)
    return out


def load() -> dict[str, list[Case]]:
    """All cases of all families."""
    for path in sorted(Path(__file__).parent.glob("cases_*.py")):
        importlib.import_module(f"tests.ops.{path.stem}")
    return CASES
