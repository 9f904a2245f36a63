"""Linear algebra, products, transforms and loops give what keras.ops gives: one walk."""

from __future__ import annotations

import os

import numpy as np
import pytest

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.structure import leaves

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
A = (RNG.normal(size=(3, 3)) / 4 + np.diag([1, 2, 3])).astype("float32")
P = (A @ A.T + np.eye(3)).astype("float32")
BATCH = np.stack([A, 2 * A])
TALL = RNG.normal(size=(5, 3)).astype("float32")
WIDE = np.ascontiguousarray(TALL.T)
B = RNG.normal(size=(3, 2)).astype("float32")
S = RNG.normal(size=(2, 20)).astype("float32")
PAIR = S, S[:, ::-1].copy()
IMAGES = PAIR[0].reshape(2, 5, 4), PAIR[1].reshape(2, 5, 4)
INTS, SMALL = np.arange(9, dtype="int32").reshape(3, 3), np.ones((3, 3), "int8")
SPECTRA = S.reshape(2, 4, 5), S.reshape(2, 4, 5)[::-1].copy()
inf = float("inf")

WALK = [
    *[(name, BATCH) for name in ("inv", "det", "slogdet", "logdet", "pinv")],
    *[(name, P) for name in ("cholesky_inverse", "eigh")],
    *[("cholesky", P, upper) for upper in (False, True)],
    *[("qr", x, mode) for x in (TALL, WIDE) for mode in ("reduced", "complete")],
    *[("svd", x, full, True) for x in (TALL, WIDE) for full in (False, True)],
    ("svd", TALL, True, False),
    *[("lu_factor", x) for x in (BATCH, TALL, WIDE)],
    *[("solve", *args) for args in ((A, B[:, 0]), (BATCH, np.stack([B, B])))],
    *[("solve_triangular", A, B, lower) for lower in (False, True)],
    *[("lstsq", *args) for args in ((TALL, TALL[:, 0]), (WIDE, B, 0.1))],
    ("pinv", TALL, 0.4),
    *[("matrix_rank", x, tol) for x, tol in ((INTS, None), (BATCH, 1.5))],
    *[("norm", TALL, o, (1, 0)) for o in ("fro", "nuc", -1, 2, inf)],
    *[("norm", TALL, o, -1, True) for o in (None, 0, -2, 3, -inf)],
    *[("norm", x, None, None, k) for x, k in ((INTS, False), (BATCH, True))],
    ("norm", TALL, 1, None, True),
    *[(name, x, y) for name in ("dot", "vdot", "inner", "outer", "kron", "tensordot")
      for x, y in ((INTS, A), (SMALL, SMALL), (INTS, SMALL))],
    ("dot", A, 2.0),
    ("dot", BATCH, A),
    ("inner", A[0], 3.0),
    ("tensordot", BATCH, BATCH, [[0, 1], [0, 2]]),
    ("cross", TALL.T, TALL, 0, 1, 0),
    ("cross", A[:, :2], P),
    ("cdist", BATCH, BATCH),
    *[("einsum", s, A, P) for s in ("ij,jk", "...j,jk", "ij,ij->", "ij,kl->ljki")],
    *[("einsum", s, A) for s in ("ii", "ii->i", "ji")],
    ("einsum", "aij,jk,bkl->abil", BATCH, A, BATCH),
    *[("einsum", "ij,jk", x, y) for x, y in ((SMALL, SMALL), (INTS, A), (INTS, SMALL))],
    ("fft", PAIR),
    ("fft2", IMAGES),
    ("ifft2", IMAGES),
    *[("rfft", S, n) for n in (None, 13, 32)],
    *[("irfft", PAIR, n) for n in (None, 13, 50)],
    ("stft", S, 6, 3, 9, S[0, :6], False),
    ("istft", SPECTRA, 6, 3, 9, 9, "hamming", False),
]  # fmt: skip

REFUSED = [
    ("inv", TALL),
    ("inv", A[0]),
    ("cholesky", -P),
    ("cholesky", TALL),
    ("qr", A, "raw"),
    ("solve", A, np.ones((2, 1), "float32")),
    ("norm", A, 0),
    ("norm", A, "x"),
    ("norm", A[0], "fro"),
    ("norm", BATCH, 1),
    ("matrix_rank", A[0]),
    ("cross", np.ones((5, 4), "float32"), np.ones((5, 3), "float32")),
    ("einsum", "ij,jk", A),
    ("einsum", "ij->iq", A),
    ("einsum", "ijk", A),
    ("einsum", "ij,jk", A, np.ones((4, 3), "float32")),
    ("fft", (S, S[0])),
    ("rfft", S, 0),
    ("stft", S, 8, 3, 6),
    ("stft", S, 6, 3, 8, "welch"),
    ("stft", S, 6, 3, 8, np.ones(8, "float32")),
]


def label(case):
    def short(value):
        if isinstance(value, tuple):
            return "/".join(map(short, value))
        return f"{value.dtype}{list(value.shape)}" if hasattr(value, "shape") else str(value)

    return f"{case[0]}({', '.join(map(short, case[1:]))})"


@pytest.mark.parametrize("case", WALK, ids=label)
def test_as_keras(case):
    name, *args = case
    received, expected = leaves(getattr(ops, name)(*args)), getattr(keras.ops, name)(*args)
    expected = list(expected) if isinstance(expected, tuple) else [expected]
    for y, z in zip(received, expected, strict=True):
        z = np.asarray(z)
        assert (y.shape, y.dtype) == (z.shape, z.dtype.name)
        np.testing.assert_allclose(y, z, rtol=2e-4, atol=2e-5 * (1 + np.abs(z).max(initial=0)))


