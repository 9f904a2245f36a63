"""Inverse, determinant and linear systems: of matrices, or batches of them.

Computed by LAPACK on the CPU and by cuSOLVER on a GPU, through the `linalg` of NumPy and CuPy; a
step that uses one of these ops on a GPU is not recorded. x is (..., M, M) unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.errors import ShapeError
from gpunn.ops import indexing
from gpunn.ops.composite import in_single
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import Example, normal, unwritten
from gpunn.ops.gemm import matmul
from gpunn.ops.reduce import sum_to
from gpunn.ops.rules import broadcast_shapes, result_dtype
from gpunn.ops.shaping import swapaxes

DTYPES = ("float32", "float64")

#: Decorator of kernels whose reference calls `xp.linalg`.
solver = partial(kernel, dtypes=DTYPES, library="cuSOLVER")


def transposed(x: Array) -> Array:
    """The last two axes in the other order."""
    return x.swapaxes(-1, -2)


@contextmanager
def explained(name: str, x: Array, remedy: str) -> Iterator[None]:
    """LAPACK's error with the op's name, the shape and a remedy."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise ValueError(f"{name}: {error} (x {tuple(x.shape)}). {remedy}") from None


def check_matrix(name: str, x: Any, square: bool = False) -> None:
    """Raise unless x is a matrix or a batch of them."""
    if len(x.shape) < 2:
        raise ShapeError(
            f"{name}: x must be a matrix (..., M, N), received shape {tuple(x.shape)}. "
            f"Give it two axes."
        )
    rows, columns = x.shape[-2:]
    if square and rows != columns and None not in (rows, columns):
        raise ShapeError(
            f"{name}: x must be square, received shape {tuple(x.shape)}. Make its last two axes "
            f"equal."
        )


def square_rule(name: str, *drop: int) -> Callable[..., Any]:
    """The rule of a function of square matrices, whose outputs have so many axes fewer."""

    def rule(x: Any, **_: Any) -> Any:
        check_matrix(name, x, square=True)
        specs = tuple(Spec(x.shape[: len(x.shape) - n], as_dtype(x.dtype)) for n in drop)
        return specs if len(specs) > 1 else specs[0]

    return rule


def well_conditioned(rng: np.random.Generator, dtype: str, *batch: int, n: int = 4) -> np.ndarray:
    """Matrices with small random numbers and 1, 2, ... on the diagonal."""
    return (normal(rng, (*batch, n, n), dtype) / 4 + np.diag(1 + np.arange(n))).astype(dtype)


# --- inverse ---


def _examples(matrices: int, numbers: int, results: int) -> Callable:
    """Matrices, then one number a matrix; results: one more matrix, or so many numbers if not 0."""

    def examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
        for batch in ((), (3,)):
            xs = [well_conditioned(rng, dtype, *batch) for _ in range(matrices)]
            given = [normal(rng, batch, dtype) for _ in range(numbers)]
            shapes = [batch] * results or [xs[0].shape]
            yield (*xs, *given, *(unwritten(shape, dtype) for shape in shapes)), {}

    return examples


def _part_examples(matrices: int) -> Callable:
    def examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
        for part in (None, "lower", "upper"):
            for arrays, _ in _examples(matrices, 0, 0)(rng, dtype):
                yield arrays, {"part": part}

    return examples


def _part(xp: Any, x: Array, part: str | None) -> Array:
    """The whole matrix, or its lower or upper triangle."""
    return x if part is None else xp.tril(x) if part == "lower" else xp.triu(x)


@solver(examples=_part_examples(1))
def inverse(xp: Any, x: Array, out: Array, part: str | None) -> None:
    """out = x⁻¹, of the whole x or of its lower or upper triangle"""
    with explained("inv", x, "Use pinv, or add a small multiple of the identity."):
        out[...] = xp.linalg.inv(_part(xp, x, part))


