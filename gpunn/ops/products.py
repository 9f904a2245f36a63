"""Products of tensors: dot, inner, outer, tensordot, kron, cross; and distances between vectors."""

from __future__ import annotations

from math import prod
from typing import Any

from gpunn.autodiff.symbolic import Spec, SymbolicShape
from gpunn.errors import ShapeError
from gpunn.ops import arithmetic, compare, elementwise, indexing, reduce, shaping
from gpunn.ops.composite import composite
from gpunn.ops.creation import convert_to_tensor, zeros_like
from gpunn.ops.einsum import contract
from gpunn.ops.rules import broadcast_shapes, normalize_axis, result_dtype

Pairs = tuple[tuple[int, ...], tuple[int, ...]]


def _pairs(x1: Any, x2: Any, axes: Any) -> Pairs:
    """The axes of x1 and those of x2 that are summed over, pair by pair."""
    if isinstance(axes, int):
        if not 0 <= axes <= min(len(x1.shape), len(x2.shape)):
            raise ShapeError(
                f"tensordot: axes={axes}, but the inputs have {len(x1.shape)} and "
                f"{len(x2.shape)} dimension(s). Sum over at most as many."
            )
        return tuple(range(len(x1.shape) - axes, len(x1.shape))), tuple(range(axes))
    sides = [(side,) if isinstance(side, int) else tuple(side) for side in axes]
    if len(sides) != 2 or len(sides[0]) != len(sides[1]):
        raise ShapeError(
            f"tensordot: axes must be a number, or two lists of the same length, received {axes!r}."
        )
    first, second = (
        tuple(normalize_axis("tensordot", a, len(x.shape)) for a in side)
        for x, side in zip((x1, x2), sides, strict=True)
    )
    return first, second


def _tensordot_rule(x1: Any, x2: Any, axes: Any) -> Spec:
    first, second = _pairs(x1, x2, axes)
    for i, j in zip(first, second, strict=True):
        n, m = x1.shape[i], x2.shape[j]
        if n != m and None not in (n, m):
            raise ShapeError(
                f"tensordot: axis {i} of x1 and axis {j} of x2 must have one length (x1 "
                f"{tuple(x1.shape)}, x2 {tuple(x2.shape)}). Name other axes or transpose one."
            )
    left = [n for i, n in enumerate(x1.shape) if i not in first]
    right = [n for j, n in enumerate(x2.shape) if j not in second]
    return Spec((*left, *right), result_dtype(x1, x2))


@composite(_tensordot_rule)
def _tensordot(x1: Any, x2: Any, axes: Any) -> Any:
    first, second = _pairs(x1, x2, axes)
    a = [chr(i) for i in range(x1.ndim)]
    b = [chr(x1.ndim + j) for j in range(x2.ndim)]
    for i, j in zip(first, second, strict=True):
        b[j] = a[i]
    output = (*(k for k in a if k not in b), *(k for k in b if k not in a))
    dtype = result_dtype(x1, x2)
    return contract([x1, x2], [tuple(a), tuple(b)], output).astype(dtype)


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """Σ x1 x2 over pairs of axes; the other axes of x1 come first, those of x2 after them.

    `axes`: a number n, for the last n of x1 and the first n of x2, or two lists.

    >>> gpunn.ops.tensordot(images, weights, axes=[[2, 3], [0, 1]])
    """
    if not isinstance(axes, int):
        axes = tuple(side if isinstance(side, int) else tuple(side) for side in axes)
    return _tensordot(x1, x2, axes=axes)


def dot(x1: Any, x2: Any) -> Any:
    """Σ_k x1[..., k] x2[..., k, :]; of a number and a tensor their product.

    >>> gpunn.ops.dot([1.0, 2.0], [3.0, 4.0])  # 11
    """
    x1, x2 = convert_to_tensor(x1), convert_to_tensor(x2)
    if not x1.ndim or not x2.ndim:
        return arithmetic.multiply(x1, x2)
    return tensordot(x1, x2, axes=((-1,), (-1 if x2.ndim == 1 else -2,)))


