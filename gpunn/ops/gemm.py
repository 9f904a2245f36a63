"""Matrix products. GPU: cublasLt with fused epilogues, CuPy's matmul where it is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.autodiff.op import Joint, grad_like, op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend import cublaslt
from gpunn.backend.cuda import elementwise
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.threads import parallel, parallel_products
from gpunn.backend.transfer import copy_into, packed
from gpunn.errors import ShapeError
from gpunn.ops import pointwise
from gpunn.ops.activations import rectify
from gpunn.ops.examples import broadcasting, normal, unwritten
from gpunn.ops.reduce import reduce_sum, sum_to
from gpunn.ops.rules import broadcast_shapes, result_dtype, shape_of

_WORTH_SHARING = 1 << 23  # products: fewer are done before another thread has woken
_LONG, _FEW = 1 << 22, 16  # elements that no cache holds; columns that make of them one pass

# --- kernels ---


def _gemm_examples(rng: np.random.Generator, dtype: str) -> Any:
    m, n, k = 33, 20, 17
    bias = normal(rng, (n,), dtype)
    for transpose_a, transpose_b, b, relu in (
        (False, False, None, False), (True, False, None, False), (False, True, None, False),
        (False, False, bias, False), (False, False, bias, True),
    ):  # fmt: skip
        left = normal(rng, (k, m) if transpose_a else (m, k), dtype)
        right = normal(rng, (n, k) if transpose_b else (k, n), dtype)
        options = {"transpose_a": transpose_a, "transpose_b": transpose_b, "relu": relu}
        yield (left, right, b, unwritten((m, n), dtype)), options
    left, right = normal(rng, (3, 4, 5), dtype), normal(rng, (3, 5, 6), dtype)
    yield (left, right, None, unwritten((3, 4, 6), dtype)), {}


@kernel(cuda=cublaslt.gemm, examples=_gemm_examples)
def gemm(
    xp: Any,
    a: Array,
    b: Array,
    bias: Array | None,
    out: Array,
    transpose_a: bool = False,
    transpose_b: bool = False,
    relu: bool = False,
) -> None:
    """out = max(0, a b + bias) over the last two axes; bias and ReLU are optional"""
    left = a.swapaxes(-1, -2) if transpose_a else a
    right = b.swapaxes(-1, -2) if transpose_b else b
    if out.dtype.itemsize == 2:  # NumPy multiplies halves in a slow loop, and sums in half
        left, right = left.astype(np.float32), right.astype(np.float32)
    if out.ndim == 2:

        def part(rows: slice, columns: slice) -> None:
            some = None if bias is None else bias[columns]
            _multiply(xp, left[rows], right[:, columns], some, out[rows, columns], relu)

        _share(xp, out, left.shape[1], part)
    elif out.size * left.shape[-1] < _WORTH_SHARING:
        _multiply(xp, left, right, bias, out, relu)
    else:
        parallel(xp, lambda b: _multiply(xp, left[b], right[b], bias, out[b], relu), len(out))


def shared_product(xp: Any, a: Array, b: Array, out: Array) -> None:
    """out = a b, for references; a large product is shared among threads."""

    def part(rows: slice, columns: slice) -> None:
        _product(xp, a[rows], b[:, columns], out[rows, columns])

    _share(xp, out, a.shape[1], part)


def _product(xp: Any, a: Array, b: Array, out: Array) -> None:
    """out = a b; NumPy's `matmul` keeps other threads waiting while a small `out` is computed."""
    (xp.dot if out.flags.c_contiguous else xp.matmul)(a, b, out=out)


def _share(xp: Any, out: Array, inner: int, part: Callable[[slice, slice], None]) -> None:
    """part(rows, columns) of `out`; large ones are cut along the longer axis."""
    whole = slice(None)
    if out.size * inner < _WORTH_SHARING:
        part(whole, whole)
    elif out.shape[0] >= out.shape[1]:
        parallel_products(xp, lambda rows: part(rows, whole), out.shape[0])
    else:
        parallel_products(xp, lambda columns: part(whole, columns), out.shape[1])


