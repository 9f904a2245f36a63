"""Functions of the user along the leading axis: scan, map, vectorized_map, associative_scan.

As in `gpunn.ops.control`: they run as Python does, and symbolic inputs make one node of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.arguments import is_whole
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import ShapeError
from gpunn.ops.composite import is_symbolic, later
from gpunn.ops.control import concrete, like, must_be_function, tensors
from gpunn.ops.creation import zeros
from gpunn.ops.indexing import getitem
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import concatenate, stack
from gpunn.structure import leaves, map_pairs, map_structure


def _common_length(name: str, xs: Any, length: int | None) -> int | None:
    """The length of the leading axes; None where a symbolic tensor does not know it."""
    shapes = [tuple(x.shape) for x in leaves(xs)]
    if () in shapes:
        raise ShapeError(
            f"{name}: xs must have an axis to go along, received a tensor of shape ()."
        )
    known = {shape[0] for shape in shapes} - {None} | ({length} if length is not None else set())
    if len(known) > 1:
        raise ShapeError(
            f"{name}: the leading axes of xs must have one length, received shapes {shapes}"
            f"{'' if length is None else f' and length={length}'}."
        )
    if not shapes and length is None:
        raise ValueError(f"{name}: without xs, give the length.")
    return known.pop() if known else None


def _slice(xs: Any, i: int) -> Any:
    return map_structure(lambda x: getitem(x, i), xs)


def _slices(xs: Any) -> Any:
    """Symbolic tensors like one slice of xs."""
    return map_structure(lambda x: SymbolicTensor(x.shape[1:], x.dtype), xs)


def _stacked(parts: list[Any]) -> Any:
    """The structures as one, with a new leading axis."""
    rows = [leaves(part) for part in parts]
    columns = iter([stack(column, axis=0) for column in zip(*rows, strict=True)])
    return map_structure(lambda _: next(columns), parts[0])


def _rows(slice_: Any, length: int | None) -> Any:
    """Symbolic tensors, each of so many slices."""
    return map_structure(lambda y: SymbolicTensor((length, *y.shape), y.dtype), slice_)


def _none(slice_: Any) -> Any:
    """Tensors of no such slices."""
    return map_structure(lambda y: zeros((0, *y.shape), y.dtype), slice_)


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """(carry, ys): carry, y = f(carry, x) for each slice x of xs along the leading axis, in order.

    `init`: the first carry. xs, carry and y are tensors or structures of them, or None; the y are
    stacked. `length`: how many steps, where xs is None. With `reverse` the last slice comes first,
    and ys stays in the order of xs. `unroll` has no effect: there is no compiled loop to unroll.

    >>> gpunn.ops.scan(lambda total, x: (total + x, total + x), 0, gpunn.ops.arange(5))
    """
    must_be_function("scan", "f", f)
    if not isinstance(unroll, bool) and not is_whole(unroll, 1):
        raise ValueError(f"scan: unroll must be a bool or a positive integer, received {unroll!r}.")
    carry, xs = tensors(init), tensors(xs)
    steps = _common_length("scan", xs, length)
    if is_symbolic(carry, xs) or not steps:
        symbols = map_structure(lambda v: SymbolicTensor(v.shape, v.dtype), carry)
        new, y = f(symbols, _slices(xs))
        like("scan", "the carry", new, symbols)
        y = tensors(y)
        if steps == 0:
            return carry, _none(y)
        args = (f, carry, xs, length, reverse, unroll)
        return later(scan, args, {}, (carry, _rows(y, steps)))
    ys: list[Any] = [None] * steps
    for i in reversed(range(steps)) if reverse else range(steps):
        new, y = concrete("scan", f(carry, _slice(xs, i)))
        carry, ys[i] = like("scan", "the carry", new, carry), tensors(y)
    return carry, _stacked(ys)


def map_(f: Callable[[Any], Any], xs: Any) -> Any:
    """f of each slice of xs along the leading axis, stacked.

    xs and what f returns are tensors or structures of them.

    >>> gpunn.ops.map(lambda x: x**2, gpunn.ops.arange(4))
    """
    must_be_function("map", "f", f)
    xs = tensors(xs)
    length = _common_length("map", xs, None)
    if is_symbolic(xs) or length == 0:
        y = tensors(f(_slices(xs)))
        return _none(y) if length == 0 else later(map_, (f, xs), {}, _rows(y, length))
    assert length is not None
    return _stacked([tensors(concrete("map", f(_slice(xs, i)))) for i in range(length)])


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """`function` of each slice of the elements along axis 0, stacked; as `map`, one by one.

    A list of tensors is passed as a list of slices.
    """
    return map_(function, elements)


def associative_scan(
    f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """y_k = f(f(f(x_0, x_1), ...), x_k) along an axis, for an associative f, in log₂ n rounds.

    f works on whole blocks of slices at once: in the round with distance d, every slice is
    combined with what its d predecessors give (W. D. Hillis and G. L. Steele, 1986). `reverse`:
    from the last slice to the first.

    >>> gpunn.ops.associative_scan(lambda a, b: a + b, gpunn.ops.arange(5))  # 0 1 3 6 10
    """
    must_be_function("associative_scan", "f", f)
    elems = tensors(elems)
    name = "associative_scan"
    lengths = {x.shape[normalize_axis(name, axis, len(x.shape))] for x in leaves(elems)}
    if len(lengths - {None}) > 1:
        raise ShapeError(
            f"associative_scan: all elems must have one length along axis {axis}, received shapes "
            f"{[tuple(x.shape) for x in leaves(elems)]}."
        )
    if is_symbolic(elems):
        return later(associative_scan, (f, elems, reverse, axis), {}, elems)

    def part(start: int | None, stop: int | None) -> Callable[[Any], Any]:
        def cut(x: Any) -> Any:
            return getitem(x, (*[slice(None)] * (axis % len(x.shape)), slice(start, stop)))

        return cut

    n, d = max(lengths, default=0), 1
    while d < n:
        first, last = map_structure(part(None, -d), elems), map_structure(part(d, None), elems)
        joined = concrete("associative_scan", f(last, first) if reverse else f(first, last))
        outside = map_structure(part(-d, None) if reverse else part(None, d), elems)
        pairs = (joined, outside) if reverse else (outside, joined)
        elems = map_pairs(lambda a, b: concatenate([a, b], axis=axis), *pairs)
        d *= 2
    return elems
