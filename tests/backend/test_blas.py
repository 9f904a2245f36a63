"""axpby: the library's one pass equals NumPy's three, and there is a way without the library."""

import numpy as np
import pytest

from gpunn.backend import blas


@pytest.fixture
def without_library(monkeypatch):
    monkeypatch.setattr(blas, "_found", lambda char: None)


def _case(n, dtype):
    rng = np.random.default_rng(0)
    return rng.standard_normal((3, n)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 7, blas.LEAST - 1, blas.LEAST, 3 * blas.LEAST + 5])
@pytest.mark.parametrize("a", [0.25, np.full(1, -0.5)], ids=["number", "array"])
@pytest.mark.parametrize("b", [1, 0.75])
def test_axpby(dtype, n, a, b):
    x, y, t = _case(n, dtype)
    expected = float(a if isinstance(a, float) else a[0]) * x.astype(float) + b * y.astype(float)
    a = a if isinstance(a, float) else a.astype(dtype)
    x_before = x.copy()
    blas.axpby(np, a, x, b, y, t)
    np.testing.assert_allclose(y, expected, rtol=0, atol=4 * np.finfo(dtype).eps * 4)
    np.testing.assert_array_equal(x, x_before)


def test_the_temporary_may_be_x():
    x, y, _ = _case(blas.LEAST, "float32")
    expected = 2 * x + y
    blas.axpby(np, 2.0, x, 1, y, x)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_without_the_library(without_library):
    x, y, t = _case(2 * blas.LEAST, "float32")
    expected = 0.1 * x + 0.9 * y
    blas.axpby(np, 0.1, x, 0.9, y, t)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_numpy_wheels_have_it():
    config = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
    if config != "scipy-openblas":
        pytest.skip(f"this NumPy computes with {config}")
    assert blas._found("f") is not None and blas._found("d") is not None


def test_a_library_that_cannot_be_loaded_is_left_out(monkeypatch, tmp_path):
    broken = tmp_path / "numpy.libs" / "libopenblas.so"
    broken.parent.mkdir()
    broken.write_bytes(b"no library")
    monkeypatch.setattr(blas.np, "__file__", str(tmp_path / "numpy" / "__init__.py"))
    assert len(blas._libraries.__wrapped__()) == 1  # without what the cache holds
