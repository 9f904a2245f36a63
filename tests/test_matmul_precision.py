"""`gpunn.config.set_matmul_precision`: the setting, and products of matrices that follow it.

Convolutions: tests/kernels/test_conv_tensor.py.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

from gpunn import config
from gpunn.backend import cublaslt, devices
from gpunn.changes import changes
from gpunn.ops.gemm import gemm

BIT = 2.0**-12  # 1 + BIT is no number of tf32, and none of float16
COMPUTE_TYPE = 0  # of a matmul descriptor


@pytest.fixture(autouse=True)
def _restored():
    before = config.matmul_precision()
    yield
    config.set_matmul_precision(before)


def test_the_default_is_full_precision():
    assert config.matmul_precision() == "highest"


def test_a_change_makes_recordings_stale():
    before = changes.count
    config.set_matmul_precision("high")
    assert config.matmul_precision() == "high"
    assert changes.count > before


@pytest.mark.parametrize("value", ["hi", "medium", None])
def test_unknown_precisions(value):
    with pytest.raises(ValueError, match=r"matmul precision.*highest"):
        config.set_matmul_precision(value)
    assert config.matmul_precision() == "highest"


def started_with(value):
    """What a fresh process says of its precision."""
    environment = {**os.environ, "GPUNN_MATMUL_PRECISION": value}
    command = [sys.executable, "-c", "from gpunn import config; print(config.matmul_precision())"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_environment_sets_it():
    assert started_with("high").stdout.strip() == "high"
    wrong = started_with("low")
    assert wrong.returncode and "matmul precision" in wrong.stderr and "'low'" in wrong.stderr


def product(dtype):
    """(1 + BIT) · 1 on the GPU"""
    gpu, out = devices.gpu(), devices.gpu().empty((4, 4), dtype)
    a, b = np.full((4, 4), 1 + BIT, dtype), np.eye(4, dtype=dtype)
    gemm(gpu.asarray(a), gpu.asarray(b), None, out)
    return out.get()


def compute_types():
    """What the library has been asked for, in the order of the plans."""
    (owner,) = cublaslt._state.handles.values()
    value, size = ctypes.c_int32(), ctypes.c_size_t()
    for plan in owner.plans.values():
        status = owner.lib.cublasLtMatmulDescGetAttribute(
            plan.descriptor, COMPUTE_TYPE, ctypes.byref(value), ctypes.c_size_t(4),
            ctypes.byref(size),
        )  # fmt: skip
        assert status == 0
        yield value.value


def test_products_of_matrices_follow(simulated_gpu):
    for setting, expected in (("highest", 1 + BIT), ("high", 1.0), ("highest", 1 + BIT)):
        config.set_matmul_precision(setting)
        np.testing.assert_array_equal(product("float32"), np.full((4, 4), expected, "float32"))
    assert list(compute_types()) == [68, 77]  # CUBLAS_COMPUTE_32F and _32F_FAST_TF32


def test_other_dtypes_are_not_affected(simulated_gpu):
    config.set_matmul_precision("high")
    np.testing.assert_array_equal(product("float64"), np.full((4, 4), 1 + BIT))
    product("float16")
    assert list(compute_types()) == [70, 68]  # CUBLAS_COMPUTE_64F and _32F
