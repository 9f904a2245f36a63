"""Arithmetic of two tensors that broadcast, as operators and functions."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

from gpunn.autodiff.op import op
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import FLOATS, Kernel, kernel, registry
from gpunn.backend.protocol import Array
from gpunn.ops.examples import broadcasting, unary
from gpunn.ops.reduce import sum_to
from gpunn.ops.rules import broadcast, shape_of


def binary(
    name: str,
    doc: str,
    forward: Callable,
    grad_x: Callable | None,
    grad_y: Callable | None,
    promotes: str = "common",
    domain: tuple[float, float] = (-3.0, 3.0),
) -> Callable[..., Any]:
    """Declare z = f(x1, x2), in equations x and y. `forward(xp, x, y, out)` computes it;
    `grad_x(xp, x, y, dz, out)` writes dx.

    A gradient None stands for dz itself. Gradients are summed over broadcast axes.
    """
    forward.__name__, forward.__doc__ = f"{name}_forward", doc
    dtypes = FLOATS if promotes == "float" else (*FLOATS, "int32")
    run = kernel(examples=broadcasting(*domain), dtypes=dtypes)(forward)
    kernels = [
        None
        if g is None
        else kernel(examples=unary(*domain, 3))(_named(g, f"{name}_grad_{letter}"))
        for g, letter in ((grad_x, "x"), (grad_y, "y"))
    ]
    rule = broadcast(name)

    def function(x1: Array, x2: Array) -> Any:
        like = x1 if hasattr(x1, "shape") else x2
        z = empty(rule(x1, x2).shape, like.dtype, like)
        run(x1, x2, z)

        def gradient(differentiate: Kernel | None, shape: tuple) -> Callable[[Array], Array]:
            def closure(dz: Array) -> Array:
                if differentiate is None:
                    return sum_to(dz, shape)
                out = empty_like(dz)
                differentiate(x1, x2, dz, out)
                return sum_to(out, shape)

            return closure

        return z, tuple(gradient(k, shape_of(v)) for k, v in zip(kernels, (x1, x2), strict=True))

    function.__name__, function.__qualname__, function.__doc__ = name, name, doc
    return op(shape=rule, promotes=promotes)(function)


def _named(function: Callable, name: str) -> Callable:
    function.__name__, function.__doc__ = name, "its part of the gradient"
    return function


add = binary("add", "z = x + y", lambda xp, x, y, out: xp.add(x, y, out=out), None, None)

subtract = binary(
    "subtract",
    "z = x - y",
    lambda xp, x, y, out: xp.subtract(x, y, out=out),
    None,
    lambda xp, x, y, dz, out: xp.negative(dz, out=out),
)

multiply = binary(
    "multiply",
    "z = x · y",
    lambda xp, x, y, out: xp.multiply(x, y, out=out),
    lambda xp, x, y, dz, out: xp.multiply(dz, y, out=out),
    lambda xp, x, y, dz, out: xp.multiply(dz, x, out=out),
)
multiply_kernel = registry["multiply_forward"]  # for ops that need the product of two arrays

divide = binary(
    "divide",
    "z = x / y",
    lambda xp, x, y, out: xp.divide(x, y, out=out, casting="unsafe"),
    lambda xp, x, y, dz, out: xp.divide(dz, y, out=out),
    lambda xp, x, y, dz, out: xp.multiply(dz, -x / (y * y), out=out),
    promotes="float",
    domain=(0.5, 3.0),
)


def _power_grad_x(xp: Any, x: Any, y: Any, dz: Array, out: Array) -> None:
    """dx = dz · y x^(y - 1), and 0 where y is 0"""
    below = xp.where(y == 0, 1, y - 1) if hasattr(y, "shape") else y - 1 if y else 1
    xp.multiply(dz, y * xp.power(x, below), out=out)


def _power_grad_y(xp: Any, x: Any, y: Any, dz: Array, out: Array) -> None:
    """dy = dz · x^y ln x, and 0 where x is 0"""
    if hasattr(x, "shape"):
        safe = xp.where(x > 0, x, 1)
        xp.multiply(dz, xp.power(safe, y) * xp.log(safe), out=out)
    else:
        xp.multiply(dz, xp.power(x, y) * (log(x) if x > 0 else 0), out=out)


power = binary(
    "power",
    "z = x^y",
    lambda xp, x, y, out: xp.copyto(out, xp.power(x, y), casting="unsafe"),
    _power_grad_x,
    _power_grad_y,
    promotes="number",
    domain=(0.5, 3.0),
)


def _share(xp: Any, wins: Array, ties: Array, dz: Array, out: Array) -> None:
    """out = dz where an input wins, dz/2 where it ties, else 0"""
    xp.multiply(dz, wins, out=out)
    out += dz * ties
    out *= 0.5


maximum = binary(
    "maximum",
    "z = max(x, y); at a tie the gradient goes half to each",
    lambda xp, x, y, out: xp.maximum(x, y, out=out),
    lambda xp, x, y, dz, out: _share(xp, x > y, x >= y, dz, out),
    lambda xp, x, y, dz, out: _share(xp, x < y, x <= y, dz, out),
)

minimum = binary(
    "minimum",
    "z = min(x, y); at a tie the gradient goes half to each",
    lambda xp, x, y, out: xp.minimum(x, y, out=out),
    lambda xp, x, y, dz, out: _share(xp, x < y, x <= y, dz, out),
    lambda xp, x, y, dz, out: _share(xp, x > y, x >= y, dz, out),
)

floor_divide = binary(
    "floor_divide",
    "z = ⌊x / y⌋; the derivative is 0",
    lambda xp, x, y, out: xp.floor_divide(x, y, out=out),
    lambda xp, x, y, dz, out: out.fill(0),
    lambda xp, x, y, dz, out: out.fill(0),
    promotes="number",
    domain=(1.0, 3.0),
)

mod = binary(
    "mod",
    "z = x - ⌊x / y⌋ · y, the remainder with the sign of y",
    lambda xp, x, y, out: xp.remainder(x, y, out=out),
    None,
    lambda xp, x, y, dz, out: xp.multiply(dz, -xp.floor(xp.divide(x, y)), out=out),
    promotes="number",
    domain=(1.0, 3.0),
)
