"""What all tests share: NumPy as the default backend, fresh settings, and a GPU without a GPU."""

from __future__ import annotations

import ctypes
import os

os.environ.setdefault("GPUNN_BACKEND", "numpy")

import pytest

from gpunn import config
from gpunn.backend import cublaslt, devices


@pytest.fixture(autouse=True)
def _fresh_settings():
    """Whatever a test sets (floatx, epsilon, data format) is gone after it."""
    before = config.floatx(), config.epsilon(), config.image_data_format()
    yield
    config.set_floatx(before[0])
    config.set_epsilon(before[1])
    config.set_image_data_format(before[2])


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
