"""What all tests share: NumPy as the default backend, fresh settings, and a GPU without a GPU."""

from __future__ import annotations

import atexit
import ctypes
import mmap
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("GPUNN_BACKEND", "numpy")
os.environ["GPUNN_CACHE_DIR"] = tempfile.mkdtemp(prefix="gpunn-tests-")  # not the user's own
os.environ.setdefault("GPUNN_ROUTE_TIMING", "0")  # the same routes in each run

import pytest

from gpunn import config
from gpunn.backend import cublaslt, devices

atexit.register(shutil.rmtree, os.environ["GPUNN_CACHE_DIR"], ignore_errors=True)


def _compile_jax_quickly():
    """Keras' JAX compiles each operation for each shape to run it once: compiling is what counts.

    Set before JAX is imported. XLA ends the process at a flag it does not know.
    """
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    flag, flags = "xla_cpu_use_fusion_emitters", os.environ.get("XLA_FLAGS", "")
    jaxlib = find_spec("jaxlib")
    if jaxlib is None or jaxlib.origin is None or flag in flags:
        return
    for path in Path(jaxlib.origin).parent.glob("*jax_common*"):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
            if code.find(flag.encode()) >= 0:
                os.environ["XLA_FLAGS"] = f"{flags} --{flag}=false".strip()


_compile_jax_quickly()


@pytest.fixture(autouse=True, scope="module")
def _forget_what_jax_compiled():
    """Else a worker grows to 4 GB of programs for shapes that do not come again, and slows down."""
    yield
    jax = sys.modules.get("jax")
    if jax is not None:
        jax.clear_caches()


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


@pytest.fixture
def real_gpu():
    """CuPy with a card as "gpu:0", for tests marked `gpu`."""
    devices.use_cupy(None)
    problem = devices.gpu_problem()
    if problem is not None:
        devices.use_cupy(None, "no GPU in tests")
        pytest.skip(f"no GPU to use: {problem}")
    cublaslt.use_library(cublaslt._open_library())
    yield devices.gpu().xp
    cublaslt.use_library(None)
    devices.use_cupy(None, "no GPU in tests")
