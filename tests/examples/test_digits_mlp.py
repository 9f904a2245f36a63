"""The digits example as a user runs it: accuracy, pictures, and what it says without extras."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "digits_mlp.py"
ENVIRONMENT = {**os.environ, "GPUNN_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1"}


def run(*arguments):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)


def png_size(path):
    """Width and height, from the file's header."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def test_reads_digits_and_draws(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    output = tmp_path / "new" / "folder"
    done = run(SCRIPT, "--device", "cpu", "--output", output)
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", done.stdout)
    assert accuracy is not None and float(accuracy[1]) >= 97
    assert sorted(p.name for p in output.iterdir()) == ["learning_curves.png", "mistakes.png"]
    for picture in output.iterdir():
        width, height = png_size(picture)
        assert 600 <= width <= 2500 and 300 <= height <= 2500


def test_few_epochs_and_another_seed(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--device", "cpu", "--epochs", 2, "--seed", 5, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Epoch 2/2" in done.stdout and "Epoch 3" not in done.stdout


@pytest.mark.parametrize("package", ["matplotlib", "sklearn"])
def test_a_missing_package_names_the_extra(package):
    hide = f"import runpy, sys; sys.modules[{package!r}] = None; runpy.run_path({str(SCRIPT)!r})"
    done = run("-c", hide)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("gpunn.errors.MissingExtraError")
    assert f"needs the package '{package}'" in last and "pip install 'gpunn[examples]'" in last


def test_an_unknown_device_is_refused():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--device", "tpu")
    assert done.returncode == 2
    assert "invalid choice: 'tpu'" in done.stderr
