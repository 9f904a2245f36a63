"""Einstein sums, composed of transpose, reshape and matmul: they differentiate and run on BLAS.

Labels are characters. The axes behind an ellipsis get labels that no letter has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from math import prod
from typing import Any

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import Spec, SymbolicShape
from gpunn.errors import ShapeError
from gpunn.ops.arithmetic import multiply
from gpunn.ops.composite import composite
from gpunn.ops.creation import cast
from gpunn.ops.gemm import matmul
from gpunn.ops.indexing import getitem
from gpunn.ops.reduce import sum as sum_
from gpunn.ops.rules import result_dtype
from gpunn.ops.shaping import reshape, squeeze, transpose

_HIDDEN = 0x10000  # the first label of an axis behind an ellipsis

Labels = tuple[str, ...]


def _labels(text: str, dots: Labels, subscripts: str) -> Labels:
    """The labels of one term, in which `dots` stands for its ellipsis."""
    before, ellipsis, after = text.partition("...")
    if before + after and not ((before + after).isascii() and (before + after).isalpha()):
        raise ValueError(
            f"einsum: '{text}' in '{subscripts}' is not made of letters and at most one '...'."
        )
    return (*before, *(dots if ellipsis else ()), *after)


@lru_cache(maxsize=256)
def _parsed(
    subscripts: str, shapes: tuple[SymbolicShape, ...]
) -> tuple[list[Labels], Labels, dict[str, int | None]]:
    """The labels of each operand, those of the result, and the length of each label."""
    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    texts = inputs.split(",")
    if len(texts) != len(shapes):
        raise ValueError(
            f"einsum: '{subscripts}' names {len(texts)} operand(s), received {len(shapes)}."
        )
    hidden = [
        len(shape) - len(text.replace("...", "")) if "..." in text else 0
        for text, shape in zip(texts, shapes, strict=True)
    ]
    dots = tuple(chr(_HIDDEN + i) for i in range(max(hidden, default=0)))
    terms = [
        _labels(text, dots[len(dots) - max(count, 0) :], subscripts)
        for text, count in zip(texts, hidden, strict=True)
    ]
    lengths: dict[str, int | None] = {}
    for term, shape in zip(terms, shapes, strict=True):
        _measure(term, shape, lengths, subscripts)
    if arrow:
        output = _labels(result, dots, subscripts)
    else:
        named = [label for term in terms for label in term]
        output = (*dots, *sorted(x for x in set(named) - set(dots) if named.count(x) == 1))
    if len(set(output)) < len(output) or not set(output) <= set(lengths):
        raise ValueError(
            f"einsum: the result in '{subscripts}' must name labels of the operands, each once."
        )
    return terms, output, lengths


def _merged(a: int | None, b: int | None) -> int | None:
    """The length of a label that has these two: 1 is broadcast, a known length beats None."""
    return b if a == 1 or (a is None and b != 1) else a


def _measure(
    term: Labels, shape: SymbolicShape, lengths: dict[str, int | None], subscripts: str
) -> None:
    """Note the lengths of an operand's labels."""
    if len(term) != len(shape):
        raise ShapeError(
            f"einsum: an operand of '{subscripts}' has {len(shape)} axes ({tuple(shape)}), its "
            f"term names {len(term)}. Name each axis, or use '...'."
        )
    for label, n in zip(term, shape, strict=True):
        known, twin = lengths.get(label, 1), shape[term.index(label)]
        for other, broadcast in ((known, (1, None)), (twin, (None,))):
            if other != n and other not in broadcast and n not in broadcast:
                name = f"label '{label}'" if ord(label) < _HIDDEN else "an axis of '...'"
                raise ShapeError(
                    f"einsum: {name} of '{subscripts}' has lengths {other} and {n} (the operand "
                    f"with {n}: {tuple(shape)}). They must agree."
                )
        lengths[label] = _merged(known, n)


def _rule(*operands: Any, subscripts: str, optimize: Any = True) -> Spec:
    shapes = tuple(tuple(x.shape) for x in operands)
    _, output, lengths = _parsed(subscripts, shapes)
    return Spec(tuple(lengths[label] for label in output), _dtype(*operands))


def _dtype(*operands: Any) -> Any:
    """The common dtype, in which 8-bit integers are too small to sum."""
    dtype = result_dtype(*operands)
    return as_dtype("int32") if dtype == as_dtype("int8") else dtype


@composite(_rule)
def _einsum(*operands: Any, subscripts: str, optimize: Any = True) -> Any:
    terms, output, _ = _parsed(subscripts, tuple(x.shape for x in operands))
    dtype = _dtype(*operands)
    return cast(contract([cast(x, dtype) for x in operands], terms, output, bool(optimize)), dtype)


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    """Σ over the labels that the result does not name, of the product of the operands.

    `subscripts`: ``"ij,jk->ik"``; without ``->`` the result has the labels that come once, in
    alphabetical order; ``...`` stands for any further axes, which broadcast. A label that comes
    twice in one operand takes its diagonal. Three and more operands are multiplied pair by pair,
    the pair with the smallest result first (``optimize=False``: from left to right).

    >>> gpunn.ops.einsum("bqd,bkd->bqk", queries, keys)
    """
    unknown = set(kwargs) - {"optimize"}
    if unknown:
        raise TypeError(f"einsum: unknown argument '{unknown.pop()}'. Known: optimize.")
    if not isinstance(subscripts, str):
        raise TypeError(
            f"einsum: the first argument must be a string such as 'ij,jk->ik', received "
            f"{type(subscripts).__name__}."
        )
    if not operands:
        raise ValueError(f"einsum: '{subscripts}' received no operands.")
    return _einsum(*operands, subscripts=subscripts, **kwargs)