def _multiply(xp: Any, a: Array, b: Array, bias: Array | None, out: Array, relu: bool) -> None:
    if a.ndim == 2 and a.size >= _LONG and b.shape[1] <= _FEW and a.T.flags.c_contiguous:
        out[...] = xp.matmul(b.T, a.T).T  # dW = xᵀ dy: OpenBLAS reads a long x faster as it lies
    elif a.dtype == out.dtype:
        xp.matmul(a, b, out=out)
    else:
        out[...] = xp.matmul(a, b)
    if bias is not None:
        out += bias
    if relu:
        rectify(xp, out, out)


def _bias_activation(name: str) -> Kernel:
    """out = f(z + bias): `out` may be `z`"""
    forward, _ = pointwise.kernels[name]

    def reference(xp: Any, z: Array, bias: Array, out: Array) -> None:
        xp.add(z, bias, out=out)
        forward.reference(xp, out, out)

    reference.__name__, reference.__doc__ = f"bias_{name}", f"out = {name}(z + bias)"
    operation = f"out = activation::{name}(T(z + bias))"
    cuda = elementwise("T z, T bias -> T out", operation, "activations.cuh")
    return kernel(cuda=cuda, examples=lambda rng, dtype: _biased(rng, dtype))(reference)


def _biased(rng: np.random.Generator, dtype: str) -> Any:
    return ((a, o) for a, o in broadcasting()(rng, dtype) if a[0].shape == a[2].shape)


#: Activations that `dense` fuses: their derivative needs y only, so z need not be kept.
FUSED = {name: _bias_activation(name) for name in ("relu", "sigmoid", "tanh")}

# --- ops ---


def _as_it_lies(x: Array, transpose: bool) -> tuple[Array, bool]:
    """A C-contiguous array of the elements of x, and whether it must (still) be transposed."""
    if not x.flags.c_contiguous and x.swapaxes(-1, -2).flags.c_contiguous:
        return x.swapaxes(-1, -2), not transpose
    return packed(x), transpose


def product(
    a: Array,
    b: Array,
    bias: Array | None,
    out: Array,
    transpose_a: bool = False,
    transpose_b: bool = False,
    relu: bool = False,
) -> None:
    """`gemm` of arrays in any memory layout: cublasLt takes C-contiguous ones only."""
    a, transpose_a = _as_it_lies(a, transpose_a)
    b, transpose_b = _as_it_lies(b, transpose_b)
    bias = None if bias is None else packed(bias)
    gemm(a, b, bias, out, transpose_a=transpose_a, transpose_b=transpose_b, relu=relu)


def _dense_rule(x: Any, w: Any, b: Any = None, activation: str | None = None) -> Spec:
    if len(x.shape) < 1 or len(w.shape) != 2 or x.shape[-1] not in (w.shape[0], None):
        raise ShapeError(
            f"dense: the last axis of x and the first of w must agree (x {tuple(x.shape)}, "
            f"w {tuple(w.shape)}). Give x of shape (..., {w.shape[0]})."
        )
    if b is not None and tuple(b.shape) != (w.shape[1],):
        raise ShapeError(
            f"dense: the bias must have one element a unit (b {tuple(b.shape)}, w "
            f"{tuple(w.shape)}). Give b of shape ({w.shape[1]},)."
        )
    return Spec((*x.shape[:-1], w.shape[1]), result_dtype(x, w))