@kernel(examples=_part_examples(2), dtypes=DTYPES, library="cuBLAS")
def inverse_backward(xp: Any, y: Array, dy: Array, dx: Array, part: str | None) -> None:
    """dx = -yᵀ dy yᵀ, in the part of x that was used"""
    dx[...] = _part(xp, -(transposed(y) @ dy @ transposed(y)), part)


@op(shape=square_rule("inv", 0), promotes="float")
def _inv(x: Array, part: str | None = None) -> Any:
    y = empty_like(x)
    inverse(x, y, part=part)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        inverse_backward(y, dy, dx, part=part)
        return dx

    return y, (gradient,)


@in_single
def inv(x: Any) -> Any:
    """x⁻¹. A singular matrix raises ValueError on the CPU and gives inf or NaN on a GPU.

    >>> gpunn.ops.inv([[2.0, 0.0], [0.0, 4.0]])
    """
    return _inv(x)


@in_single
def cholesky_inverse(x: Any, upper: bool = False) -> Any:
    """(x xᵀ)⁻¹ of a lower triangular factor x, (xᵀ x)⁻¹ of an upper one."""
    check_matrix("cholesky_inverse", x, square=True)
    y = _inv(x, part="upper" if upper else "lower")
    other = swapaxes(y, -1, -2)
    return matmul(y, other) if upper else matmul(other, y)


# --- determinant ---


@solver(examples=_examples(1, 0, 1))
def determinant(xp: Any, x: Array, out: Array) -> None:
    """out = det x"""
    out[...] = xp.linalg.det(x)


@solver(examples=_examples(1, 1, 0))
def determinant_backward(xp: Any, x: Array, dy: Array, dx: Array) -> None:
    """dx = dy · the cofactors of x: of x = U S Vᵀ, det U det V · U diag(Π_{j ≠ i} s_j) Vᵀ

    This holds of singular matrices as well, unlike dy · det x · x⁻ᵀ.
    """
    u, s, vt = xp.linalg.svd(x)
    others = xp.where(xp.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]).prod(axis=-1)
    scale = dy * xp.linalg.det(u) * xp.linalg.det(vt)
    dx[...] = scale[..., None, None] * ((u * others[..., None, :]) @ vt)


@op(shape=square_rule("det", 2), promotes="float")
def _det(x: Array) -> Any:
    y = empty(x.shape[:-2], x.dtype, x)
    determinant(x, y)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        determinant_backward(x, dy, dx)
        return dx

    return y, (gradient,)


@in_single
def det(x: Any) -> Any:
    """The determinant of each matrix. Its gradient, the cofactors, exists everywhere."""
    return _det(x)


@solver(examples=_examples(1, 0, 2))
def log_determinant(xp: Any, x: Array, sign: Array, out: Array) -> None:
    """sign · e^out = det x"""
    sign[...], out[...] = xp.linalg.slogdet(x)


@solver(examples=_examples(1, 1, 0))
def log_determinant_backward(xp: Any, x: Array, dy: Array, dx: Array) -> None:
    """dx = dy · x⁻ᵀ"""
    with explained("slogdet", x, "Its gradient exists where x has an inverse only."):
        dx[...] = dy[..., None, None] * transposed(xp.linalg.inv(x))


@op(shape=square_rule("slogdet", 2, 2), promotes="float")
def _slogdet(x: Array) -> Any:
    sign, y = (empty(x.shape[:-2], x.dtype, x) for _ in range(2))
    log_determinant(x, sign, y)

    def gradient(dys: tuple) -> Array | None:
        if dys[1] is None:  # the sign is constant
            return None
        dx = empty_like(x)
        log_determinant_backward(x, dys[1], dx)
        return dx

    return (sign, y), (gradient,)


@in_single
def slogdet(x: Any) -> Any:
    """(sign, log |det x|) of each matrix, without overflow: sign · e^log = det x."""
    return _slogdet(x)


def logdet(x: Any) -> Any:
    """log det x of positive definite matrices."""
    return slogdet(x)[1]


