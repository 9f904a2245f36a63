"""Eigenvalues, singular values and what follows from them: pinv, least squares, rank.

Gradients as in M. B. Giles, Collected matrix derivative results (2008). They do not exist where
values coincide, unless what is computed from the vectors does not depend on their choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.autodiff.tensor import note_host_read
from gpunn.backend.devices import backend_of, empty, empty_like, to_numpy
from gpunn.backend.protocol import Array
from gpunn.errors import DTypeError, GradientError, ShapeError
from gpunn.ops.composite import in_single
from gpunn.ops.examples import Example, normal, unwritten
from gpunn.ops.factorizations import symmetrized
from gpunn.ops.gemm import matmul
from gpunn.ops.matrices import check_matrix, explained, solver, square_rule, transposed


def _quotient(xp: Any, x: Array, divisor: Array) -> Array:
    """x / divisor, 0 where that is 0 / 0 or x / 0."""
    zero = divisor == 0
    return xp.where(zero, 0, x / xp.where(zero, 1, divisor))


def _gaps(values: Array) -> Array:
    """values_j - values_i at (i, j)"""
    return values[..., None, :] - values[..., :, None]


def _diagonal(xp: Any, values: Array) -> Array:
    return values[..., None] * xp.eye(values.shape[-1], dtype=values.dtype)


# --- eigenvalues ---


def _eigh_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    x = normal(rng, (3, 4, 4), dtype) / 4 + np.diag(np.arange(4)).astype(dtype)
    yield (x + transposed(x), unwritten((3, 4), dtype), unwritten((3, 4, 4), dtype)), {}


@solver(examples=_eigh_examples)
def symmetric_eigen(xp: Any, x: Array, w: Array, v: Array) -> None:
    """x v = v diag(w), vᵀ v = 1, for symmetric x; w ascending"""
    w[...], v[...] = xp.linalg.eigh(x)


def _eigen_gradient_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    v = normal(rng, (3, 4, 4), dtype) / 4 + np.eye(4, dtype=dtype)
    w = np.sort(normal(rng, (3, 4), dtype)) + np.arange(4).astype(dtype)
    dw, dv = normal(rng, w.shape, dtype), normal(rng, v.shape, dtype)
    yield (w, v, dw, dv, unwritten(v.shape, dtype)), {}
    yield (w, v, None, dv, unwritten(v.shape, dtype)), {}
    yield (w, v, dw, None, unwritten(v.shape, dtype)), {}


@solver(examples=_eigen_gradient_examples)
def eigen_backward(
    xp: Any, w: Array, v: Array, dw: Array | None, dv: Array | None, dx: Array
) -> None:
    """dx = v⁻ᵀ (diag dw + (vᵀ dv - vᵀ v diag(vᵀ dv)) / gaps) vᵀ; the columns of v have length 1"""
    inner = xp.zeros_like(v) if dw is None else _diagonal(xp, dw)
    if dv is not None:
        turned = transposed(v) @ dv
        along = (v * dv).sum(axis=-2)
        moved = turned - (transposed(v) @ v) * along[..., None, :]
        inner = inner + _quotient(xp, moved, _gaps(w))
    dx[...] = xp.linalg.solve(transposed(v), inner @ transposed(v))


def _eigen(name: str) -> Any:
    """The rule of functions that return values (..., M) and vectors (..., M, M)."""
    return square_rule(name, 1, 0)


@op(shape=_eigen("eigh"), promotes="float")
def _eigh(x: Array) -> Any:
    w, v = empty(x.shape[:-1], x.dtype, x), empty_like(x)
    symmetric_eigen(x, w, v)

    def gradient(dys: tuple) -> Array:
        dx = empty_like(x)
        eigen_backward(w, v, *dys, dx)
        return dx

    return (w, v), (gradient,)


@in_single
def eigh(x: Any) -> Any:
    """(w, v) with x v = v diag(w), of symmetric x: w (..., M) ascending, vᵀ v = 1.

    The symmetric part of x is what counts. A vector's sign is arbitrary.
    """
    check_matrix("eigh", x, square=True)
    return _eigh(symmetrized(x))


@op(shape=_eigen("eig"), promotes="float")
def _eig(x: Array) -> Any:
    note_host_read()
    on_host = to_numpy(x)
    with explained("eig", x, "Look for NaN in x."):
        values, vectors = np.linalg.eig(on_host)
    if values.dtype.kind == "c":
        raise DTypeError(
            f"eig: x {x.shape} has complex eigenvalues, and gpunn has no complex numbers. Use eigh "
            f"for symmetric matrices, or numpy.linalg.eig on the host."
        )
    w, v = (backend_of(x).asarray(a.astype(x.dtype)) for a in (values, vectors))

    def gradient(dys: tuple) -> Array:
        dx = empty_like(x)
        eigen_backward(w, v, *dys, dx)
        return dx

    return (w, v), (gradient,)


@in_single
def eig(x: Any) -> Any:
    """(w, v) with x v = v diag(w), the columns of v of length 1, where all eigenvalues are real.

    Complex ones raise `DTypeError`. Computed on the host.
    """
    return _eig(x)


# --- singular values ---


def _svd_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for (m, n), full in (((4, 3), False), ((4, 3), True), ((3, 4), False), ((3, 4), True)):
        k = min(m, n)
        x = normal(rng, (2, m, n), dtype)
        u, vt = (2, m, m if full else k), (2, n if full else k, n)
        outputs = (unwritten(shape, dtype) for shape in (u, (2, k), vt))
        yield (x, *outputs), {"full_matrices": full}


@solver(examples=_svd_examples)
def singular(xp: Any, x: Array, u: Array, s: Array, vt: Array, full_matrices: bool) -> None:
    """u diag(s) vt = x; the columns of u and the rows of vt are orthonormal, s descends"""
    with explained("svd", x, "Look for NaN in x."):
        u[...], s[...], vt[...] = xp.linalg.svd(x, full_matrices=full_matrices)


def _svd_gradient_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for m, n in ((4, 3), (3, 4)):
        u, s, vt = np.linalg.svd(normal(rng, (2, m, n), dtype), full_matrices=False)
        du, ds, dvt = (normal(rng, a.shape, dtype) for a in (u, s, vt))
        for given in ((du, ds, dvt), (None, ds, None), (du, None, None), (None, None, dvt)):
            yield (u, s, vt, *given, unwritten((2, m, n), dtype)), {}


@solver(examples=_svd_gradient_examples)
def singular_backward(
    xp: Any, u: Array, s: Array, vt: Array,
    du: Array | None, ds: Array | None, dvt: Array | None, dx: Array,
) -> None:  # fmt: skip
    """dx = u (skew(uᵀ du) / E s + s skew(vᵀ dv) / E + diag ds) vᵀ, E_ij = s_j² - s_i²,
    + (1 - u uᵀ) du s⁻¹ vᵀ + u s⁻¹ dvᵀ (1 - v vᵀ); skew(a) = a - aᵀ
    """
    squares = _gaps(s * s)
    inner = xp.zeros((*s.shape, s.shape[-1]), s.dtype) if ds is None else _diagonal(xp, ds)
    outside: Any = 0
    if du is not None:
        turned = transposed(u) @ du
        inner = inner + _quotient(xp, turned - transposed(turned), squares) * s[..., None, :]
        outside = outside + ((du - u @ turned) / s[..., None, :]) @ vt
    if dvt is not None:
        turned = vt @ transposed(dvt)
        inner = inner + s[..., :, None] * _quotient(xp, turned - transposed(turned), squares)
        outside = outside + (u / s[..., None, :]) @ (dvt - transposed(turned) @ vt)
    dx[...] = u @ inner @ vt + outside


def _svd_rule(x: Any, full_matrices: bool = True) -> tuple[Spec, Spec, Spec]:
    check_matrix("svd", x)
    *batch, m, n = x.shape
    k = None if None in (m, n) else min(m, n)
    rows, columns = (m, n) if full_matrices else (k, k)
    dtype = as_dtype(x.dtype)
    return (
        Spec((*batch, m, rows), dtype),
        Spec((*batch, k), dtype),
        Spec((*batch, columns, n), dtype),
    )


@op(shape=_svd_rule, promotes="float")
def _svd(x: Array, full_matrices: bool = True) -> Any:
    u, s, vt = (empty(spec.shape, x.dtype, x) for spec in _svd_rule(x, full_matrices))
    singular(x, u, s, vt, full_matrices=full_matrices)
    k = s.shape[-1]

    def gradient(dys: tuple) -> Array:
        du, ds, dvt = dys
        if max(u.shape[-1], vt.shape[-2]) > k and (du is not None or dvt is not None):
            raise GradientError(
                f"svd: the vectors beyond the first {k} of x {x.shape} are arbitrary and have no "
                f"gradient. Use full_matrices=False."
            )
        dx = empty_like(x)
        singular_backward(u[..., :k], s, vt[..., :k, :], du, ds, dvt, dx)
        return dx

    return (u, s, vt), (gradient,)


@in_single
def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """(u, s, vᵀ) with u diag(s) vᵀ = x, or s alone; x (..., M, N), s (..., K) descending.

    K = min(M, N); u is (..., M, M) and vᵀ (..., N, N), or without `full_matrices` (..., M, K) and
    (..., K, N). A pair of vectors' sign is arbitrary.
    """
    if not compute_uv:
        return _svd(x, full_matrices=False)[1]
    return _svd(x, full_matrices=full_matrices)


def _pinv_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for m, n in ((4, 3), (3, 4)):
        x = normal(rng, (2, m, n), dtype)
        yield (x, unwritten((2, n, m), dtype)), {"rcond": 1e-5}


@solver(examples=_pinv_examples)
def pseudoinverse(xp: Any, x: Array, out: Array, rcond: float) -> None:
    """out = v s⁻¹ uᵀ, without singular values up to rcond · the largest one"""
    with explained("pinv", x, "Look for NaN in x."):
        u, s, vt = xp.linalg.svd(x, full_matrices=False)
    large = s > rcond * s[..., :1]
    inverse = xp.where(large, 1 / xp.where(large, s, 1), 0)
    out[...] = (transposed(vt) * inverse[..., None, :]) @ transposed(u)


def _pinv_gradient_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for m, n in ((4, 3), (3, 4)):
        x, dy = normal(rng, (2, m, n), dtype), normal(rng, (2, n, m), dtype)
        yield (x, np.linalg.pinv(x), dy, unwritten(x.shape, dtype)), {}


@solver(examples=_pinv_gradient_examples)
def pseudoinverse_backward(xp: Any, x: Array, y: Array, dy: Array, dx: Array) -> None:
    """dx = -yᵀ dy yᵀ + (1 - x y) dyᵀ y yᵀ + yᵀ y dyᵀ (1 - y x), where the rank stays the same

    G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10 (1973).
    """
    yt, dyt = transposed(y), transposed(dy)
    left, right = dyt @ y @ yt, yt @ y @ dyt
    dx[...] = -(yt @ dy @ yt) + left - x @ (y @ left) + right - (right @ y) @ x


def _pinv_rule(x: Any, rcond: float | None, margin: int) -> Spec:
    check_matrix("pinv", x)
    *batch, m, n = x.shape
    return Spec((*batch, n, m), as_dtype(x.dtype))


@op(shape=_pinv_rule, promotes="float")
def _pinv(x: Array, rcond: float | None, margin: int) -> Any:
    y = empty(_pinv_rule(x, rcond, margin).shape, x.dtype, x)
    if rcond is None:
        rcond = margin * max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
    pseudoinverse(x, y, rcond=rcond)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        pseudoinverse_backward(x, y, dy, dx)
        return dx

    return y, (gradient,)


@in_single
def pinv(x: Any, rcond: float | None = None) -> Any:
    """The Moore-Penrose inverse x⁺ (..., N, M) of x (..., M, N).

    Singular values up to `rcond` times the largest count as 0; None: 10 · max(M, N) · eps.
    """
    return _pinv(x, rcond=rcond, margin=10)


@in_single
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """The x of least ‖x‖ among those of least ‖a x - b‖; a (M, N), b (M,) or (M, K).

    Singular values of a up to `rcond` times the largest count as 0; None: max(M, N) · eps.
    """
    shapes = tuple(a.shape), tuple(b.shape)
    fits = len(shapes[0]) == 2 and len(shapes[1]) in (1, 2)
    if not fits or (shapes[0][0] != shapes[1][0] and None not in (shapes[0][0], shapes[1][0])):
        raise ShapeError(
            f"lstsq: a must be (M, N) and b (M,) or (M, K), received {shapes[0]} and {shapes[1]}."
        )
    return matmul(_pinv(a, rcond=rcond, margin=1), b)
