"""Derivatives by the user's rule (custom_gradient), and along a direction (jvp)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from gpunn.autodiff import tape
from gpunn.autodiff.dtypes import is_float
from gpunn.autodiff.op import Joint
from gpunn.autodiff.tape import Tape, no_grad
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.devices import empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import fill
from gpunn.errors import DTypeError, ShapeError
from gpunn.ops.arithmetic import multiply
from gpunn.ops.composite import is_symbolic, later
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.reduce import sum as sum_
from gpunn.ops.shaping import reshape, stack
from gpunn.structure import leaves, map_structure


def _zeros(like: Array) -> Array:
    out = empty_like(like)
    fill(out, value=0)
    return out


# --- custom_gradient ---


def _accepts(function: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _gradients(grad: Callable[..., Any], args: tuple, dys: Any) -> list[Any]:
    """One gradient for each tensor in the arguments, as the user's `grad` gives them.

    It takes the output's gradient as JAX gives it, as one argument, or as TensorFlow (spread) or
    torch (as a keyword) do.
    """
    if _accepts(grad, dys):
        found = grad(dys)
    elif isinstance(dys, (tuple, list)) and _accepts(grad, *dys):
        found = grad(*dys)
    else:
        found = grad(*args, upstream=dys)
    listed = list(found) if isinstance(found, (tuple, list)) else [found]
    wanted = leaves(args)
    if len(listed) == len(args):  # None for a whole structure means None for each tensor in it
        pairs = zip(listed, args, strict=True)
        parts = [[None] * len(leaves(a)) if g is None else _flat(g) for g, a in pairs]
        listed = [g for part in parts for g in part]
    else:
        listed = [g for part in listed for g in _flat(part)]
    if len(listed) != len(wanted):
        raise ValueError(
            f"custom_gradient: grad must return one gradient for each of {len(wanted)} input(s), "
            f"received {len(listed)}."
        )
    return [
        None if g is None else _checked(convert_to_tensor(g), x)
        for g, x in zip(listed, wanted, strict=True)
    ]


def _flat(value: Any) -> list[Any]:
    """The leaves of a structure, None among them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in _flat(part)]
    return [value]


def _checked(gradient: Tensor, x: Tensor) -> Tensor | None:
    if not is_float(x.dtype):
        return None
    if gradient.shape != x.shape:
        raise ShapeError(
            f"custom_gradient: grad returned shape {gradient.shape} for an input of shape "
            f"{x.shape}. They must agree."
        )
    return cast(gradient, x.dtype)