# --- linear systems ---


def _system_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for batch in ((), (3,)):
        a, b = well_conditioned(rng, dtype, *batch), normal(rng, (*batch, 4, 2), dtype)
        for part, transpose in ((None, False), ("lower", False), ("upper", True)):
            options = {"part": part, "transpose": transpose}
            yield (a, b, unwritten(b.shape, dtype)), options


@solver(examples=_system_examples)
def solve_system(
    xp: Any, a: Array, b: Array, out: Array, part: str | None, transpose: bool = False
) -> None:
    """a out = b, or aᵀ out = b, for the whole a or its lower or upper triangle"""
    a = _part(xp, a, part)
    a, b = (
        xp.broadcast_to(m, (*out.shape[:-2], *m.shape[-2:]))
        for m in (transposed(a) if transpose else a, b)
    )
    with explained("solve", a, "Use lstsq, or add a small multiple of the identity."):
        out[...] = xp.linalg.solve(a, b)


def _system_gradient_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for part in (None, "lower", "upper"):
        db, x = (normal(rng, (3, 4, 2), dtype) for _ in range(2))
        yield (db, x, unwritten((3, 4, 4), dtype)), {"part": part}


@kernel(examples=_system_gradient_examples, dtypes=DTYPES, library="cuBLAS")
def solve_backward(xp: Any, db: Array, x: Array, da: Array, part: str | None) -> None:
    """da = -db xᵀ, in the part of a that was used"""
    da[...] = _part(xp, -(db @ transposed(x)), part)


def _solve_rule(a: Any, b: Any, part: str | None = None) -> Spec:
    name = "solve" if part is None else "solve_triangular"
    check_matrix(name, a, square=True)
    check_matrix(name, b)
    if a.shape[-1] != b.shape[-2] and None not in (a.shape[-1], b.shape[-2]):
        raise ShapeError(
            f"{name}: b must have a row for each of a (a {tuple(a.shape)}, b {tuple(b.shape)}). "
            f"Give b of shape (..., {a.shape[-1]}, K)."
        )
    batch = broadcast_shapes(name, a.shape[:-2], b.shape[:-2])
    return Spec((*batch, *b.shape[-2:]), result_dtype(a, b))


@op(shape=_solve_rule, promotes="float")
def _solve(a: Array, b: Array, part: str | None = None) -> Any:
    spec = _solve_rule(a, b, part)
    x = empty(spec.shape, spec.dtype, a)
    solve_system(a, b, x, part=part)

    def gradients(dx: Array, needed: list[bool]) -> tuple[Array | None, ...]:
        db, da = empty_like(x), None
        solve_system(a, dx, db, part=part, transpose=True)
        if needed[0]:
            da = empty((*x.shape[:-2], *a.shape[-2:]), x.dtype, x)
            solve_backward(db, x, da, part=part)
            da = sum_to(da, a.shape)
        return da, sum_to(db, b.shape) if needed[1] else None

    return x, Joint(gradients)


def _solved(a: Any, b: Any, part: str | None) -> Any:
    """A b of one axis less than a is a vector, or a batch of them."""
    a, b = convert_to_tensor(a), convert_to_tensor(b)
    if b.ndim == a.ndim - 1:
        return indexing.getitem(_solve(a, indexing.getitem(b, (..., None)), part=part), (..., 0))
    return _solve(a, b, part=part)


@in_single
def solve(a: Any, b: Any) -> Any:
    """x with a x = b; a (..., M, M), b (..., M) or (..., M, K).

    A singular a raises ValueError on the CPU and gives inf or NaN on a GPU.

    >>> gpunn.ops.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0])  # [0.5, 0.25]
    """
    return _solved(a, b, None)


@in_single
def solve_triangular(a: Any, b: Any, lower: bool = False) -> Any:
    """x with a x = b, where only the upper (or lower) triangle of a is read; shapes as in solve."""
    return _solved(a, b, "lower" if lower else "upper")
