"""pointwise: declares an elementwise function of one tensor: forward, derivative, CUDA twin.

One declaration makes two kernels (`<name>_forward`, `<name>_backward`) and one op.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

from gpunn.autodiff.dtypes import is_float
from gpunn.autodiff.op import op, same
from gpunn.backend.cuda import elementwise
from gpunn.backend.devices import empty_like
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import unary

#: The kernels of each function by name: {"relu": (relu_forward, relu_backward), ...}
kernels: dict[str, tuple[Kernel, Kernel]] = {}


def pointwise(
    name: str,
    doc: str,
    forward: Callable[..., None],
    backward: Callable[..., None],
    *,
    uses: str = "x",
    cuda: bool = False,
    domain: tuple[float, float] = (-3.0, 3.0),
    promotes: str | None = "float",
    **defaults: float,
) -> Callable[..., Any]:
    """Declare y = f(x) with dx = f'(x) · dy.

    `forward(xp, x, out, **options)` and `backward(xp, x, y, dy, dx, **options)` write into their
    last array. `uses` says which of x and y the derivative reads ("x", "y" or "xy"), so that the
    other one need not be kept: it is then passed in the other's place. With `cuda`, the header
    `activations.cuh` holds the device functions
    `activation::<name>(x, ...)` and `activation::<name>_grad(x, y, ...)`.
    `promotes`: "float" computes integers in floatx, None in their own dtype.
    `defaults`: the options and their default values.
    """
    parameters = "".join(f", T {option}" for option in defaults)
    arguments = "".join(f", {option}" for option in defaults)
    forward_cuda = backward_cuda = None
    if cuda:
        forward_cuda = elementwise(
            f"T x{parameters} -> T out",
            f"out = activation::{name}(x{arguments})",
            "activations.cuh",
        )
        backward_cuda = elementwise(
            f"T x, T y, T dy{parameters} -> T dx",
            f"dx = T(dy * activation::{name}_grad(x, y{arguments}))",
            "activations.cuh",
        )
    forward, backward = _halves_in_float32(forward), _halves_in_float32(backward)
    forward.__name__, forward.__doc__ = f"{name}_forward", doc
    backward.__name__, backward.__doc__ = f"{name}_backward", f"dx = {name}'(x) · dy"
    run = kernel(cuda=forward_cuda, examples=unary(*domain, 1, **defaults))(forward)
    differentiate = kernel(cuda=backward_cuda, examples=unary(*domain, 3, **defaults))(backward)

    kernels[name] = (run, differentiate)
    function = _function(run, differentiate, uses, defaults)
    function.__name__, function.__qualname__, function.__doc__ = name, name, doc
    return op(shape=same, promotes=promotes)(function)


def _halves_in_float32(reference: Callable[..., None]) -> Callable[..., None]:
    """16-bit floats are stored in 16 bits and computed in 32, as in the CUDA twins."""

    @functools.wraps(reference)
    def wide(xp: Any, *arrays: Any, **options: float) -> None:
        out = arrays[-1]
        if out.dtype.itemsize != 2 or not is_float(out.dtype):
            reference(xp, *arrays, **options)
            return
        result = xp.empty(out.shape, "float32")
        reference(xp, *(a.astype("float32") for a in arrays[:-1]), result, **options)
        out[...] = result

    return wide


def _function(run: Kernel, differentiate: Kernel, uses: str, defaults: dict) -> Callable[..., Any]:
    """The function of arrays that `op` makes an op of."""

    def function(x: Array, **options: float) -> Any:
        if defaults:
            options = {**defaults, **options}
        y = empty_like(x)
        run(x, y, **options)
        kept_x = x if "x" in uses else y
        kept_y = y if "y" in uses else x

        def gradient(dy: Any) -> Any:
            dx = empty_like(dy)
            differentiate(kept_x, kept_y, dy, dx, **options)
            return dx

        return y, (gradient,)

    either = Parameter.POSITIONAL_OR_KEYWORD
    parameters = [Parameter(o, either, default=v, annotation="float") for o, v in defaults.items()]
    function.__signature__ = Signature(  # type: ignore[attr-defined]
        [Parameter("x", either, annotation="Array"), *parameters], return_annotation="Any"
    )
    return function
