"""The digits example as a user runs it: accuracy, pictures, and what it says without extras."""

import re

import pytest

from tests.examples.running import EXAMPLES, png_size, run

SCRIPT = EXAMPLES / "digits_mlp.py"


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


@pytest.mark.parametrize(
    "script", ["digits_mlp.py", "digits_cnn.py", "photos_transfer.py", "separable_vs_conv.py"]
)
@pytest.mark.parametrize("package", ["matplotlib", "sklearn"])
def test_a_missing_package_names_the_extra(package, script):
    path = [str(EXAMPLES), str(EXAMPLES / script)]  # python SCRIPT puts its folder first
    hide = f"import runpy, sys; sys.modules[{package!r}] = None; sys.path.insert(0, {path[0]!r})"
    done = run("-c", f"{hide}; runpy.run_path({path[1]!r})")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("gpunn.errors.MissingExtraError: This example needs the package")
    assert f"'{package}'" in last and "pip install 'gpunn[examples]'" in last


def test_an_unknown_device_is_refused():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--device", "tpu")
    assert done.returncode == 2
    assert "invalid choice: 'tpu'" in done.stderr


def test_no_epochs_are_refused():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--epochs", "0")
    assert done.returncode == 2
    assert "--epochs must be at least 1, received 0" in done.stderr
