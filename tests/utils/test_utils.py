"""gpunn.utils and `python -m gpunn`."""

import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import __main__ as command
from gpunn import utils

keras = pytest.importorskip("keras")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([0, 2, 1], None), ([0, 2, 1], 5), ([[0], [2]], None), ([[0, 1], [2, 0]], 3),
        (np.array([0.0, 2.0]), None), (2, 4), ([], 3),
    ],
)  # fmt: skip
def test_to_categorical_as_keras(labels, classes):
    found = utils.to_categorical(labels, classes)
    expected = keras.utils.to_categorical(np.asarray(labels, dtype="int64"), classes)
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 3], 3, r"labels must lie in \[0, 3\), received 0 to 3"),
        ([-1, 1], None, "received -1 to 1"),
        ([0.5], None, "must be integers, received fractions"),
    ],
)
def test_to_categorical_errors(labels, classes, message):
    with pytest.raises(ValueError, match=message):
        utils.to_categorical(labels, classes)


@pytest.mark.parametrize("options", [{}, {"axis": -1}, {"order": 1}])
def test_normalize_as_keras(options):
    x = np.array([[3.0, 4.0], [0.0, 0.0], [-1.0, 2.0]])
    np.testing.assert_allclose(utils.normalize(x, **options), keras.utils.normalize(x, **options))


def test_normalize_along_the_first_axis():
    found = utils.normalize([[3.0, 0.0], [4.0, 0.0]], axis=0)
    np.testing.assert_allclose(found, [[0.6, 0], [0.8, 0]])


def test_clear_session_starts_the_names_anew():
    utils.clear_session()
    assert [gpunn.layers.Dense(1).name, gpunn.layers.Dense(1).name] == ["dense", "dense_1"]
    utils.clear_session()
    assert gpunn.layers.Dense(1).name == "dense"


def test_info(capsys):
    assert command.main(["info"]) == 0
    out = capsys.readouterr().out
    assert gpunn.__version__ in out and np.__version__ in out and "CUDA sources" in out


def test_info_on_a_gpu(capsys, simulated_gpu):
    assert command.main(["info"]) == 0
    out = capsys.readouterr().out
    assert "gpu:0" in out and "cublasLt" in out


def test_check_without_a_gpu(capsys):
    from gpunn.backend import devices

    devices.use_cupy(None, "none in this test")
    assert command.main(["check"]) == 1
    assert "There is nothing to check: none in this test." in capsys.readouterr().out


def test_as_a_module():
    environment = {**os.environ, "GPUNN_BACKEND": "numpy"}
    run = lambda *a: subprocess.run(
        [sys.executable, "-m", "gpunn", *a], capture_output=True, text=True, env=environment
    )
    assert run("info").returncode == 0
    wrong = run("inform")
    assert wrong.returncode == 2 and "invalid choice: 'inform'" in wrong.stderr


def test_get_source_inputs():
    a, b, c = (gpunn.Input((3,), name=name) for name in "abc")
    y = gpunn.layers.Add()([gpunn.layers.Dense(3)(a), b * 2]) + a
    assert gpunn.utils.get_source_inputs(y) == [a, b]
    assert gpunn.utils.get_source_inputs(c) == [c]
    with pytest.raises(TypeError, match="takes a symbolic tensor, as Input.* received a ndarray"):
        gpunn.utils.get_source_inputs(np.ones(3))


def test_clear_session_may_keep_the_memory():
    gpunn.utils.clear_session(free_memory=False)
    assert gpunn.layers.Dense(2).name == "dense"