@op(shape=_dense_rule, promotes="common")
def dense(x: Array, w: Array, b: Array | None = None, activation: str | None = None) -> Any:
    """y = f(x w + b): x (..., K), w (K, N), b (N,) or None; f in `FUSED` or None."""
    # X, Y, dZ are the matrix views of x, y, dz: one row a sample.
    K, N = w.shape
    X = x if x.ndim == 2 else packed(x).reshape(-1, K)
    Y = empty((X.shape[0], N), x.dtype, x)
    if activation is None or (activation == "relu" and b is not None):
        product(X, w, b, Y, relu=activation is not None)
    elif b is None:
        product(X, w, None, Y)
        pointwise.kernels[activation][0](Y, Y)
    else:
        product(X, w, None, Y)
        FUSED[activation](Y, b, Y)

    def gradients(dy: Array, needed: tuple[bool, ...]) -> tuple[Array | None, ...]:
        dZ = dy if dy.ndim == 2 else packed(dy).reshape(-1, N)
        if activation is not None:
            dY, dZ = dZ, empty_like(Y)
            pointwise.kernels[activation][1](Y, Y, dY, dZ)
        dx = dw = db = None
        if needed[1]:
            dw = grad_like(w)
            product(X, dZ, None, dw, transpose_a=True)
        if b is not None and needed[2]:
            db = grad_like(b)
            reduce_sum(dZ, db, axes=(0,))
        if needed[0]:
            dx = empty(x.shape, x.dtype, x)
            product(dZ, w, None, dx if dx.ndim == 2 else dx.reshape(-1, K), transpose_b=True)
        return (dx, dw, db)[: len(needed)]  # b may not have been passed at all

    return Y if x.ndim == 2 else Y.reshape(*x.shape[:-1], N), Joint(gradients)


def _matmul_rule(x: Any, y: Any) -> Spec:
    a, b = tuple(shape_of(x)), tuple(shape_of(y))
    if not a or not b:
        raise ShapeError(f"matmul: a number has no matrix product ({a}, {b}). Use multiply.")
    rows = a[-1:] if len(a) == 1 else a[-2:]
    columns = b if len(b) == 1 else b[-2:]
    if rows[-1] != columns[0] and None not in (rows[-1], columns[0]):
        raise ShapeError(
            f"matmul: the last axis of x1 and the last but one of x2 must agree (x1 {a}, x2 {b}). "
            f"Transpose one of them."
        )
    batch = broadcast_shapes("matmul", a[:-2], b[:-2]) if len(a) > 2 or len(b) > 2 else ()
    return Spec((*batch, *rows[:-1], *columns[1:]), result_dtype(x, y))


def _seen_as(x: Array, shape: tuple[int, ...]) -> Array:
    """x in another shape; where that takes a copy, a kernel makes it."""
    return x if x.shape == shape else packed(x).reshape(shape)


def _as_batch(x: Array, batch: tuple[int, ...]) -> Array:
    """(…, M, N) as (B, M, N) for the common batch shape, or as (M, N) where there is none."""
    if not batch:
        return x
    full = (*batch, *x.shape[-2:])
    if x.shape != full:
        spread_out = empty(full, x.dtype, x)
        copy_into(x, spread_out)
        x = spread_out
    return x if len(batch) == 1 else packed(x).reshape(-1, *x.shape[-2:])


@op(shape=_matmul_rule, promotes="product")
def matmul(x1: Array, x2: Array) -> Any:
    """y = x1 x2 over the last two axes, batch axes broadcast; 1-D x1 is a row, 1-D x2 a column.

    Products of int8 are summed in int32.
    """
    a = x1.reshape(1, -1) if x1.ndim == 1 else x1
    b = x2.reshape(-1, 1) if x2.ndim == 1 else x2
    shape = _matmul_rule(x1, x2).shape
    batch: tuple[int, ...] = ()
    if max(a.ndim, b.ndim) > 2:
        batch = broadcast_shapes("matmul", a.shape[:-2], b.shape[:-2])
    A, B = _as_batch(a, batch), _as_batch(b, batch)
    Y = empty((*A.shape[:-1], B.shape[-1]), x1.dtype, x1)
    product(A, B, None, Y)

    def grad_x1(dy: Array) -> Array:
        dA = empty_like(A)
        product(_seen_as(dy, Y.shape), B, None, dA, transpose_b=True)
        return sum_to(dA.reshape(*batch, *a.shape[-2:]), a.shape).reshape(x1.shape)

    def grad_x2(dy: Array) -> Array:
        dB = empty_like(B)
        product(A, _seen_as(dy, Y.shape), None, dB, transpose_a=True)
        return sum_to(dB.reshape(*batch, *b.shape[-2:]), b.shape).reshape(x2.shape)

    return Y.reshape(shape), (grad_x1, grad_x2)
