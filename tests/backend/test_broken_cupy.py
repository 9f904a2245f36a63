"""A missing or broken CuPy: one clear line, the CPU computes, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

USE = "import gpunn\nfrom gpunn import ops\nprint(ops.zeros(1).device)"
RUNTIME = """
class cuda:
    class runtime:
        @staticmethod
        def getDeviceCount():
            {count}
float32 = "float32"
class ElementwiseKernel:
    def __init__(self, *args): pass
    def __call__(self, x): {kernel}
def zeros(shape, dtype): return 0.0
class ndarray: pass
"""
BROKEN = {
    "import error": (
        "raise ImportError('libcuda.so.1: cannot open shared object file')",
        "does not work here: libcuda.so.1: cannot open shared object file",
    ),
    "several lines": (
        "raise RuntimeError('first line of many\\nsecond line\\nthird')",
        "does not work here: first line of many",
    ),
    "no message": ("raise AssertionError", "does not work here: AssertionError"),
    "no driver": (
        RUNTIME.format(
            count="raise RuntimeError('cudaErrorInsufficientDriver: too old')", kernel="return 1.0"
        ),
        "cudaErrorInsufficientDriver: too old",
    ),
    "no device": (
        RUNTIME.format(count="return 0", kernel="return 1.0"),
        "the NVIDIA driver reports no device",
    ),
    "no nvrtc": (
        RUNTIME.format(count="return 1", kernel="raise OSError('libnvrtc.so.13 is missing')"),
        "libnvrtc.so.13 is missing",
    ),
    "wrong result": (
        RUNTIME.format(count="return 1", kernel="return 7.0"),
        "a kernel gave a wrong result",
    ),
    "syntax error": ("this is no Python", "does not work here: invalid syntax"),
}


def run(code, tmp_path, **environment):
    """In a fresh Python that finds the packages in `tmp_path` first."""
    env = {k: v for k, v in os.environ.items() if k != "GPUNN_BACKEND"}
    path = os.pathsep.join(p for p in (str(tmp_path), env.get("PYTHONPATH")) if p)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**env, "PYTHONPATH": path, **environment},
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def with_cupy(tmp_path):
    def install(source):
        (tmp_path / "cupy.py").write_text(textwrap.dedent(source))
        return tmp_path

    return install


@pytest.mark.parametrize("name", BROKEN)
def test_the_cpu_takes_over_and_says_why(with_cupy, name):
    source, reason = BROKEN[name]
    code, out, err = run(USE, with_cupy(source))
    assert (code, out) == (0, "cpu"), err
    assert "Traceback" not in err
    assert err.count("gpunn uses the CPU: CuPy is installed, but") == 1
    assert reason in err and "second line" not in err


@pytest.mark.parametrize("name", ["import error", "no device"])
def test_numpy_mode_does_not_even_look(with_cupy, name):
    assert run(USE, with_cupy(BROKEN[name][0]), GPUNN_BACKEND="numpy") == (0, "cpu", "")


@pytest.mark.parametrize("name", ["import error", "no nvrtc"])
def test_cupy_mode_insists(with_cupy, name):
    source, reason = BROKEN[name]
    code, _, err = run(USE, with_cupy(source), GPUNN_BACKEND="cupy")
    assert code == 1
    last = err.splitlines()[-1]
    assert "DeviceError: GPUNN_BACKEND=cupy, but there is no GPU to use" in last and reason in last


NO_CUPY = """
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "cupy" else real(name, *rest)
"""


def test_without_cupy_the_cpu_is_used_silently(tmp_path):
    assert run(NO_CUPY + USE, tmp_path) == (0, "cpu", "")
    code, _, err = run(NO_CUPY + USE, tmp_path, GPUNN_BACKEND="cupy")
    assert (
        code == 1 and "CuPy is not installed (pip install 'gpunn[cuda13]'" in err.splitlines()[-1]
    )


def test_an_error_is_shown_once(with_cupy):
    code, _out, err = run(USE + "\nops.ones(2); ops.ones(3)", with_cupy(BROKEN["no device"][0]))
    assert code == 0 and err.count("gpunn uses the CPU") == 1