def inner(x1: Any, x2: Any) -> Any:
    """Σ_k x1[..., k] x2[..., k]: the axes of x1 but the last, then those of x2 but the last."""
    x1, x2 = convert_to_tensor(x1), convert_to_tensor(x2)
    if not x1.ndim or not x2.ndim:
        return arithmetic.multiply(x1, x2)
    return tensordot(x1, x2, axes=((-1,), (-1,)))


def vdot(x1: Any, x2: Any) -> Any:
    """Σ x1 x2 over all elements, of two tensors with equally many."""
    return tensordot(shaping.ravel(x1), shaping.ravel(x2), axes=1)


def outer(x1: Any, x2: Any) -> Any:
    """y[i, j] = x1[i] x2[j] of the flat tensors."""
    return arithmetic.multiply(shaping.reshape(x1, (-1, 1)), shaping.reshape(x2, (1, -1)))


def _filled(shape: SymbolicShape, ndim: int) -> SymbolicShape:
    return (1,) * (ndim - len(shape)) + tuple(shape)


def _kron_rule(x1: Any, x2: Any) -> Spec:
    ndim = max(len(x1.shape), len(x2.shape))
    pairs = zip(_filled(x1.shape, ndim), _filled(x2.shape, ndim), strict=True)
    shape = tuple(None if None in (n, m) else n * m for n, m in pairs)
    return Spec(shape, result_dtype(x1, x2))


@composite(_kron_rule)
def kron(x1: Any, x2: Any) -> Any:
    """The Kronecker product: each element of x1, multiplied by the whole x2, in its place."""
    ndim = max(x1.ndim, x2.ndim)
    rows = [n for length in _filled(x1.shape, ndim) for n in (length, 1)]
    columns = [n for length in _filled(x2.shape, ndim) for n in (1, length)]
    z = arithmetic.multiply(shaping.reshape(x1, rows), shaping.reshape(x2, columns))
    return shaping.reshape(z, [prod(z.shape[2 * i : 2 * i + 2]) for i in range(ndim)])


def cross(
    x1: Any, x2: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """x1 × x2 of vectors of 3 (or 2) components along the axes `axisa` and `axisb`, or `axis`.

    The components of the result lie along `axisc`; of two vectors of 2 only the third one is not
    zero, and the result has no such axis.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a = shaping.moveaxis(x1, axisa, -1)
    b = shaping.moveaxis(x2, axisb, -1)
    if not {a.shape[-1], b.shape[-1]} <= {2, 3}:
        raise ShapeError(
            f"cross: vectors must have 2 or 3 components (x1 {tuple(a.shape)}, x2 "
            f"{tuple(b.shape)}, the last axis). Name their axes."
        )
    p, q = ([v[..., i] for i in range(v.shape[-1])] for v in (a, b))
    if len(p) == len(q) == 2:
        return p[0] * q[1] - p[1] * q[0]
    for v in (p, q):
        v.extend(zeros_like(v[0]) for _ in range(3 - len(v)))
    parts = [p[i] * q[j] - p[j] * q[i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return shaping.moveaxis(shaping.stack(parts, axis=-1), -1, axisc)


def cdist(x: Any, y: Any) -> Any:
    """d[..., i, j] = ‖x[..., i, :] - y[..., j, :]‖; x (..., M, D), y (..., N, D).

    Of differences, exact also for points that are close; takes M · N · D numbers of memory. The
    derivative is 0 where the distance is.
    """
    x, y = convert_to_tensor(x), convert_to_tensor(y)
    if min(x.ndim, y.ndim) < 2 or (x.shape[-1] != y.shape[-1] and x.shape[-1] and y.shape[-1]):
        raise ShapeError(
            f"cdist: x (..., M, D) and y (..., N, D) must agree in D (x {tuple(x.shape)}, y "
            f"{tuple(y.shape)})."
        )
    broadcast_shapes("cdist", x.shape[:-2], y.shape[:-2])
    difference = arithmetic.subtract(
        indexing.getitem(x, (..., slice(None), None, slice(None))),
        indexing.getitem(y, (..., None, slice(None), slice(None))),
    )
    squares = reduce.sum(elementwise.square(difference), axis=-1)
    apart = compare.greater(squares, 0)
    roots = elementwise.sqrt_(compare.where(apart, squares, 1.0))
    return compare.where(apart, roots, 0.0)
