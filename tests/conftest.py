"""What all tests share: NumPy as the default backend, fresh settings, and a GPU without a GPU."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import tempfile

os.environ.setdefault("GPUNN_BACKEND", "numpy")
os.environ["GPUNN_CACHE_DIR"] = tempfile.mkdtemp(prefix="gpunn-tests-")  # not the user's own
os.environ.setdefault("GPUNN_ROUTE_TIMING", "0")  # the same routes in each run

import pytest

from gpunn import config
from gpunn.backend import cublaslt, devices

atexit.register(shutil.rmtree, os.environ["GPUNN_CACHE_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True)
def _fresh_settings():
    """Whatever a test sets (floatx, epsilon, data format) is gone after it."""
    names = (
        "floatx", "epsilon", "image_data_format", "matmul_precision", "route_timing",
        "conv_workspace",
    )  # fmt: skip
    before = {name: getattr(config, name)() for name in names}
    yield
    for name, value in before.items():
        getattr(config, f"set_{name}")(value)


@pytest.fixture
def simulated_gpu():
    """The stand-in for `cupy` as "gpu:0", with the fake cublasLt; kernels run in the emulator."""
    from tests.simulated_gpu import fake_cublaslt_path, simulated_cupy
    from tests.simulated_gpu.emulator import available

    usable, reason = available()
    if not usable:
        pytest.skip(reason)
    devices.use_cupy(simulated_cupy)
    cublaslt.use_library(ctypes.CDLL(str(fake_cublaslt_path())))
    yield simulated_cupy
    cublaslt.use_library(None)
    devices.use_cupy(None, "no GPU in tests")
