"""The learning and validation curves as a user draws them, and what a point of them is."""

import re
import sys

import numpy as np
import pytest

from tests.examples.running import EXAMPLES, png_size, run

SCRIPT = EXAMPLES / "bias_variance.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    pytest.importorskip("sklearn", "1.6")
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import bias_variance

    yield bias_variance
    for name in ("bias_variance", "_tables", "_shared"):
        sys.modules.pop(name, None)


def test_draws_bias_and_variance(tmp_path):
    pytest.importorskip("sklearn", "1.6")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--device", "cpu", "--epochs", 6, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.findall(
        r"^(\w+).*: training error ([\d.]+), validation error ([\d.]+)", done.stdout, re.M
    )
    errors = [(float(training), float(validation)) for _, training, validation in found]
    assert [name for name, *_ in found] == ["Bias", "Variance", "Over", "Over"]
    (bias, bias_val), (variance, variance_val), *_ = errors
    assert bias_val - bias < 5 and variance_val - variance > 4 and variance < bias - 10
    tests = re.findall(r"Test error, .+: ([\d.]+) points", done.stdout)
    assert len(tests) == 2 and all(45 < float(error) < 65 for error in tests)
    assert [p.name for p in tmp_path.iterdir()] == ["bias_variance.png"]
    width, height = png_size(tmp_path / "bias_variance.png")
    assert 600 <= width <= 2500 and 300 <= height <= 2500


def test_a_point_is_the_error_of_networks_trained_by_hand(example):
    rng = np.random.default_rng(0)
    x = rng.normal(5, 3, (30, 2)).astype("float32")
    y = (x[:, 0] - x[:, 1] ** 2).astype("float32")
    curve = example.Experiment((x, y), epochs=3, seed=1).over("units", (2, 5), "", "")
    assert curve.validation.shape == curve.training.shape == (2, 3)
    for fold, (known, held_out) in enumerate(
        example.KFold(3, shuffle=True, random_state=1).split(x)
    ):
        mean, deviation = x[known].mean(0), x[known].std(0)
        y_mean, y_deviation = y[known].mean(), y[known].std()
        xs, ys = (x - mean) / deviation, ((y - y_mean) / y_deviation)[:, None]
        model = example.make_model(xs[known], ys[known], seed=1, units=5)
        model.fit(xs[known], ys[known], batch_size=32, epochs=3, verbose=0)
        error = (model.predict(xs, verbose=0)[:, 0] - ys[:, 0]) * y_deviation
        for rows, found in ((known, curve.training), (held_out, curve.validation)):
            np.testing.assert_allclose(
                found[1, fold], np.sqrt(np.mean(error[rows] ** 2)), rtol=1e-4
            )


def test_the_best_is_of_the_mean_validation_error(example):
    training, validation = np.zeros((3, 2)), np.array([[4.0, 6], [1, 8], [7, 7]])
    assert example.Curve("", "", (1, 2, 3), training, validation).best == 1


def test_the_penalty_is_part_of_the_loss(example):
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    model = example.make_model(x, y, seed=0, units=2, l2=0.5)
    kernels = [w for w in model.get_weights() if w.ndim == 2]
    penalty = 0.5 * sum(float((k.astype("float64") ** 2).sum()) for k in kernels)
    error = float(np.mean((model.predict(x, verbose=0) - y) ** 2))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(penalty + error, rel=1e-5)
