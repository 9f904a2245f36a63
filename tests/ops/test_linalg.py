"""Linear algebra: what it refuses, dtypes, ranks; Fourier transforms of signals in windows."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import GradientTape, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import DTypeError, GradientError

A = np.array([[2.0, 1.0], [1.0, 3.0]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.inv(np.ones((2, 2))), r"inv: Singular matrix \(x \(2, 2\)\). Use pinv"),
        (lambda: ops.inv(np.ones((2, 3))), r"inv: x must be square, received shape \(2, 3\)"),
        (lambda: ops.det(np.ones(3)), r"det: x must be a matrix .* received shape \(3,\)"),
        (lambda: ops.cholesky(-A), "cholesky: .* x is not positive definite"),
        (lambda: ops.cholesky(np.ones((2, 3))), "cholesky: x must be square"),
        (lambda: ops.solve(np.ones((2, 2)), A), "solve: Singular matrix .* Use lstsq"),
        (lambda: ops.solve(A, np.ones((3, 1))), r"solve: b must have a row .* Give b of shape"),
        (lambda: ops.solve_triangular(A, np.ones(3)), "solve_triangular: b must have a row"),
        (lambda: ops.qr(A, mode="complet"), "Unknown mode of qr: 'complet'. Did you mean"),
        (lambda: ops.svd(np.full((2, 2), np.nan)), "svd: SVD did not converge .* Look for NaN"),
        (lambda: ops.eig(np.full((2, 2), np.nan)), "eig: .* Look for NaN"),
        (lambda: ops.pinv(np.full((2, 2), np.nan)), "pinv: .* Look for NaN"),
        (lambda: ops.lstsq(A, np.ones(3)), r"lstsq: a must be \(M, N\) and b \(M,\) or \(M, K\)"),
        (lambda: ops.matrix_rank(np.ones(3)), "matrix_rank: x must be a matrix"),
    ],
)  # fmt: skip
def test_refused(call, message):
    with np.errstate(all="ignore"), pytest.raises(ValueError, match=message):
        call()


def test_complex_eigenvalues_are_refused():
    with pytest.raises(DTypeError, match=r"eig: x \(2, 2\) has complex eigenvalues, .* Use eigh"):
        ops.eig(np.array([[0.0, 1.0], [-1.0, 0.0]]))


def gradient_of(function, x):
    x = Tensor(x)
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.sum(function(x))
    return tape.gradient(y, x).data


def test_what_is_arbitrary_has_no_gradient():
    tall = np.arange(6.0).reshape(3, 2) + np.eye(3, 2)
    with pytest.raises(
        GradientError, match=r"svd: the vectors beyond the first 2 .* full_matrices"
    ):
        gradient_of(lambda x: ops.svd(x)[0], tall)
    with pytest.raises(GradientError, match="qr: mode='complete' has no gradient for a tall x"):
        gradient_of(lambda x: ops.qr(x, "complete")[1], tall)
    np.testing.assert_allclose(  # Σ s² = Σ x²
        gradient_of(lambda x: ops.svd(x)[1] ** 2, tall), 2 * tall, atol=1e-12
    )


def test_equal_eigenvalues_have_gradients_where_the_vectors_do_not_matter():
    eye = np.eye(3)
    trace = gradient_of(lambda x: ops.eigh(x)[0], eye)
    np.testing.assert_allclose(trace, eye)
    rebuilt = gradient_of(
        lambda x: (lambda w, v: ops.matmul(v * w, ops.transpose(v)))(*ops.eigh(x)), eye
    )
    np.testing.assert_array_equal(np.isfinite(rebuilt), True)


def test_slogdet_of_a_singular_matrix_has_no_gradient():
    with (
        np.errstate(divide="ignore"),
        pytest.raises(ValueError, match="slogdet: .* has an inverse"),
    ):
        gradient_of(lambda x: ops.slogdet(x)[1], np.ones((2, 2)))


@pytest.mark.parametrize("dtype", ["int32", "float16", "float64"])
def test_dtypes(dtype):
    x = np.array([[2, 1], [1, 3]], dtype)
    expected = "float32" if dtype == "int32" else dtype
    for name in ("inv", "det", "slogdet", "cholesky", "qr", "svd", "eigh", "eig", "pinv", "norm"):
        result = getattr(ops, name)(x)
        parts = result if isinstance(result, tuple) else (result,)
        assert {part.dtype for part in parts} == {expected}, name
    lu, pivots = ops.lu_factor(x)
    assert (lu.dtype, pivots.dtype) == (expected, "int32")
    assert ops.solve(x, x).dtype == ops.lstsq(x, x).dtype == expected
    assert ops.matrix_rank(x).dtype == "int32"


def test_solve_of_vectors_in_a_batch():
    a, b = np.stack([A, 2 * A]), np.array([[3.0, 4.0], [5.0, 6.0]])
    received = ops.solve(a, b)
    assert received.shape == (2, 2)
    np.testing.assert_allclose(np.einsum("bij,bj->bi", a, received.data), b)


def test_by_name_and_by_position():
    np.testing.assert_allclose(
        ops.solve_triangular(b=A, a=A, lower=True), np.linalg.solve(np.tril(A), A)
    )
    np.testing.assert_allclose(ops.svd(A, False, False), ops.linalg.svd(x=A, compute_uv=False))


def test_matrix_rank():
    x = np.diag([5.0, 2.0, 1e-20])
    assert [int(ops.matrix_rank(x, tol)) for tol in (None, 3.0, 1e-30)] == [2, 1, 3]
    assert ops.matrix_rank(np.stack([x, np.eye(3)])).tolist() == [2, 3]


# --- Fourier ---


def test_stft_of_the_documentation():
    re, im = ops.stft(np.arange(5.0), 3, 2, 3)
    np.testing.assert_allclose(re, [[0.75, -0.375], [3.75, -1.875], [5.25, -2.625]])
    part = np.sqrt(27) / 8
    np.testing.assert_allclose(im, [[0, part], [0, part], [0, -part]], atol=1e-12)


@pytest.mark.parametrize("window", ["hann", "hamming", None, np.arange(1.0, 9.0)])
@pytest.mark.parametrize("center", [False, True])
def test_istft_undoes_stft(window, center):
    x = np.random.default_rng(0).normal(size=(2, 30))
    spectra = ops.stft(x, 8, 3, 10, window=window, center=center)
    y = ops.istft(spectra, 8, 3, 10, window=window, center=center, length=26)
    inner = slice(3, 26)  # without centering, nothing reaches the first element
    np.testing.assert_allclose(y.data[:, inner], x[:, inner], rtol=1e-9, atol=1e-9)


def test_gradients_of_stft_and_istft():
    """They are linear: the gradient in a direction is the function of that direction."""
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(2, 20))
    weights = rng.normal(size=(7, 5))
    received = gradient_of(lambda x: ops.stft(x, 6, 3, 8)[1] * weights, x)
    assert received @ v == pytest.approx((ops.stft(v, 6, 3, 8)[1].data * weights).sum())
    re, im, u = rng.normal(size=(3, 7, 5))
    weights = rng.normal(size=18)
    back = lambda re: ops.istft((re, im), 6, 3, 8) * weights
    expected = ops.istft((u, 0 * im), 6, 3, 8).data @ weights
    assert (gradient_of(back, re) * u).sum() == pytest.approx(expected)


def test_istft_of_unknown_lengths():
    x = SymbolicTensor((None, None, 5), "float32")
    y = ops.istft((x, x), 6, 3, 8, length=20)
    assert (y.shape, y.dtype) == ((None, 20), "float32")
    values = (np.ones((2, 7, 5), "float32"),) * 2
    assert y.node.call(values, *y.node.args[1:], **y.node.kwargs).shape == (2, 20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.fft(np.ones(3)), "fft: x must be a tuple of two tensors"),
        (lambda: ops.fft((np.ones(3), np.ones(4))), r"fft: .* \(3,\) and \(4,\)"),
        (lambda: ops.fft2((np.ones(3), np.ones(3))), "fft2: .* at least 2 dimension"),
        (lambda: ops.fft((np.ones((2, 0)), np.ones((2, 0)))), "fft: no elements to transform"),
        (lambda: ops.rfft(np.ones((2, 0))), "rfft: no elements to transform"),
        (lambda: ops.rfft(np.ones(3), 0), "rfft: fft_length must be at least 1, received 0"),
        (lambda: ops.irfft((np.ones(1), np.ones(1))), "irfft: one term alone does not say"),
        (lambda: ops.stft(np.ones(9), 6, 3, 4), "stft: sequence_length and .* received 6, 3 and 4"),
        (lambda: ops.stft(np.ones(9), 4, 3, 4, "han"), "Unknown window of stft: 'han'. Did"),
        (lambda: ops.stft(np.ones(9), 4, 3, 4, np.ones(3)), "stft: the window must have seq"),
        (lambda: ops.istft(np.ones((3, 3)), 4, 3, 4), "istft: x must be a tuple of two tensors"),
    ],
)  # fmt: skip
def test_transforms_refuse(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_transforms_in_half_precision():
    x = np.random.default_rng(0).normal(size=(2, 16)).astype("float16")
    for parts in (ops.fft((x, x)), ops.rfft(x), ops.stft(x, 4, 2, 8)):
        assert {part.dtype for part in parts} == {"float16"}
