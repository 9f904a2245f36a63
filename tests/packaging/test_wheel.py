"""The built wheel, installed into an empty environment, trains; it carries the CUDA sources."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TRAIN = """
import numpy as np, gpunn, sys
from gpunn.backend.cuda import source_folder
assert "site-packages" in gpunn.__file__, gpunn.__file__
assert source_folder().parent.name == "gpunn" and (source_folder() / "reduce.cu").is_file()
x = np.linspace(-1, 1, 256, dtype="float32")[:, None]
model = gpunn.Sequential([gpunn.Input((1,)), gpunn.layers.Dense(8, activation="tanh"),
                          gpunn.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
history = model.fit(x, x**2, epochs=5, batch_size=32, verbose=1)
losses = history.history["loss"]
assert losses[-1] < losses[0], losses
assert not {"cupy", "matplotlib"} & set(sys.modules)
print("trained", gpunn.__version__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(folder), str(ROOT)], check=True)
    (found,) = folder.glob("gpunn-*.whl")
    return found


def test_wheel_holds_the_cuda_sources_and_nothing_foreign(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {Path(n).name for n in names if n.startswith("gpunn/kernels/")}
    assert shipped == {p.name for p in (ROOT / "kernels").iterdir()}
    tops = {n.split("/")[0] for n in names}
    assert tops == {"gpunn", wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"}


def test_wheel_trains_in_an_empty_environment(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GPUNN"))}
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path, env=clean)
    run = subprocess.run(
        [python, "-c", TRAIN], cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "trained" in run.stdout
    info = subprocess.run(
        [python, "-m", "gpunn", "info"], cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert info.returncode == 0 and "CuPy is not installed" in info.stdout, info.stderr


def test_numpy_and_rich_are_the_only_requirements(wheel):
    metadata = next(n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    needed = [
        line.split(":", 1)[1].strip()
        for line in text.splitlines()
        if line.startswith("Requires-Dist") and "extra ==" not in line
    ]
    assert sorted(n.split(">")[0] for n in needed) == ["numpy", "rich"]
