"""Integers: bits, shifts, common divisors. They have no derivative."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.errors import DTypeError
from gpunn.ops.examples import unwritten
from gpunn.ops.rules import broadcast

_DTYPES = ("int32", "uint8")


def _examples(inputs: int) -> Callable:
    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for shape in ((), (0, 3), (5, 7)):
            arrays = [np.asarray(rng.integers(0, 8, shape), dtype) for _ in range(inputs)]
            yield (*arrays, unwritten(shape, dtype)), {}

    return examples


def _check(name: str, kinds: str, *dtypes: Any) -> None:
    for dtype in map(as_dtype, dtypes):
        if dtype.kind not in kinds:
            raise DTypeError(
                f"{name}: works on integers{' and bool' if 'b' in kinds else ''}, received dtype "
                f"{dtype.name}. Cast it to 'int32'."
            )


def _integer_op(
    name: str, doc: str, numpy_name: str, kinds: str = "iu", names: tuple[str, str] = ("x", "y")
) -> Callable[..., Any]:
    """z = <numpy_name>(x, y) of two tensors of integers that broadcast."""

    def reference(xp: Any, x: Any, y: Any, out: Array) -> None:
        getattr(xp, numpy_name)(x, y, out=out)

    reference.__name__, reference.__doc__ = f"{name}_forward", doc
    run = kernel(examples=_examples(2), dtypes=_DTYPES)(reference)
    shapes = broadcast(name)

    def rule(x: Any, y: Any) -> Spec:
        spec = shapes(x, y)
        _check(name, kinds, spec.dtype)
        return spec

    def function(x: Array, y: Array) -> Any:
        spec = rule(x, y)
        z = empty(spec.shape, spec.dtype, x if hasattr(x, "shape") else y)
        run(x, y, z)
        return z, None

    function.__name__, function.__qualname__, function.__doc__ = name, name, doc
    parameters = [Parameter(n, Parameter.POSITIONAL_OR_KEYWORD, annotation="Array") for n in names]
    function.__signature__ = Signature(parameters, return_annotation="Any")  # type: ignore[attr-defined]
    return op(shape=rule, promotes="common" if "b" in kinds else "number")(function)


bitwise_and = _integer_op("bitwise_and", "z = x ∧ y, bit by bit", "bitwise_and", "biu")
bitwise_or = _integer_op("bitwise_or", "z = x ∨ y, bit by bit", "bitwise_or", "biu")
bitwise_xor = _integer_op("bitwise_xor", "z = x ⊕ y, bit by bit", "bitwise_xor", "biu")
left_shift = _integer_op("left_shift", "z = x · 2^y: the bits of x move left by y", "left_shift")
right_shift = _integer_op(
    "right_shift", "z = ⌊x / 2^y⌋: the bits of x move right by y", "right_shift"
)
gcd = _integer_op(
    "gcd", "z = the greatest integer that divides x1 and x2", "gcd", names=("x1", "x2")
)
lcm = _integer_op(
    "lcm", "z = the least positive integer that x1 and x2 divide", "lcm", names=("x1", "x2")
)


@kernel(examples=_examples(1), dtypes=_DTYPES)
def bitwise_not_forward(xp: Any, x: Array, out: Array) -> None:
    """out = ¬x, bit by bit"""
    xp.invert(x, out=out)


def _not_rule(x: Any) -> Spec:
    _check("bitwise_not", "biu", x.dtype)
    return Spec(x.shape, as_dtype(x.dtype))


@op(shape=_not_rule)
def bitwise_not(x: Array) -> Any:
    """y = ¬x, bit by bit: -x - 1 of signed integers."""
    y = empty_like(x)
    bitwise_not_forward(x, y)
    return y, None
