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
    done = run(SCRIPT, "--device", "cpu", "--epochs", 12, "--output", tmp_path)
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
    found = example.cross_validate((x, y), 2, seed=0)
    assert found["validation"].shape == (4, 2) and len(seen) == 4
    for (xs, ys, x_val, y_val), errors in zip(seen, found["training"], strict=True):
        np.testing.assert_allclose(xs.mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(xs.std(0), 1, atol=1e-6)
        assert len(xs) == 30 and np.abs(x_val.mean(0)).max() > 0.01
        assert ys.shape == (30, 1) and y_val.shape == (10, 1)
        # The error is told in the unit of y again, by the deviation that was divided by.
        rows = [np.flatnonzero((x == row).all(1))[0] for row in _undone(x_val, xs, x)]
        known = np.delete(y, rows)
        np.testing.assert_allclose(errors, known.std() * np.array([1.0, 0.5]), rtol=1e-5)


def _undone(x_val, xs, x):
    """The rows of x nearest to what x_val was, for any of the linear maps that fit."""
    for rows in (np.arange(40)[i::1] for i in range(1)):
        candidates = x[rows]
        found = []
        for row in x_val:
            order = np.argsort(candidates[:, 0])
            values = np.sort(np.concatenate([xs[:, 0], x_val[:, 0]]))
            found.append(candidates[order[np.searchsorted(values, row[0])]])
        return found


def test_the_other_guesses_are_what_they_say(example, monkeypatch):
    x = np.linspace(0, 1, 60, dtype="float32")[:, None]
    data, test = (x[:50], 3 * x[:50, 0] + 1), (x[50:], 3 * x[50:, 0] + 1)
    found = example.compare(data, test, epochs=1)
    assert found["linear model"] < 1e-5
    assert found["median"] == pytest.approx(np.mean(test[1] - np.median(data[1])), rel=1e-5)
    assert list(found)[0] == "network, 1 epochs"


def test_houses_of_a_folder(example, tmp_path):
    import joblib

    rows = np.arange(1000.0)[:, None] + np.arange(9) / 10  # the price first
    joblib.dump(rows, tmp_path / "cal_housing_py3.pkz")
    task = example.load(tmp_path)
    x, y = task.data
    assert task.unit == "$1000" and x.shape == (600, 8) and len(set(y)) == 600
    np.testing.assert_allclose(y, 100 * np.round(x[:, 0]) / 100000, rtol=1e-3)  # from dollars


def test_a_folder_without_houses(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--data", tmp_path / "none", "--output", tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"There are no house prices in {tmp_path / 'none'}" in done.stderr
    assert "fetch_california_housing" in done.stderr


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
