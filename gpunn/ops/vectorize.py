"""vectorize: a function of numbers, vectors or matrices becomes one of tensors of any shape."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import wraps
from math import prod
from typing import Any

from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import ShapeError
from gpunn.ops.composite import is_symbolic, later
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.mapping import map_
from gpunn.ops.rules import broadcast_shapes
from gpunn.ops.shaping import broadcast_to, reshape
from gpunn.structure import map_structure

_SHAPES = r"\(\s*(\w+(\s*,\s*\w+)*\s*)?\)"
_SIGNATURE = re.compile(rf"{_SHAPES}(\s*,\s*{_SHAPES})*\s*->\s*{_SHAPES}(\s*,\s*{_SHAPES})*")


def _core(signature: str) -> list[tuple[str, ...]]:
    """The axes' names of each input that the function takes: "(m,n),(n)->(m)" gives (m, n), (n)."""
    if not _SIGNATURE.fullmatch(signature.strip()):
        raise ValueError(
            f"vectorize: {signature!r} is not a signature. Write it as '(m,n),(n)->(m)'."
        )
    inputs = signature.partition("->")[0]
    return [tuple(re.findall(r"\w+", shape)) for shape in re.findall(r"\(([^)]*)\)", inputs)]


def _check_lengths(xs: list[Any], cores: list[tuple[str, ...]], signature: str | None) -> None:
    lengths: dict[str, int | None] = {}
    for x, core in zip(xs, cores, strict=True):
        if len(x.shape) < len(core):
            raise ShapeError(
                f"vectorize: an input of shape {tuple(x.shape)} has too few axes for {core} of "
                f"signature '{signature}'."
            )
        for name, n in zip(core, x.shape[len(x.shape) - len(core) :], strict=True):
            if n is not None and lengths.setdefault(name, n) != n:
                raise ShapeError(
                    f"vectorize: axis '{name}' of signature '{signature}' has lengths "
                    f"{lengths[name]} and {n}."
                )


def _along(function: Callable[..., Any], xs: list[Any], cores: list[tuple[str, ...]]) -> Any:
    """The function of all combinations of the inputs' leading axes, which broadcast."""
    split = [len(x.shape) - len(core) for x, core in zip(xs, cores, strict=True)]
    batch = broadcast_shapes("vectorize", *(x.shape[:k] for x, k in zip(xs, split, strict=True)))
    if not batch:
        return map_structure(convert_to_tensor, function(*xs))
    if is_symbolic(xs):
        parts = [SymbolicTensor(x.shape[k:], x.dtype) for x, k in zip(xs, split, strict=True)]
        y = map_structure(convert_to_tensor, function(*parts))
        shaped = map_structure(lambda v: SymbolicTensor((*batch, *v.shape), v.dtype), y)
        return later(_along, (function, xs, cores), {}, shaped)
    full = [
        reshape(broadcast_to(x, (*batch, *x.shape[k:])), (prod(batch), *x.shape[k:]))
        for x, k in zip(xs, split, strict=True)
    ]
    y = map_(lambda rows: function(*rows), full)
    return map_structure(lambda v: reshape(v, (*batch, *v.shape[1:])), y)


def vectorize(
    pyfunc: Callable[..., Any],
    *,
    excluded: Iterable[int] | None = None,
    signature: str | None = None,
) -> Callable[..., Any]:
    """A function of tensors that applies `pyfunc` to each element, or each part, and stacks.

    Leading axes broadcast. `signature`: how many axes of each input `pyfunc` takes at once, as
    "(m,n),(n)->(m)"; without one, none: it gets tensors of shape (). `excluded`: positions of
    arguments that are passed as they are; keyword arguments always are. One call a part: a loop.

    >>> gpunn.ops.vectorize(gpunn.ops.dot, signature="(n),(n)->()")(rows, vector)
    """
    if not callable(pyfunc):
        raise TypeError(f"vectorize: pyfunc must be a function, received {pyfunc!r}.")
    fixed = set() if excluded is None else set(excluded)
    if not all(isinstance(i, int) for i in fixed):
        raise TypeError(f"vectorize: excluded must be positions (integers), received {excluded!r}.")
    given = None if signature is None else _core(signature)

    @wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        places = [i for i in range(len(args)) if i not in fixed]
        if not places:
            raise TypeError("vectorize: there is no argument to go along.")
        cores: list[tuple[str, ...]] = [() for _ in places] if given is None else given
        if len(cores) != len(places):
            raise TypeError(
                f"vectorize: signature '{signature}' names {len(cores)} input(s), received "
                f"{len(places)}."
            )
        xs = [convert_to_tensor(args[i]) for i in places]
        _check_lengths(xs, cores, signature)

        def function(*parts: Any) -> Any:
            whole = list(args)
            for i, part in zip(places, parts, strict=True):
                whole[i] = part
            return pyfunc(*whole, **kwargs)

        return _along(function, xs, cores)

    return vectorized
