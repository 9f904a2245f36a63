"""rearrange: axes that are split, moved and merged as a pattern of names says."""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.creation import convert_to_tensor

Groups = tuple[tuple[str, ...], ...]


class _Pattern(NamedTuple):
    text: str
    left: Groups  # the names that each axis of x is made of
    right: Groups


@lru_cache(maxsize=256)
def _parse(pattern: str) -> _Pattern:
    """ "b (h d) -> b h d" as groups of names."""
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange: the pattern needs one '->', received {pattern!r}.")
    left, right = (_groups(side, pattern) for side in sides)
    names = [sorted(name for group in side for name in group) for side in (left, right)]
    if names[0] != names[1] or len(set(names[0])) != len(names[0]):
        raise ValueError(
            f"rearrange: both sides must hold the same names, each once, received {pattern!r}."
        )
    return _Pattern(pattern, left, right)


def _groups(side: str, pattern: str) -> Groups:
    groups = []
    for part in re.findall(r"\([^()]*\)|[^\s()]+|[()]", side):
        names = tuple(part.strip("()").split()) if part[0] == "(" else (part,)
        if not names or not all(name.isidentifier() for name in names):
            raise ValueError(
                f"rearrange: {part!r} in {pattern!r} is neither a name nor a group of names in "
                f"parentheses."
            )
        groups.append(names)
    return tuple(groups)


def _lengths(x: Any, pattern: _Pattern, given: tuple[tuple[str, int], ...]) -> dict:
    """The length of each name, None where it is unknown."""
    shape, known = tuple(x.shape), dict(given)
    if len(shape) != len(pattern.left):
        raise ShapeError(
            f"rearrange: '{pattern.text}' is for {len(pattern.left)} axes (x {shape})."
        )
    unknown = set(known) - {name for group in pattern.left for name in group}
    if unknown:
        raise ValueError(
            f"rearrange: {sorted(unknown)} are no names of '{pattern.text}'. Leave them out."
        )
    lengths: dict[str, int | None] = dict(known)
    for n, group in zip(shape, pattern.left, strict=True):
        open_names = [name for name in group if name not in known]
        if len(open_names) > 1:
            raise ValueError(
                f"rearrange: of {group} in '{pattern.text}' all lengths but one must be given, as "
                f"{open_names[0]}=..."
            )
        rest = prod(known[name] for name in group if name in known)
        fits = n is None or (n % rest == 0 if open_names and rest else n == rest)
        if not fits:
            raise ShapeError(
                f"rearrange: an axis of length {n} does not divide into {group} with "
                f"{ {k: v for k, v in known.items() if k in group} } (x {shape})."
            )
        for name in open_names:
            lengths[name] = None if n is None else n // rest
    return lengths


def _shape(groups: Groups, lengths: dict) -> tuple:
    parts = [[lengths[name] for name in group] for group in groups]
    return tuple(None if None in part else prod(part) for part in parts)


def _rule(x: Any, pattern: str, lengths: tuple[tuple[str, int], ...] = ()) -> Spec:
    parsed = _parse(pattern)
    return Spec(_shape(parsed.right, _lengths(x, parsed, lengths)), as_dtype(x.dtype))


@op(shape=_rule)
def _rearrange(x: Array, pattern: str, lengths: tuple[tuple[str, int], ...] = ()) -> Any:
    parsed = _parse(pattern)
    sizes = _lengths(x, parsed, lengths)
    before = [name for group in parsed.left for name in group]
    after = [name for group in parsed.right for name in group]
    split = tuple(sizes[name] for name in before)
    order = tuple(before.index(name) for name in after)
    back = tuple(after.index(name) for name in before)
    moved = packed(x).reshape(split).transpose(order)
    merged = packed(moved).reshape(_shape(parsed.right, sizes))

    def gradient(dy: Array) -> Array:
        dx = packed(dy).reshape(moved.shape).transpose(back)
        return packed(dx).reshape(x.shape)

    return merged, (gradient,)


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Axes split, moved and merged as in einops: "names of x -> the same names in a new order".

    Names in parentheses are one axis, whose lengths, but for one, are given by keyword. Only names
    and groups of names: no `1`, no `...`. Unknown lengths stay unknown.

    >>> gpunn.ops.rearrange(x, "b t (h d) -> b h t d", h=8)
    """
    lengths = tuple(sorted((name, int(n)) for name, n in axes_lengths.items()))
    return _rearrange(convert_to_tensor(tensor), pattern=pattern, lengths=lengths)
