"""Comparisons, logic and choice. Comparisons give bool and have no derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec, SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import SHAPES, broadcasting, normal, unwritten
from gpunn.ops.reduce import sum_to
from gpunn.ops.rules import broadcast, broadcast_shapes, result_dtype, shape_of


def _comparison(name: str, symbol: str, numpy_name: str | None = None) -> Callable[..., Any]:
    """z = x <symbol> y, elementwise, by the array module's function."""

    def reference(xp: Any, x: Array, y: Array, out: Array) -> None:
        getattr(xp, numpy_name or name)(x, y, out=out)

    reference.__name__, reference.__doc__ = f"{name}_forward", f"out = x {symbol} y"
    run = kernel(examples=broadcasting(out_dtype="bool"), dtypes=(*FLOATS, "int32"))(reference)
    rule = broadcast(name, "bool")

    def function(x1: Array, x2: Array) -> Any:
        like = x1 if hasattr(x1, "shape") else x2
        out = empty(rule(x1, x2).shape, "bool", like)
        run(x1, x2, out)
        return out, None

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"z = x1 {symbol} x2, elementwise, bool."
    return op(shape=rule, promotes="common")(function)


equal = _comparison("equal", "==")
not_equal = _comparison("not_equal", "!=")
less = _comparison("less", "<")
less_equal = _comparison("less_equal", "<=")
greater = _comparison("greater", ">")
greater_equal = _comparison("greater_equal", ">=")
logical_and = _comparison("logical_and", "and")
logical_or = _comparison("logical_or", "or")
logical_xor = _comparison("logical_xor", "xor")


def _predicate(name: str, doc: str) -> Callable[..., Any]:
    """y = <name>(x), elementwise, bool."""

    def reference(xp: Any, x: Array, out: Array) -> None:
        getattr(xp, name)(x, out=out)

    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for shape in SHAPES:
            x = normal(rng, shape, dtype)
            if x.size > 3 and x.dtype.kind == "f":
                x.flat[:3] = np.nan, np.inf, 0
            yield (x, unwritten(shape, "bool")), {}

    reference.__name__, reference.__doc__ = f"{name}_forward", doc
    run = kernel(examples=examples)(reference)

    def function(x: Array) -> Any:
        out = empty(x.shape, "bool", x)
        run(x, out)
        return out, None

    function.__name__, function.__qualname__, function.__doc__ = name, name, doc
    return op(shape=lambda x: Spec(x.shape, np.dtype("bool")))(function)


isnan = _predicate("isnan", "y = x is NaN")
isinf = _predicate("isinf", "y = x is infinite")
isfinite = _predicate("isfinite", "y = x is finite")
signbit = _predicate("signbit", "y = the sign of x is negative, that of -0 too")
logical_not = _predicate("logical_not", "y = not x")


def _where_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in ((), (5, 7)):
        x, y = normal(rng, shape, dtype), normal(rng, shape, dtype)
        yield (np.asarray(x > 0), x, y, unwritten(shape, dtype)), {}


@kernel(examples=_where_examples)
def select(xp: Any, condition: Array, x: Any, y: Any, out: Array) -> None:
    """out = x where the condition holds, else y"""
    xp.copyto(out, xp.where(condition, x, y), casting="unsafe")


def _where_rule(condition: Any, x: Any, y: Any) -> Spec:
    shape = broadcast_shapes("where", shape_of(condition), shape_of(x), shape_of(y))
    return Spec(shape, result_dtype(x, y))


@op(shape=_where_rule)
def _where(condition: Array, x: Array, y: Array) -> Any:
    spec = _where_rule(condition, x, y)
    out = empty(spec.shape, spec.dtype, condition)
    select(condition, x, y, out)

    def gradients(dz: Array, needed: tuple[bool, ...]) -> tuple:
        dx = dy = None
        if needed[1]:
            part = empty_like(dz)
            select(condition, dz, 0, part)
            dx = sum_to(part, x.shape)
        if needed[2]:
            part = empty_like(dz)
            select(condition, 0, dz, part)
            dy = sum_to(part, y.shape)
        return None, dx, dy

    return out, Joint(gradients)


def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """y = x1 where the condition holds, else x2; all three broadcast.

    Of the condition alone: the positions where it holds, as `nonzero`.

    >>> gpunn.ops.where([True, False], 1.0, 2.0)
    """
    from gpunn.ops.creation import cast

    if x1 is None and x2 is None:
        from gpunn.ops.values import nonzero

        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError("where: x1 and x2 go together. Give both, or none of them.")
    x, y = (float(v) if type(v) is np.float64 else v for v in (x1, x2))  # weak, as in `op`
    like = next((v.data for v in (condition, x, y) if isinstance(v, Tensor)), None)
    numbers = (int, float, bool)
    if type(x) in numbers and type(y) in numbers:
        x = Tensor(asarray(x, None, like))  # the other one stays weak
    condition, x, y = (
        v
        if isinstance(v, (Tensor, SymbolicTensor)) or type(v) in numbers
        else Tensor(asarray(v, None, like))
        for v in (condition, x, y)
    )
    dtype = result_dtype(x, y)
    return _where(
        cast(condition, "bool"), *(v if type(v) in numbers else cast(v, dtype) for v in (x, y))
    )


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """True where an element along the axes (None: all) is not 0."""
    return _truth(x, axis, keepdims, "max", 0)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """True where every element along the axes (None: all) is not 0."""
    return _truth(x, axis, keepdims, "min", 1)


def _truth(x: Any, axis: Any, keepdims: bool, extreme: str, of_none: int) -> Any:
    from gpunn.ops import reduce
    from gpunn.ops.creation import cast

    bits = cast(cast(x, "bool"), "int32")
    start = of_none if 0 in bits.shape else None
    found = getattr(reduce, extreme)(bits, axis=axis, keepdims=keepdims, initial=start)
    return cast(found, "bool")
