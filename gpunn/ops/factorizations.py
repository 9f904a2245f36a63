"""Cholesky, QR and LU factorizations of matrices, or batches of them, with their gradients.

Gradients as in S. F. Walter and L. Lehmann, Algorithmic differentiation of linear algebra
functions (2010), and I. Murray, Differentiation of the Cholesky decomposition (arXiv:1602.07527).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.protocol import Array
from gpunn.errors import GradientError, unknown_name
from gpunn.ops.arithmetic import add
from gpunn.ops.composite import in_single
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import Example, normal, unwritten
from gpunn.ops.matrices import (
    check_matrix,
    explained,
    solver,
    square_rule,
    transposed,
    well_conditioned,
)
from gpunn.ops.shaping import swapaxes


def symmetrized(x: Any) -> Any:
    """(x + xᵀ) / 2"""
    return add(x, swapaxes(x, -1, -2)) * 0.5


# --- Cholesky ---


def _cholesky_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for batch in ((), (3,)):
        a = well_conditioned(rng, dtype, *batch)
        yield (a @ transposed(a), unwritten(a.shape, dtype)), {}


@solver(examples=_cholesky_examples)
def cholesky_factor(xp: Any, x: Array, out: Array) -> None:
    """out outᵀ = x, where out is lower triangular"""
    with explained("cholesky", x, "Cholesky decomposition failed: x is not positive definite."):
        out[...] = xp.linalg.cholesky(x)


def _cholesky_gradient_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    y = np.tril(well_conditioned(rng, dtype, 3))
    yield (y, normal(rng, y.shape, dtype), unwritten(y.shape, dtype)), {}


@solver(examples=_cholesky_gradient_examples)
def cholesky_backward(xp: Any, y: Array, dy: Array, dx: Array) -> None:
    """dx = y⁻ᵀ Φ(yᵀ dy) y⁻¹, symmetrized; Φ takes the lower triangle, the diagonal by half"""
    inner = xp.tril(transposed(y) @ xp.tril(dy))
    inner = inner - 0.5 * inner * xp.eye(y.shape[-1], dtype=y.dtype)
    inverse = xp.linalg.inv(y)
    whole = transposed(inverse) @ inner @ inverse
    dx[...] = 0.5 * (whole + transposed(whole))


@op(shape=square_rule("cholesky", 0), promotes="float")
def _cholesky(x: Array) -> Any:
    y = empty_like(x)
    cholesky_factor(x, y)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        cholesky_backward(y, dy, dx)
        return dx

    return y, (gradient,)


@in_single
def cholesky(x: Any, upper: bool = False) -> Any:
    """The lower triangular L with L Lᵀ = x, or the upper U with Uᵀ U = x; x positive definite.

    The symmetric part of x is what counts. A matrix that is not positive definite raises
    ValueError on the CPU and gives NaN on a GPU.
    """
    x = convert_to_tensor(x)
    check_matrix("cholesky", x, square=True)
    factor = _cholesky(symmetrized(x))
    return swapaxes(factor, -1, -2) if upper else factor


# --- QR ---


def _qr_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for (m, n), mode in (((4, 3), "reduced"), ((4, 3), "complete"), ((3, 4), "reduced")):
        k = m if mode == "complete" else min(m, n)
        x = normal(rng, (2, m, n), dtype)
        yield (x, unwritten((2, m, k), dtype), unwritten((2, k, n), dtype)), {"mode": mode}


@solver(examples=_qr_examples)
def qr_factor(xp: Any, x: Array, q: Array, r: Array, mode: str) -> None:
    """q r = x, where the columns of q are orthonormal and r is upper triangular"""
    q[...], r[...] = xp.linalg.qr(x, mode=mode)


def _qr_gradient_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for m, n in ((4, 3), (3, 4), (3, 3)):
        x = normal(rng, (2, m, n), dtype)
        q, r = np.linalg.qr(x)
        dq, dr = normal(rng, q.shape, dtype), normal(rng, r.shape, dtype)
        yield (x, q, r, dq, dr, unwritten(x.shape, dtype)), {}
    yield (x, q, r, None, dr, unwritten(x.shape, dtype)), {}


@solver(examples=_qr_gradient_examples)
def qr_backward(
    xp: Any, x: Array, q: Array, r: Array, dq: Array | None, dr: Array | None, dx: Array
) -> None:
    """dx = (dq + q sym(r drᵀ - dqᵀ q)) r⁻ᵀ, where sym mirrors the lower triangle

    Of a wide x = (x₁ x₂), r = (r₁ r₂): r₂ = qᵀ x₂ adds x₂ dr₂ᵀ to dq, and dx₂ = q dr₂.
    """
    k = q.shape[-1]
    dq = xp.zeros_like(q) if dq is None else dq
    dr = xp.zeros_like(r) if dr is None else xp.triu(dr)
    if x.shape[-1] > k:
        dq = dq + x[..., k:] @ transposed(dr[..., k:])
        dx[..., k:] = q @ dr[..., k:]
    square_r, square_dr = r[..., :k], dr[..., :k]
    inner = square_r @ transposed(square_dr) - transposed(dq) @ q
    mirrored = xp.tril(inner) + transposed(xp.tril(inner, -1))
    right = xp.linalg.solve(square_r, transposed(dq + q @ mirrored))
    dx[..., :k] = transposed(right)


def _qr_rule(x: Any, mode: str = "reduced") -> tuple[Spec, Spec]:
    check_matrix("qr", x)
    m, n = x.shape[-2:]
    k = m if mode == "complete" else None if None in (m, n) else min(m, n)
    dtype = as_dtype(x.dtype)
    return Spec((*x.shape[:-1], k), dtype), Spec((*x.shape[:-2], k, n), dtype)


@op(shape=_qr_rule, promotes="float")
def _qr(x: Array, mode: str = "reduced") -> Any:
    q, r = (empty(spec.shape, x.dtype, x) for spec in _qr_rule(x, mode))
    qr_factor(x, q, r, mode=mode)

    def gradient(dys: tuple) -> Array:
        if q.shape[-1] > x.shape[-1]:
            raise GradientError(
                f"qr: mode='complete' has no gradient for a tall x {x.shape}: part of q is "
                f"arbitrary. Use mode='reduced'."
            )
        dx = empty_like(x)
        qr_backward(x, q, r, *dys, dx)
        return dx

    return (q, r), (gradient,)


@in_single
def qr(x: Any, mode: str = "reduced") -> Any:
    """(q, r) with q r = x, qᵀ q = 1 and r upper triangular; x (..., M, N).

    K = min(M, N) columns of q and rows of r, or with ``mode="complete"`` K = M.
    """
    if mode not in ("reduced", "complete"):
        raise unknown_name("mode of qr", mode, ("reduced", "complete"))
    return _qr(x, mode=mode)


# --- LU ---


def _swap_rows(xp: Any, x: Array, k: int, p: Array) -> None:
    """Rows k and p of each matrix change places."""
    upper = x[..., k, :].copy()
    lower = xp.take_along_axis(x, p[..., None, None], axis=-2)[..., 0, :]
    is_p = xp.arange(x.shape[-2])[:, None] == p[..., None, None]
    x[...] = xp.where(is_p, upper[..., None, :], x)
    x[..., k, :] = lower


def _lu_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for shape in ((4, 4), (2, 3, 4), (2, 4, 3)):
        x = normal(rng, shape, dtype)
        yield (x, unwritten(shape, dtype), unwritten((*shape[:-2], min(shape[-2:])), "int32")), {}


@solver(examples=_lu_examples)
def lu(xp: Any, x: Array, out: Array, pivots: Array) -> None:
    """l u = x with row k swapped for row pivots[k], one k after the other.

    out = l + u - 1: l is lower triangular with ones on its diagonal, u upper triangular.
    """
    out[...] = x
    for k in range(pivots.shape[-1]):
        p = k + xp.argmax(xp.abs(out[..., k:, k]), axis=-1)
        pivots[..., k] = p
        _swap_rows(xp, out, k, p)
        pivot = out[..., k, k][..., None]
        out[..., k + 1 :, k] /= xp.where(pivot == 0, 1, pivot)
        out[..., k + 1 :, k + 1 :] -= out[..., k + 1 :, k, None] * out[..., k, None, k + 1 :]


def _lu_gradient_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for m, n in ((4, 4), (3, 4), (4, 3)):
        y = normal(rng, (2, m, n), dtype) / 4 + np.eye(m, n, dtype=dtype)
        pivots = np.broadcast_to(np.arange(1, min(m, n) + 1) % m, (2, min(m, n))).astype("int32")
        yield (y, pivots, normal(rng, y.shape, dtype), unwritten(y.shape, dtype)), {}


@solver(examples=_lu_gradient_examples)
def lu_backward(xp: Any, y: Array, pivots: Array, dy: Array, dx: Array) -> None:
    """dx = P l⁻ᵀ (tril(lᵀ dl, -1) + triu(du uᵀ)) u⁻ᵀ for square x

    The rows of l below the square, l₂ = x₂ u⁻¹, and the columns of u right of it, u₂ = l⁻¹ x₁₂,
    give dx₂ = dl₂ u⁻ᵀ and dx₁₂ = l⁻ᵀ du₂, and lower du by l₂ᵀ dx₂, dl by dx₁₂ u₂ᵀ.
    """
    k = pivots.shape[-1]
    eye = xp.eye(k, dtype=y.dtype)
    square_y, d = y[..., :k, :k], dy[..., :k, :k]
    inverse_l = xp.linalg.inv(xp.tril(square_y, -1) + eye)
    inverse_u = xp.linalg.inv(xp.triu(square_y))
    below = dy[..., k:, :k] @ transposed(inverse_u)
    right = transposed(inverse_l) @ dy[..., :k, k:]
    dl = xp.tril(d - right @ transposed(y[..., :k, k:]), -1)
    du = xp.triu(d - transposed(y[..., k:, :k]) @ below)
    inner = xp.tril(transposed(xp.tril(square_y, -1) + eye) @ dl, -1)
    inner = inner + xp.triu(du @ transposed(xp.triu(square_y)))
    dx[..., :k, :k] = transposed(inverse_l) @ inner @ transposed(inverse_u)
    dx[..., k:, :k], dx[..., :k, k:] = below, right
    for i in reversed(range(k)):
        _swap_rows(xp, dx, i, pivots[..., i])


def _lu_rule(x: Any) -> tuple[Spec, Spec]:
    check_matrix("lu_factor", x)
    m, n = x.shape[-2:]
    k = None if None in (m, n) else min(m, n)
    return Spec(x.shape, as_dtype(x.dtype)), Spec((*x.shape[:-2], k), as_dtype("int32"))


@op(shape=_lu_rule, promotes="float")
def _lu_factor(x: Array) -> Any:
    spec = _lu_rule(x)[1]
    y, pivots = empty_like(x), empty(spec.shape, spec.dtype, x)
    lu(x, y, pivots)

    def gradient(dys: tuple) -> Array:
        dx = empty_like(x)
        lu_backward(y, pivots, dys[0], dx)
        return dx

    return (y, pivots), (gradient,)


@in_single
def lu_factor(x: Any) -> Any:
    """(lu, pivots): l below and u on and above the diagonal, and the rows that were swapped.

    l u = x with row k swapped for row pivots[k], for k = 0, 1, ... in turn; x (..., M, N).
    """
    return _lu_factor(x)