# --- contraction ---


def contract(
    operands: list[Any], terms: Sequence[Labels], output: Labels, best_first: bool = True
) -> Any:
    """The product of the operands, summed over all labels that are not in `output`."""
    xs, terms = list(operands), list(terms)
    longest: dict[str, Any] = {}
    for x, term in zip(xs, terms, strict=True):
        for label, n in zip(term, x.shape, strict=True):
            longest[label] = _merged(longest.get(label, 1), n)
    for i, term in enumerate(terms):
        xs[i], terms[i] = _without_ones(*_diagonal(xs[i], term), longest)
    while len(xs) > 1:
        pairs = list(combinations(range(len(xs)), 2))
        i, j = (
            min(pairs, key=lambda p: _growth(p, terms, output, longest)) if best_first else (0, 1)
        )
        others = [term for k, term in enumerate(terms) if k not in (i, j)]
        kept = set(output).union(*others)
        z, labels = _pair(xs[i], terms[i], xs[j], terms[j], kept)
        for place in (j, i):
            del xs[place], terms[place]
        xs.insert(0, z)
        terms.insert(0, labels)
    x, labels = _summed(xs[0], terms[0], set(output))
    return _ordered(x, labels, output)


def _growth(
    pair: tuple[int, int], terms: Sequence[Labels], output: Labels, lengths: dict[str, int]
) -> int:
    """How many elements more the product of two operands has than they have."""

    def size(labels: Iterable[str]) -> int:
        return prod(lengths[label] for label in labels)

    a, b = (terms[k] for k in pair)
    kept = set(output).union(*(t for k, t in enumerate(terms) if k not in pair))
    return size((set(a) | set(b)) & kept) - size(a) - size(b)


def _diagonal(x: Any, labels: Labels) -> tuple[Any, Labels]:
    """x with the diagonal of axes that share a label in their place, as the last axis."""
    for label in labels:
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            rest = [a for a in range(len(labels)) if a not in (i, j)]
            n = x.shape[i]
            flat = reshape(transpose(x, [*rest, i, j]), [*(x.shape[a] for a in rest), n * n])
            x = getitem(flat, (..., slice(None, None, n + 1)))
            labels = (*(labels[a] for a in rest), label)
    return x, labels


def _without_ones(x: Any, labels: Labels, longest: dict[str, int]) -> tuple[Any, Labels]:
    """x without the axes of length 1 that broadcast against a longer one."""
    ones = tuple(i for i, n in enumerate(x.shape) if n == 1 and longest[labels[i]] != 1)
    if not ones:
        return x, labels
    return squeeze(x, ones), tuple(label for i, label in enumerate(labels) if i not in ones)


def _summed(x: Any, labels: Labels, kept: set[str]) -> tuple[Any, Labels]:
    """x, summed over the axes whose labels nobody needs."""
    axes = tuple(i for i, label in enumerate(labels) if label not in kept)
    if not axes:
        return x, labels
    return sum_(x, axis=axes), tuple(label for label in labels if label in kept)


def _ordered(x: Any, labels: Labels, wanted: Labels) -> Any:
    return x if labels == wanted else transpose(x, [labels.index(label) for label in wanted])


def _shaped(x: Any, shape: Sequence[int]) -> Any:
    return x if x.shape == tuple(shape) else reshape(x, shape)


def _pair(x: Any, a: Labels, y: Any, b: Labels, kept: set[str]) -> tuple[Any, Labels]:
    """Σ x y over the labels that are not kept.

    X: (batch, left, inner), Y: (batch, inner, right), in which each but the batch is one axis.
    """
    x, a = _summed(x, a, kept | set(b))
    y, b = _summed(y, b, kept | set(a))
    batch = tuple(label for label in a if label in b and label in kept)
    inner = tuple(label for label in a if label in b and label not in kept)
    left, right = (tuple(k for k in own if k not in other) for own, other in ((a, b), (b, a)))
    length = {**dict(zip(a, x.shape)), **dict(zip(b, y.shape))}
    B, M, K, N = ([length[label] for label in part] for part in (batch, left, inner, right))
    x, y = _ordered(x, a, batch + left + inner), _ordered(y, b, batch + inner + right)
    if not inner:
        z = multiply(_shaped(x, [*B, *M, *(1 for _ in N)]), _shaped(y, [*B, *(1 for _ in M), *N]))
        return z, batch + left + right
    if batch and not left and not right:
        return _summed(multiply(x, y), batch + inner, kept)
    Z = matmul(_shaped(x, [*B, prod(M), prod(K)]), _shaped(y, [*B, prod(K), prod(N)]))
    return _shaped(Z, [*B, *M, *N]), batch + left + right
