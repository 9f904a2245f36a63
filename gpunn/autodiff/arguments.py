"""The arguments of an op: which are inputs, which options, in whatever way they are given."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable

from gpunn.errors import unknown_name


def parameters_of(function: Callable) -> tuple[int, tuple[str, ...]]:
    """How many inputs a function takes, and its parameters' names: inputs, then options."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return sys.maxsize, ()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    annotated = any(p.annotation is not p.empty for p in named)
    inputs = [
        str(p.annotation).startswith("Array") if annotated else p.default is p.empty for p in named
    ]
    arity = sum(inputs)
    if not 0 < arity == sum(inputs[:arity]):
        raise TypeError(
            f"{function.__name__}: an op takes its inputs first, each annotated `Array`, then its "
            f"options; received {inspect.signature(function)}. Annotate or order them so."
        )
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return arity, () if open_ended else tuple(p.name for p in named)


def unknown_option(call: Callable, options: dict, names: tuple[str, ...]) -> TypeError:
    wrong = next(name for name in options if name not in names)
    return TypeError(str(unknown_name(f"argument of {call.__name__}", wrong, names)))


def arranged(
    call: Callable, inputs: tuple, arity: int, names: tuple[str, ...], options: dict
) -> tuple[tuple, dict]:
    """Inputs by position, options by name, however the caller gave them."""
    options = {**dict(zip(names[arity:], inputs[arity:], strict=False)), **options}
    received, inputs = len(inputs), inputs[:arity]
    while any(name in options for name in names[len(inputs) : arity]):
        inputs += (options.pop(names[len(inputs)], None),)
    if not inputs or received > len(names):
        raise TypeError(
            f"{call.__name__}: received {received} arguments, expected 1 to {len(names)}: "
            f"{', '.join(names)}."
        )
    return inputs, options