def custom_gradient(f: Callable[..., tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """A function with the derivative that it brings along: `f(*args)` returns (y, grad).

    `grad(dy)` returns the gradient of each argument, in a tuple where there are several, given that
    of y, in the structure of y. A `grad(*args, upstream)` that insists on the keyword gets the
    arguments and dy. What f computes is not recorded, and variables that it uses
    beside its arguments get no gradient.

    >>> @gpunn.ops.custom_gradient
    ... def log1pexp(x):
    ...     e = gpunn.ops.exp(x)
    ...     def grad(*args, upstream=None):
    ...         if upstream is None:
    ...             (upstream,) = args
    ...         return upstream * (1 - 1 / (1 + e))
    ...     return gpunn.ops.log(1 + e), grad
    """
    if not callable(f):
        raise TypeError(f"custom_gradient: f must be a function, received {f!r}.")

    @wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        args = map_structure(convert_to_tensor, args)
        with no_grad():
            found = f(*args, **kwargs)
        if not isinstance(found, (tuple, list)) or len(found) != 2 or not callable(found[1]):
            raise ValueError(
                f"custom_gradient: '{getattr(f, '__name__', f)}' must return (output, grad), where "
                f"grad is a function."
            )
        y, grad = map_structure(convert_to_tensor, found[0]), found[1]
        if is_symbolic(args, y):
            return later(call, args, kwargs, y)
        return _on_record(y, args, grad)

    return call


def _on_record(y: Any, args: tuple, grad: Callable[..., Any]) -> Any:
    """y as the output of one op with this gradient."""
    tapes, inputs = tape.state.tapes, leaves(args)
    sources = [x if x.tracked else None for x in inputs]
    if not tapes or all(x is None for x in sources):
        return y
    y = map_structure(lambda part: Tensor(part.data, is_float(part.dtype)), y)
    outputs = tuple(leaves(y))

    def gradients(dys: tuple, needed: list[bool]) -> list[Array | None]:
        full = iter(
            [
                Tensor(_zeros(part.data) if dy is None else dy)
                for part, dy in zip(outputs, dys, strict=True)
            ]
        )
        structured = map_structure(lambda _: next(full), y)
        found = _gradients(grad, args, structured)
        return [None if g is None else g.data for g in found]

    for recording in tapes:
        recording.records.append((outputs, sources, Joint(gradients)))
    return y


# --- jvp ---


def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> Any:
    """(y, dy): y = fun(*primals), dy = Σ ∂y/∂x · tangent, in the structure of y.

    gpunn differentiates backwards, so that this takes one backward pass for each element of y.
    With `has_aux`, fun returns (y, aux), and the result is (y, dy, aux).

    >>> gpunn.ops.jvp(gpunn.ops.sin, (0.1,), (0.2,))
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise TypeError("jvp: primals and tangents must be tuples or lists of arguments.")
    xs = tuple(map_structure(convert_to_tensor, list(primals)))
    vs = tuple(map_structure(convert_to_tensor, list(tangents)))
    _check_tangents(leaves(xs), leaves(vs))
    if is_symbolic(xs, vs):
        found = fun(*xs)
        y, aux = found if has_aux else (found, None)
        results = (y, y, aux) if has_aux else (y, y)
        return later(jvp, (fun, xs, vs, has_aux), {}, map_structure(convert_to_tensor, results))
    watched = map_structure(lambda x: reshape(x, x.shape), xs)  # each its own, for outer tapes
    for x in leaves(watched):
        x.tracked = True
    with Tape() as recording:
        found = fun(*watched)
    y, aux = found if has_aux else (found, None)
    y = map_structure(convert_to_tensor, y)
    directions = leaves(vs)
    with no_grad():
        dy = map_structure(lambda part: _pushed(part, recording, leaves(watched), directions), y)
    return (y, dy, aux) if has_aux else (y, dy)


def _check_tangents(xs: list[Any], vs: list[Any]) -> None:
    if len(xs) != len(vs):
        raise ValueError(
            f"jvp: primals and tangents must have one structure, received {len(xs)} and {len(vs)} "
            f"tensors."
        )
    for x, v in zip(xs, vs, strict=True):
        if not is_float(x.dtype):
            raise DTypeError(f"jvp: primals must be floats, received dtype {x.dtype}. Cast them.")
        if len(x.shape) != len(v.shape) or any(
            n != m and None not in (n, m) for n, m in zip(x.shape, v.shape)
        ):
            raise ShapeError(
                f"jvp: each tangent must have the shape of its primal, received {tuple(v.shape)} "
                f"for {tuple(x.shape)}."
            )


def _pushed(y: Tensor, recording: Tape, xs: list[Tensor], vs: list[Tensor]) -> Tensor:
    """Σ ∂y/∂x · v, one element of y after the other."""
    if not y.size or not is_float(y.dtype):
        return Tensor(_zeros(y.data))
    rows = []
    for i in range(y.size):
        seed = _zeros(y.data)
        fill(seed.reshape(-1)[i : i + 1], value=1)
        found = recording.backward({id(y): seed}, xs, keep=True)
        parts = [
            sum_(multiply(Tensor(g), cast(v, g.dtype)))
            for g, v in zip(found, vs, strict=True)
            if g is not None
        ]
        zero = Tensor(_zeros(y.data.reshape(-1)[:1].reshape(())))
        rows.append(sum_(stack(parts)) if parts else zero)
    return reshape(stack(rows), y.shape)
