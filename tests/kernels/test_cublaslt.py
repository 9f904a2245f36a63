"""Matrix products through cublasLt's C interface (the fake library), and without the library."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from gpunn.backend import cublaslt, devices
from gpunn.errors import GpunnError
from gpunn.ops.gemm import gemm

RTOL = {"float16": 2e-3, "float32": 1e-5, "float64": 1e-12}


@pytest.fixture
def gpu(simulated_gpu):
    return devices.gpu()


def numbers(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def by_loops(a, b, bias=None, relu=False):
    """out = max(0, a b + bias) in float64, element by element."""
    out = np.zeros((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            out[i, j] = sum(float(a[i, k]) * float(b[k, j]) for k in range(a.shape[1]))
            out[i, j] += 0.0 if bias is None else float(bias[j])
    return np.maximum(out, 0) if relu else out


def product(gpu, a, b, bias=None, shape=None, **options):
    shape = shape or (*a.shape[:-1], b.shape[-1])
    out = gpu.empty(shape, a.dtype)
    gemm(
        gpu.asarray(a), gpu.asarray(b), None if bias is None else gpu.asarray(bias), out, **options
    )
    return out.get()


def plans():
    (owner,) = cublaslt._state.handles.values()
    return owner.plans


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize(("with_bias", "relu"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_all_transposes_and_epilogues(gpu, dtype, ta, tb, with_bias, relu):
    a, b = numbers((5, 7), dtype), numbers((7, 4), dtype, 1)
    bias = numbers((4,), dtype, 2) if with_bias else None
    left = np.ascontiguousarray(a.T) if ta else a
    right = np.ascontiguousarray(b.T) if tb else b
    received = product(
        gpu, left, right, bias, (5, 4), transpose_a=ta, transpose_b=tb, relu=bool(relu)
    )
    expected = by_loops(a, b, bias, relu)
    np.testing.assert_allclose(received, expected, rtol=RTOL[dtype], atol=4 * RTOL[dtype])
    assert len(plans()) == 1


@pytest.mark.parametrize(("ta", "tb"), [(False, False), (True, False), (False, True)])
def test_batches(gpu, ta, tb):
    a, b = numbers((3, 2, 5), "float32"), numbers((3, 5, 4), "float32", 1)
    left = np.ascontiguousarray(a.swapaxes(1, 2)) if ta else a
    right = np.ascontiguousarray(b.swapaxes(1, 2)) if tb else b
    received = product(gpu, left, right, None, (3, 2, 4), transpose_a=ta, transpose_b=tb)
    for i in range(3):
        np.testing.assert_allclose(received[i], by_loops(a[i], b[i]), rtol=1e-5, atol=1e-6)
    assert len(plans()) == 1


def test_plans_are_made_once_for_each_kind_of_product(gpu):
    """Alignment counts, too: cublasLt's fast algorithms read 16 bytes at once."""
    memory = gpu.asarray(numbers((100,), "float32"))
    b, out = gpu.asarray(numbers((3, 2), "float32")), gpu.empty((4, 2), "float32")
    for start in (0, 12, 24, 36):
        a = memory[start : start + 12].reshape(4, 3)
        gemm(a, b, None, out)
        expected = by_loops(a.get(), b.get())
        np.testing.assert_allclose(out.get(), expected, rtol=1e-5, atol=1e-6)
    before = len(plans())
    assert before <= 4
    for start in (0, 12, 24, 36):
        gemm(memory[start : start + 12].reshape(4, 3), b, None, out)
    assert len(plans()) == before
    gemm(memory[:6].reshape(2, 3), b, None, out[:2])
    assert len(plans()) == before + 1


def test_a_view_at_an_odd_place_is_multiplied_rightly(gpu):
    memory = gpu.asarray(numbers((40,), "float32"))
    a, b = memory[1:13].reshape(4, 3), memory[13:19].reshape(3, 2)
    out = gpu.empty((4, 2), "float32")
    gemm(a, b, None, out)
    np.testing.assert_allclose(out.get(), by_loops(a.get(), b.get()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_without_the_library_cupys_matmul_computes(gpu, dtype):
    cublaslt.use_library(None)
    a, b, bias = numbers((5, 7), dtype), numbers((7, 4), dtype, 1), numbers((4,), dtype, 2)
    received = product(gpu, a, b, bias, relu=True)
    expected = by_loops(a, b, bias, True)
    np.testing.assert_allclose(received, expected, rtol=2 * RTOL[dtype], atol=8 * RTOL[dtype])
    assert not cublaslt._state.handles


@pytest.mark.parametrize(
    "case", ["strided", "integers", "no rows", "no inner axis", "four axes", "mixed dtypes"]
)
def test_what_the_library_cannot_do_goes_to_the_reference(gpu, case):
    a, b = numbers((4, 6), "float32"), numbers((6, 2), "float32", 1)
    out = gpu.empty((4, 2), "float32")
    left, right = gpu.asarray(a), gpu.asarray(b)
    if case == "strided":
        left = gpu.asarray(a.T.copy()).T
    elif case == "integers":
        a, b = (10 * a).astype("int32"), (10 * b).astype("int32")
        left, right, out = gpu.asarray(a), gpu.asarray(b), gpu.empty((4, 2), "int32")
    elif case == "no rows":
        a, left, out = a[:0], left[:0], out[:0]
    elif case == "no inner axis":
        a, b, left, right = a[:, :0], b[:0], gpu.zeros((4, 0), "float32"), right[:0]
    elif case == "four axes":
        left, right, out = left[None, None], right[None, None], out[None, None]
    elif case == "mixed dtypes":
        out = gpu.empty((4, 2), "float64")
    gemm(left, right, None, out)
    np.testing.assert_allclose(
        out.get().reshape(a.shape[0], 2), by_loops(a, b), rtol=1e-5, atol=1e-6
    )
    assert not cublaslt._state.handles


def test_a_library_that_fails_is_reported():
    class Broken:
        @staticmethod
        def cublasLtCreate(handle):  # noqa: N802
            return 1

    with pytest.raises(GpunnError, match="cublasLtCreate failed with status 1"):
        cublaslt.CublasLt(Broken(), None)


def test_no_library_found(monkeypatch):
    monkeypatch.setattr(cublaslt, "_library_candidates", lambda: ["/nowhere/libcublasLt.so"])
    monkeypatch.setattr(cublaslt, "_state", cublaslt._State())
    assert cublaslt.library() is None


def test_a_library_is_searched_once(monkeypatch, simulated_gpu):
    from tests.simulated_gpu import fake_cublaslt_path

    asked = []
    monkeypatch.setattr(
        cublaslt,
        "_library_candidates",
        lambda: asked.append(1) or ["/no", str(fake_cublaslt_path())],
    )
    monkeypatch.setattr(cublaslt, "_state", cublaslt._State())
    assert isinstance(cublaslt.library(), ctypes.CDLL)
    assert cublaslt.library() is cublaslt.library()
    assert asked == [1]
