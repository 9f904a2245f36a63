"""Parity of the kernels: the GPU against the NumPy reference. `python -m gpunn check`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gpunn import config
from gpunn.autodiff.dtypes import is_float
from gpunn.backend import devices
from gpunn.backend.kernel import Kernel, registry
from gpunn.backend.routes import Route, routes_of

#: The largest |gpu - reference| / (1 + |reference|) that counts as equal.
TOLERANCES = {"bfloat16": 8e-2, "float16": 1e-2, "float32": 2e-5, "float64": 1e-11}
_OTHERS = "for other routes"
_MARK = 77  # what integer outputs hold before a kernel runs; floating ones hold NaN


class Result(NamedTuple):
    """The outcome of one kernel in one dtype."""

    kernel: str
    dtype: str
    cases: int
    max_error: float
    ok: bool
    message: str


def all_kernels() -> dict[str, Kernel]:
    """Every kernel of the package, also of modules that nobody has imported yet."""
    for name in ("gpunn.backend", "gpunn.autodiff", "gpunn.ops"):
        for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            importlib.import_module(module.name)
    return registry


def parity(kernel: Kernel, dtype: str, cupy: ModuleType, route: Route | None = None) -> Result:
    """Run all examples of a kernel in a dtype on both backends and compare every array.

    Arrays that are changed in place count, too. A kernel without CUDA source runs its reference on
    CuPy arrays. Needs a GPU that is in use (`devices.gpu()`); `cupy` makes its arrays. With a
    `route`, that one computes, and examples to which it does not apply do not count.
    """
    cases, worst, message = 0, 0.0, ""
    rng = np.random.default_rng(sum(kernel.name.encode()))
    try:
        for arrays, options in kernel.examples(rng, dtype):
            cases += 1
            error, message = _compare(kernel, arrays, options, cupy, route)
            cases -= message == _OTHERS
            message = "" if message == _OTHERS else message
            worst = max(worst, error)
            if message:
                shapes = ", ".join(str(None if a is None else a.shape) for a in arrays)
                message = f"example {cases} ({shapes}; {options}): {message}"
                break
        if not cases and route is None:
            message = "it has no examples in this dtype"
    except Exception as error:  # of any library: the other kernels shall still be checked
        message = f"example {cases}: {type(error).__name__}: {error}"
    return Result(kernel.name, dtype, cases, worst, not message, message)


def run() -> Iterator[Result]:
    """The results of all kernels on the first GPU, and of each of their routes by itself."""
    before = config.route_timing()
    config.set_route_timing(False)  # examples are too small for times that mean something
    try:
        yield from _results(devices.gpu().xp)
    finally:
        config.set_route_timing(before)


def _results(cupy: Any) -> Iterator[Result]:
    for kernel in list(all_kernels().values()):
        for dtype in kernel.dtypes:
            yield parity(kernel, dtype, cupy)
            for route in routes_of(kernel):
                result = parity(kernel, dtype, cupy, route)
                if result.cases:
                    yield result._replace(kernel=f"{kernel.name}: {route.name}")


def _compare(
    kernel: Kernel, arrays: tuple, options: dict, cupy: Any, route: Route | None
) -> tuple[float, str]:
    """The error of one example, and what is wrong with it, if anything."""
    on_host: list[Any] = [None if a is None else a.copy(order="K") for a in arrays]
    on_gpu = [None if a is None else cupy.asarray(a) for a in arrays]
    with np.errstate(all="ignore"):
        kernel.reference(np, *on_host, **options)
        if route is None:
            kernel(*on_gpu, **options)
        elif route(kernel, tuple(on_gpu), options) is NotImplemented:
            return 0.0, _OTHERS
    worst = 0.0
    for i, (before, expected, device_array) in enumerate(zip(arrays, on_host, on_gpu, strict=True)):
        if before is None:
            continue
        received = devices.to_numpy(device_array)
        name = kernel.parameters[min(i, len(kernel.parameters) - 1)]
        if marked(before).all():
            for where, after in (("the reference", expected), ("the GPU", received)):
                if marked(after).any():
                    return np.inf, f"{where} left elements of '{name}' unwritten"
        error = difference(expected, received)
        worst = max(worst, error)
        if error > TOLERANCES.get(expected.dtype.name, 0.0):
            return worst, f"'{name}' differs by {error:.3g}"
    return worst, ""


def marked(array: np.ndarray) -> np.ndarray:
    """Where an array holds the mark of an output that nobody has written (bool has none)."""
    if is_float(array.dtype):
        return np.isnan(array)
    return (array == _MARK) & (array.dtype.kind != "b")


def difference(expected: np.ndarray, received: np.ndarray) -> float:
    """max |received - expected| / (1 + |expected|); infinite where shape, NaN or ∞ disagree."""
    if expected.shape != received.shape or expected.dtype != received.dtype:
        return np.inf
    if not is_float(expected.dtype):
        return 0.0 if np.array_equal(expected, received) else np.inf
    wide, other = expected.astype(np.float64), received.astype(np.float64)
    finite = np.isfinite(wide)
    if not np.array_equal(wide[~finite], other[~finite], equal_nan=True):
        return np.inf
    relative = np.abs(other[finite] - wide[finite]) / (1 + np.abs(wide[finite]))
    return float(np.max(relative, initial=0.0)) if np.isfinite(relative).all() else np.inf
