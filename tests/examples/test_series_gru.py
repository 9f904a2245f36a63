"""The forecasts as a user makes them, and that none of them sees the future."""

import re
import sys

import numpy as np
import pytest

from tests.examples.running import EXAMPLES, png_size, run

SCRIPT = EXAMPLES / "series_gru.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import series_gru

    yield series_gru
    for name in ("series_gru", "_shared"):
        sys.modules.pop(name, None)


def test_forecasts_and_draws(tmp_path):
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--device", "cpu", "--epochs", 10, "--runs", 1, "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"│ (.+?) +│ +([\d.]+) │", done.stdout)
    assert [name for name, _ in rows] == [
        "as now", "dense", "GRU", "two GRUs", "GRU, both directions"
    ]  # fmt: skip
    found = {name: float(error) for name, error in rows}
    assert found["GRU"] < 0.97 * found["as now"]
    width, height = png_size(tmp_path / "series.png")
    assert 600 <= width <= 2500 and 300 <= height <= 2500


def test_the_parts_follow_each_other_and_end_before_what_they_forecast(example):
    series = example.load()
    values, (first, second) = series.values, series.cuts
    assert values.shape == (800, 4) and 0 < first < second < len(series.changes)
    start = example.STEPS - 1
    for begin, end in ((start, first), (first, second), (second, len(series.changes))):
        batches = list(series.part(begin, end))
        x, y = (np.concatenate(part) for part in zip(*batches, strict=True))
        assert x.shape == (end - begin, example.STEPS, 4) and len(y) == len(x)
        for row, now in ((0, begin), (-1, end - 1)):
            np.testing.assert_array_equal(x[row], values[now - start : now + 1])
            future = values[now + example.AHEAD]
            np.testing.assert_allclose(y[row], future - values[now], atol=1e-6)


def test_the_series_is_standardized_by_its_first_part(example):
    series = example.load()
    known = series.values[: series.cuts[0]]
    np.testing.assert_allclose(known.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(known.std(0), 1, atol=1e-5)
    assert np.abs(series.values.std(0) - 1).min() > 0.01


def test_errors_of_known_forecasts(example):
    series = example.Series(np.zeros((8, 1)), np.array([[9.0], [1.0], [-3.0]]), (0, 1))
    right, half = np.array([[1.0], [-3.0]]), np.array([[0.5], [-1.5]])
    found = example.errors(series, {"GRU": [right, half]})
    assert found == {"as now": [2.0], "GRU": [0.0, 1.0]}
