"""Parts of a tensor along an axis: split and its kin, unstack. Views, with one gradient for all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, fill
from gpunn.errors import ShapeError
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.rules import normalize_axis

Cuts = tuple[int, ...]


def _bounds(n: int, sections: int | None, cuts: Cuts) -> list[tuple[int, int]]:
    """Where the parts of n elements begin and end; the first n mod sections are longer by one."""
    if sections is None:
        ends = [0, *(min(max(c + n if c < 0 else c, 0), n) for c in cuts), n]
    else:
        size, longer = divmod(n, sections)
        ends = [size * i + min(i, longer) for i in range(sections + 1)]
    return list(pairwise(ends))


def _split_rule(
    x: Any, axis: int, sections: int | None = None, cuts: Cuts = (), equal: bool = True
) -> tuple[Spec, ...]:
    along = normalize_axis("split", axis, len(x.shape))
    n = x.shape[along]
    if sections is not None and (sections < 1 or (equal and n is not None and n % sections)):
        raise ShapeError(
            f"split: axis {axis} of length {n} does not divide into {sections} equal parts "
            f"({tuple(x.shape)}). Give the indices to cut at, or use array_split."
        )
    lengths: list[int | None] = [None] * (len(cuts) + 1 if sections is None else sections)
    if n is not None:
        lengths = [b - a for a, b in _bounds(n, sections, cuts)]
    if any(length is not None and length < 0 for length in lengths):
        raise ShapeError(
            f"split: the indices to cut at must ascend, received {cuts} ({tuple(x.shape)}, axis "
            f"{axis})."
        )
    before, after = x.shape[:along], x.shape[along + 1 :]
    return tuple(Spec((*before, length, *after), as_dtype(x.dtype)) for length in lengths)


@op(shape=_split_rule)
def _split(
    x: Array, axis: int, sections: int | None = None, cuts: Cuts = (), equal: bool = True
) -> Any:
    along = normalize_axis("split", axis, x.ndim)
    before = (slice(None),) * along
    bounds = _bounds(x.shape[along], sections, cuts)
    return _parts(x, [(*before, slice(a, b)) for a, b in bounds])


def _parts(x: Array, places: list[tuple]) -> tuple[tuple[Array, ...], Joint]:
    """x[place] for places that do not overlap; where no gradient comes back it is 0."""

    def gradient(dys: Sequence[Array | None], needed: Sequence[bool]) -> tuple[Array]:
        dx = empty_like(x)
        if len(dys) == 0 or any(dy is None for dy in dys):
            fill(dx, value=0)
        for place, dy in zip(places, dys, strict=True):
            if dy is not None:
                copy_into(dy, dx[place])
        return (dx,)

    return tuple(x[place] for place in places), Joint(gradient)


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list:
    """Parts along an axis: a number of equal ones, or cut at the indices.

    >>> first, rest = gpunn.ops.split(x, [1], axis=-1)
    """
    if isinstance(indices_or_sections, (int, np.integer)):
        return list(_split(x, axis=axis, sections=int(indices_or_sections)))
    return list(_split(x, axis=axis, cuts=tuple(int(i) for i in indices_or_sections)))


def array_split(x: Any, indices_or_sections: int, axis: int = 0) -> list:
    """A number of parts along an axis; where they are not equal, the first are longer by one.

    >>> gpunn.ops.array_split([1, 2, 3], 2)  # [1, 2] and [3]
    """
    if not is_whole(indices_or_sections):
        raise TypeError(
            f"array_split: indices_or_sections must be an integer, received "
            f"{indices_or_sections!r}. To cut at indices, use split."
        )
    return list(_split(x, axis=axis, sections=int(indices_or_sections), equal=False))


def _split_along(x: Any, indices_or_sections: Any, name: str, axis: int) -> list:
    x = convert_to_tensor(x)
    if len(x.shape) <= axis:
        raise ShapeError(f"{name}: x needs at least {axis + 1} axes, received {tuple(x.shape)}.")
    return split(x, indices_or_sections, axis)


def hsplit(x: Any, indices_or_sections: Any) -> list:
    """`split` along the second axis, of a vector along the first one."""
    x = convert_to_tensor(x)
    return _split_along(x, indices_or_sections, "hsplit", 0 if len(x.shape) == 1 else 1)


def vsplit(x: Any, indices_or_sections: Any) -> list:
    """`split` along the first axis."""
    return _split_along(x, indices_or_sections, "vsplit", 0)


def dsplit(x: Any, indices_or_sections: Any) -> list:
    """`split` along the third axis."""
    return _split_along(x, indices_or_sections, "dsplit", 2)


def _unstack_rule(x: Any, axis: int, num: int) -> tuple[Spec, ...]:
    along = normalize_axis("unstack", axis, len(x.shape))
    n = x.shape[along]
    if n not in (None, num):
        raise ShapeError(
            f"unstack: axis {axis} has length {n}, not num={num} (x {tuple(x.shape)}). Leave num "
            f"out."
        )
    return (Spec((*x.shape[:along], *x.shape[along + 1 :]), as_dtype(x.dtype)),) * num


@op(shape=_unstack_rule)
def _unstack(x: Array, axis: int, num: int) -> Any:
    before = (slice(None),) * normalize_axis("unstack", axis, x.ndim)
    return _parts(x, [(*before, i, ...) for i in range(num)])


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list:
    """The parts along an axis, without that axis. `num`: how many, where x does not know it yet.

    >>> rows = gpunn.ops.unstack([[1, 2], [3, 4]])
    """
    x = convert_to_tensor(x)
    along = normalize_axis("unstack", axis, len(x.shape))
    n = x.shape[along] if num is None else num
    if n is None:
        raise ShapeError(
            f"unstack: axis {axis} has an unknown length (x {tuple(x.shape)}). Give `num`."
        )
    return list(_unstack(x, axis=axis, num=n))