@pytest.mark.parametrize("case", REFUSED, ids=label)
def test_refused_as_by_keras(case):
    name, *args = case
    with pytest.raises(ValueError):
        getattr(keras.ops, name)(*args)
    with pytest.raises(ValueError):
        getattr(ops, name)(*args)


SYMBOLIC = {
    "einsum": lambda ops, t: ops.einsum("bqhd,bkhd->bhqk", t(None, None, 2, 3), t(None, 7, 2, 3)),
    "tensordot": lambda ops, t: ops.tensordot(t(None, None, 3), t(3, 7), axes=1),
    "dot": lambda ops, t: ops.dot(t(None, 4, 3), t(2, 3, 7)),
    "outer": lambda ops, t: ops.outer(t(None, 3), t(5)),
    "kron": lambda ops, t: ops.kron(t(None, 3), t(5, 3)),
    "inner": lambda ops, t: ops.inner(t(None, 3), t(5, 3)),
    "svd": lambda ops, t: ops.svd(t(None, 4, 3)),
    "qr": lambda ops, t: ops.qr(t(None, 4, 3), "complete"),
    "eigh": lambda ops, t: ops.eigh(t(None, 3, 3)),
    "solve": lambda ops, t: ops.solve(t(None, 3, 3), t(None, 3, 2)),
    "norm": lambda ops, t: ops.norm(t(None, 4, 3), axis=(1, 2), keepdims=True),
    "pinv": lambda ops, t: ops.pinv(t(None, 4, 3)),
    "matrix_rank": lambda ops, t: ops.matrix_rank(t(None, 4, 3)),
    "rfft": lambda ops, t: ops.rfft(t(None, None), 6),
    "irfft": lambda ops, t: ops.irfft((t(None, None), t(None, None))),
    "stft": lambda ops, t: ops.stft(t(None, 20), 6, 3, 8),
    "istft": lambda ops, t: ops.istft((t(None, 7, 5), t(None, 7, 5)), 6, 3, 8, length=12),
    "scan": lambda ops, t: ops.scan(lambda c, x: (c + x, c * x), ops.zeros((3,)), t(None, 3)),
    "map": lambda ops, t: ops.map(lambda x: {"a": ops.sum(x), "b": x}, t(4, 3)),
    "vectorized_map": lambda ops, t: ops.vectorized_map(ops.sum, t(None, 3)),
    "while_loop": lambda ops, t: ops.while_loop(lambda x: True, lambda x: (x,), (t(None, 3),)),
    "fori_loop": lambda ops, t: ops.fori_loop(0, 2, lambda i, x: x, t(None, 3)),
    "associative_scan": lambda ops, t: ops.associative_scan(ops.add, t(None, 3)),
    "jvp": lambda ops, t: ops.jvp(ops.sin, (t(None, 3),), (t(None, 3),)),
}


@pytest.mark.parametrize("name", SYMBOLIC)
def test_shapes_of_symbolic_tensors_as_keras(name):
    call = SYMBOLIC[name]
    received = leaves(call(ops, lambda *shape: SymbolicTensor(shape, "float32")))
    expected = keras.tree.flatten(call(keras.ops, lambda *shape: keras.KerasTensor(shape)))
    assert [(y.shape, y.dtype) for y in received] == [(z.shape, z.dtype) for z in expected]


LOOPS = {
    "scan": lambda ops, x: ops.scan(lambda c, v: (c + v, c * v), x[0], x, reverse=True),
    "length": lambda ops, x: ops.scan(lambda c, _: (c + 1.0, c), x[0], length=3),
    "map": lambda ops, x: ops.map(lambda v: {"a": v * 2, "b": ops.sum(v)}, x),
    "lists": lambda ops, x: ops.vectorized_map(lambda v: v[0] + v[1], [x, x]),
    "while": lambda ops, x: ops.while_loop(lambda i, v: i < 3, lambda i, v: [i + 1, v * 2], (0, x)),
    "at most": lambda ops, x: ops.while_loop(lambda v: True, lambda v: v + 1, x, 3),
    "for": lambda ops, x: ops.fori_loop(1, 4, lambda i, v: v * i, x),
    "associative": lambda ops, x: ops.associative_scan(
        lambda a, b: [a[0] + b[0], a[1] * b[1]], [x, x], reverse=True, axis=1
    ),
    "vectorize": lambda ops, x: ops.vectorize(lambda a, b: a + ops.sum(b), signature="(),(n)->()")(
        x[:, 0], x
    ),
    "cond": lambda ops, x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: x * 2),
    "jvp": lambda ops, x: ops.jvp(lambda a, b: a * b, (x, x), (x, x * 2)),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_as_keras(name):
    call = LOOPS[name]
    received = leaves(call(ops, ops.convert_to_tensor(TALL)))
    expected = keras.tree.flatten(call(keras.ops, keras.ops.convert_to_tensor(TALL)))
    for y, z in zip(received, expected, strict=True):
        assert (y.shape, y.dtype) == (z.shape, str(z.dtype))
        np.testing.assert_allclose(y, np.asarray(z), rtol=1e-5, atol=1e-5)
