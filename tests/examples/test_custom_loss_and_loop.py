"""The own loss and loop as a user runs them, the loss's arithmetic, the loop beside `fit`."""

import re
import sys
import warnings

import numpy as np
import pytest

import gpunn as keras
from tests.examples.running import EXAMPLES, png_size, run

SCRIPT = EXAMPLES / "custom_loss_and_loop.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import custom_loss_and_loop

    yield custom_loss_and_loop
    for name in ("custom_loss_and_loop", "_tables", "_shared"):
        sys.modules.pop(name, None)


def test_finds_quantiles_and_draws(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--device", "cpu", "--epochs", 40, "--output", tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr
    rows = re.findall(r"│ by .+? +│ ([\d.]+) +│ ([\d.]+) +│ ([\d.]+) +│", done.stdout)
    ours, numpys = (np.array(row, float) for row in rows)
    np.testing.assert_allclose(ours, numpys, atol=0.7)
    shares = re.findall(r"(\d+)% \((\d+)%\)", done.stdout)
    assert [int(level) for _, level in shares] == [10, 50, 90]
    assert all(abs(int(share) - int(level)) <= 15 for share, level in shares)
    assert [p.name for p in tmp_path.iterdir()] == ["quantiles.png"]
    width, height = png_size(tmp_path / "quantiles.png")
    assert 600 <= width <= 2500 and 300 <= height <= 2500


def test_the_loss_is_two_straight_lines(example):
    y, q = np.array([[3.0], [-1.0]]), np.array([[1.0, 3.5], [0.0, -1.0]])
    expected = [(0.25 * 2 + 0.25 * 0.5) / 2, (0.75 * 1 + 0) / 2]
    loss = example.Pinball((0.25, 0.75), reduction=None)
    np.testing.assert_allclose(loss(y, q).numpy(), expected, rtol=1e-6)
    again = example.Pinball.from_config(loss.get_config())
    assert again.levels == (0.25, 0.75) and again.reduction is None


def test_the_constants_are_the_quantiles(example):
    y = np.random.default_rng(0).gamma(2.0, 30.0, (151, 1)).astype("float32")
    found = example.constant_quantiles(y)
    for q, level in zip(found, example.LEVELS, strict=True):
        # All numbers between the two values around the quantile are as good.
        low, high = (np.quantile(y, level, method=m) for m in ("lower", "higher"))
        assert low - 0.3 <= q <= high + 0.3


def test_the_quantiles_never_cross(example):
    x = np.linspace(-4, 4, 50, dtype="float32")[:, None]
    q = example.make_model().predict(x, verbose=0)
    assert q.shape == (50, 3) and (np.diff(q, axis=1) > 0).all()


def test_the_loop_does_what_fit_does(example):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 1)).astype("float32")
    y = x**2 + rng.normal(size=(64, 1)).astype("float32")
    model, loss = example.make_model(), example.Pinball(example.LEVELS)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile(keras.optimizers.Adam(0.005), loss=loss)
    twin.fit(x, y, batch_size=32, epochs=5, shuffle=False, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is recorded
        step = example.make_step(model, loss, keras.optimizers.Adam(0.005))
        for i in range(10):
            step(*(a[32 * (i % 2) :][:32] for a in (x, y)))
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_best_epoch_is_kept(example):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 1)).astype("float32")
    y = rng.normal(size=(64, 1)).astype("float32")  # nothing to learn: it gets worse
    model = example.make_model()
    validation = x[32:], y[32:]
    history = example.train(model, (x[:32], y[:32]), validation, epochs=60, seed=0)
    kept = float(example.Pinball(example.LEVELS)(validation[1], model(validation[0])))
    assert len(history) == 60 and kept == pytest.approx(min(history)) and kept < history[-1]
