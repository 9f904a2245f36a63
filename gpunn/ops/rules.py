"""Shape rules shared by ops: they check, name what disagrees, and infer; None is unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gpunn.arguments import as_tuple
from gpunn.autodiff.dtypes import as_dtype, is_float, promote, to_float
from gpunn.autodiff.symbolic import Spec, SymbolicShape
from gpunn.errors import ShapeError


def shape_of(x: Any) -> SymbolicShape:
    """The shape of a tensor or array; () of a number."""
    return getattr(x, "shape", ())


def broadcast_shapes(name: str, *shapes: SymbolicShape) -> SymbolicShape:
    """NumPy's broadcasting; an unknown length wins over 1 and yields to a known length."""
    result: list[int | None] = []
    for axis in range(1, max(map(len, shapes)) + 1):
        lengths = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1}
        known = lengths - {None}
        if len(known) > 1:
            listed = " and ".join(str(tuple(shape)) for shape in shapes)
            raise ShapeError(
                f"{name}: shapes {listed} do not broadcast: axis -{axis} has lengths "
                f"{sorted(known)}. Each must be equal or 1; reshape or transpose one of them."
            )
        result.insert(0, known.pop() if known else None if lengths else 1)
    return tuple(result)


def result_dtype(*inputs: Any) -> Any:
    """The dtype of an expression; Python numbers are weak."""
    dtypes = {x.dtype for x in inputs if hasattr(x, "dtype")}
    dtype = promote(*dtypes) if len(dtypes) != 1 else as_dtype(dtypes.pop())
    if not is_float(dtype) and any(type(x) is float for x in inputs):
        return to_float(dtype)
    return dtype


def broadcast(name: str, dtype: Any = None) -> Callable[..., Spec]:
    """The rule of an elementwise op of several inputs."""

    def rule(*inputs: Any, **_: Any) -> Spec:
        first, *rest = [shape_of(x) for x in inputs]
        shape = first if all(s in (first, ()) for s in rest) else None
        if shape is None:
            shape = broadcast_shapes(name, first, *rest)
        return Spec(shape, result_dtype(*inputs) if dtype is None else as_dtype(dtype))

    return rule


def normalize_axis(name: str, axis: int, ndim: int) -> int:
    """A non-negative axis."""
    if not hasattr(axis, "__index__"):
        raise TypeError(f"{name}: an axis is an integer, received {axis!r}.")
    if not -ndim <= axis < ndim:
        remedy = f"Use {-ndim} to {ndim - 1}." if ndim else "A single number has no axes."
        raise ShapeError(f"{name}: axis {axis} does not exist in {ndim} dimension(s). {remedy}")
    return int(axis) % ndim


def normalize_axes(name: str, axis: int | Iterable[int] | None, ndim: int) -> tuple[int, ...]:
    """Sorted non-negative axes; None means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = as_tuple(axis)
    normal = sorted(normalize_axis(name, a, ndim) for a in axes)
    if len(set(normal)) != len(normal):
        raise ShapeError(f"{name}: an axis is named twice in {axes}. Name each once.")
    return tuple(normal)


def reduced_shape(shape: SymbolicShape, axes: tuple[int, ...], keepdims: bool) -> SymbolicShape:
    """The shape after a reduction over `axes`."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)
