"""The K-fold example as a user runs it, and that no fold sees what it is validated on."""

import re
import sys

import numpy as np
import pytest

from tests.examples.running import EXAMPLES, png_size, run

SCRIPT = EXAMPLES / "house_prices_kfold.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import house_prices_kfold

    yield house_prices_kfold
    for name in ("house_prices_kfold", "_tables", "_shared"):
        sys.modules.pop(name, None)


def test_validates_tests_and_draws(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--device", "cpu", "--epochs", 8, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "progression of diabetes: 353 rows to learn from, 89 to test" in done.stdout
    folds = [float(v) for v in re.findall(r"│ \d +│ ([\d.]+) │", done.stdout)]
    mean = re.search(r"│ mean │ ([\d.]+) │", done.stdout)
    assert len(folds) == 4 and float(mean[1]) == pytest.approx(np.mean(folds), abs=0.1)
    found = dict(re.findall(r"Test MAE, (.+): ([\d.]+) points", done.stdout))
    network, linear, median = map(float, found.values())
    assert max(network, linear) < 0.85 * median
    assert [p.name for p in tmp_path.iterdir()] == ["kfold.png"]
    width, height = png_size(tmp_path / "kfold.png")
    assert 600 <= width <= 2500 and 300 <= height <= 2500


def test_standardization_knows_the_training_rows_only(example, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (40, 2)).astype("float32"), rng.normal(size=40).astype("float32")
    seen = []

    class Model:
        def fit(self, x, y, validation_data, **_):
            seen.append((x, y, *validation_data))
            return type("History", (), {"history": {"mae": [1.0, 0.5], "val_mae": [2.0, 1.5]}})

    monkeypatch.setattr(example, "make_model", lambda features: Model())
    found = example.cross_validate((x, y), 2, seed=5)
    folds = example.KFold(4, shuffle=True, random_state=5).split(x)
    for i, (known, held_out) in enumerate(folds):
        mean, deviation = x[known].mean(0), x[known].std(0)
        y_mean, y_deviation = y[known].mean(), y[known].std()
        expected = (
            (x[known] - mean) / deviation,
            (y[known, None] - y_mean) / y_deviation,
            (x[held_out] - mean) / deviation,
            (y[held_out, None] - y_mean) / y_deviation,
        )
        for given, right in zip(seen[i], expected, strict=True):
            np.testing.assert_allclose(given, right, atol=1e-5)
        np.testing.assert_allclose(found["training"][i], y_deviation * np.array([1.0, 0.5]))
        np.testing.assert_allclose(found["validation"][i], y_deviation * np.array([2.0, 1.5]))


def test_the_other_guesses_are_what_they_say(example, monkeypatch):
    x = np.linspace(0, 1, 60, dtype="float32")[:, None]
    data, test = (x[:50], 3 * x[:50, 0] + 1), (x[50:], 3 * x[50:, 0] + 1)
    found = example.compare(data, test, epochs=1)
    assert found["linear model"] < 1e-5
    assert found["median"] == pytest.approx(np.mean(test[1] - np.median(data[1])), rel=1e-5)
    assert next(iter(found)) == "network, 1 epochs"


def test_houses_of_a_folder(example, tmp_path):
    import joblib

    rows = np.arange(1000.0)[:, None] + np.arange(9) / 10  # the price first
    joblib.dump(rows, tmp_path / "cal_housing_py3.pkz")
    task = example.load(tmp_path)
    x, y = task.data
    assert task.unit == "$1000" and x.shape == (600, 8) and len(set(y)) == 600
    np.testing.assert_allclose(y, np.round(x[:, 0] - 0.1) / 1000)  # from dollars


def test_a_folder_without_houses(example, tmp_path):
    with pytest.raises(SystemExit, match="There are no house prices in") as caught:
        example.load(tmp_path / "none")
    assert f"fetch_california_housing as f; f(data_home='{tmp_path / 'none'}')" in str(caught.value)


@pytest.mark.parametrize(
    ("script", "package"),
    [
        ("house_prices_kfold.py", "matplotlib"),
        ("skewed_classes.py", "sklearn"),
        ("bias_variance.py", "sklearn"),
        ("custom_loss_and_loop.py", "matplotlib"),
    ],
)
def test_a_missing_package_names_the_extra(package, script):
    path = [str(EXAMPLES), str(EXAMPLES / script)]  # python SCRIPT puts its folder first
    hide = f"import runpy, sys; sys.modules[{package!r}] = None; sys.path.insert(0, {path[0]!r})"
    done = run("-c", f"{hide}; runpy.run_path({path[1]!r})")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("gpunn.errors.MissingExtraError: This example needs the package")
    assert f"'{package}'" in last and "pip install 'gpunn[examples]'" in last
