"""Programs as users write them for Keras, one a file: each runs, and its own assertions hold.

A program is a module with a `main()` that returns a dict of its results: numbers, arrays or lists
of them. One with `ON_SIMULATED_GPU = True` also runs on the simulated GPU, with equal results;
`GPUNN_ALL_PROGRAMS=1` runs all of them there, which takes minutes in the emulator, and `-m gpu` all
on a real card. One with `EAGER = True` has a step that reads values on the host; all others must be
recorded.
"""

import importlib
import os
import pathlib
import warnings

import numpy as np
import pytest

import gpunn


def is_program(path):
    return not path.name.startswith(("_", "test_")) and "\ndef main(" in path.read_text("utf-8")


PROGRAMS = [path for path in sorted(pathlib.Path(__file__).parent.glob("*.py")) if is_program(path)]
NAMES = [path.stem for path in PROGRAMS]
ON_GPU = [p.stem for p in PROGRAMS if "\nON_SIMULATED_GPU = True" in p.read_text("utf-8")]


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """What a program writes goes to a folder of its own; what it names or sets ends with it."""
    monkeypatch.chdir(tmp_path)
    gpunn.utils.clear_session()
    yield
    gpunn.config.set_dtype_policy(None)  # that of floatx


def results(name):
    program = importlib.import_module(f"tests.programs.{name}")
    with warnings.catch_warnings():
        if not getattr(program, "EAGER", False):
            warnings.filterwarnings("error", message=".* not recorded and runs eagerly")
        found = program.main()
    assert isinstance(found, dict) and found, f"{name}.main() returns a dict of its results"
    return {key: np.asarray(value) for key, value in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_program(name):
    for key, value in results(name).items():
        assert np.all(np.isfinite(value)), f"{name}: {key} is {value}"


@pytest.mark.parametrize("name", NAMES if os.environ.get("GPUNN_ALL_PROGRAMS") else ON_GPU)
def test_program_on_the_simulated_gpu(simulated_gpu, name):
    compare_with_cpu(name)


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_program_on_a_gpu(real_gpu, name):
    compare_with_cpu(name)


def compare_with_cpu(name):
    """Equal results; of the longer trainings similar ones, for they make differences grow."""
    cpu = results(name)
    gpunn.utils.clear_session()
    with gpunn.device("gpu:0"):
        gpu = results(name)
    assert gpu.keys() == cpu.keys()
    bounds = {"rtol": 1e-4, "atol": 1e-5} if name in ON_GPU else {"rtol": 0.05, "atol": 0.01}
    for key, value in cpu.items():
        np.testing.assert_allclose(gpu[key], value, **bounds, err_msg=key)
