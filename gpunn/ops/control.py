"""Choices and loops whose steps are functions of the user: cond, while_loop, fori_loop.

They run as Python does, so that gradients flow through what was computed. A condition that is a
tensor is read on the host, and a recorded step falls back. Where an input is symbolic, the
functions are called once with symbolic tensors, which gives the output's shapes, and again when
there are values; they may not use other symbolic tensors from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import ShapeError
from gpunn.ops.composite import is_symbolic, later
from gpunn.ops.creation import convert_to_tensor
from gpunn.structure import map_structure


def tensors(structure: Any) -> Any:
    return map_structure(convert_to_tensor, structure)


def must_be_function(name: str, argument: str, function: Any) -> None:
    if not callable(function):
        raise TypeError(f"{name}: {argument} must be a function, received {function!r}.")


def _kind(structure: Any) -> Any:
    """The form of a structure: its containers, shapes and dtypes."""
    return map_structure(lambda x: f"{x.dtype}{tuple(x.shape)}".replace(" ", ""), structure)


def like(name: str, what: str, new: Any, old: Any) -> Any:
    """The next values of a loop: tensors of the form, shapes and dtypes of those before.

    A list may stand for a tuple.
    """
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(new) == len(old):
        parts = [like(name, what, n, o) for n, o in zip(new, old, strict=True)]
        return type(old)(*parts) if hasattr(old, "_fields") else type(old)(parts)
    if isinstance(old, dict) and isinstance(new, dict) and new.keys() == old.keys():
        return {key: like(name, what, new[key], old[key]) for key in old}
    new = tensors(new)
    alike = not isinstance(old, (list, tuple, dict)) and not isinstance(new, (list, tuple, dict))
    if (new is None) != (old is None) or not alike or (old is not None and not _fits(new, old)):
        raise ShapeError(
            f"{name}: {what} must keep structure, shapes and dtypes, but went from {_kind(old)} to "
            f"{_kind(new)}. Reshape or cast what the function returns."
        )
    return new


def _fits(new: Any, old: Any) -> bool:
    same = len(new.shape) == len(old.shape) and all(
        n == m or None in (n, m) for n, m in zip(new.shape, old.shape)
    )
    return same and new.dtype == old.dtype


def concrete(name: str, outputs: Any) -> Any:
    """What a function returned for values, which must be values."""
    if is_symbolic(outputs):
        raise ValueError(
            f"{name}: its function uses a symbolic tensor from outside. Pass it in as an argument "
            f"of the loop, or put the whole computation into a layer."
        )
    return outputs


# --- one value decides ---


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """true_fn() if pred, a bool or a tensor of shape (), else false_fn().

    With a symbolic `pred` both are computed, and one is chosen later.

    >>> gpunn.ops.cond(loss > 1.0, lambda: loss * 0.5, lambda: loss)
    """
    for argument, function in (("true_fn", true_fn), ("false_fn", false_fn)):
        must_be_function("cond", argument, function)
    if tuple(getattr(pred, "shape", ())) != ():
        raise ShapeError(f"cond: pred must be one value, received shape {tuple(pred.shape)}.")
    if not isinstance(pred, SymbolicTensor):
        return true_fn() if bool(pred) else false_fn()
    chosen, other = tensors(true_fn()), tensors(false_fn())
    try:
        like("cond", "the two branches", other, chosen)
    except ShapeError:
        raise ShapeError(
            f"cond: true_fn and false_fn must return the same structure, shapes and dtypes, "
            f"received {_kind(chosen)} and {_kind(other)}."
        ) from None
    return later(_chosen, (pred, chosen, other), {}, chosen)


def _chosen(pred: Any, if_true: Any, if_false: Any) -> Any:
    return if_true if bool(pred) else if_false


# --- loops ---


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """loop_vars = body(*loop_vars) while cond(*loop_vars), at most `maximum_iterations` times.

    `loop_vars`: a tensor or a structure of them; the elements of a list or tuple are passed one
    by one. They keep their shapes and dtypes.

    >>> gpunn.ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (0, 1.0))
    """
    must_be_function("while_loop", "cond", cond)
    must_be_function("while_loop", "body", body)
    values = tensors(loop_vars)
    several = isinstance(values, (list, tuple))
    if several:
        values = tuple(values)
    if is_symbolic(values):
        return later(while_loop, (cond, body, values, maximum_iterations), {}, values)
    count = 0
    while maximum_iterations is None or count < maximum_iterations:
        if not bool(concrete("while_loop", cond(*values) if several else cond(values))):
            break
        new = concrete("while_loop", body(*values) if several else body(values))
        values = like("while_loop", "loop_vars", new, values)
        count += 1
    return values


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """val = body_fun(i, val) for the integers lower ≤ i < upper, from val = init_val.

    `body_fun` receives i as an int, and keeps the shapes and dtypes of val.

    >>> gpunn.ops.fori_loop(0, 10, lambda i, total: total + i, 0)  # 45
    """
    must_be_function("fori_loop", "body_fun", body_fun)
    value = tensors(init_val)
    if is_symbolic(lower, upper, value):
        return later(fori_loop, (lower, upper, body_fun, value), {}, value)
    for i in range(int(lower), int(upper)):
        value = like("fori_loop", "val", concrete("fori_loop", body_fun(i, value)), value)
    return value
