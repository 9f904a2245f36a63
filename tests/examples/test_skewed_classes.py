"""The search for a rare digit as a user runs it, and the counts behind its numbers."""

import re
import sys

import numpy as np
import pytest

from tests.examples.running import EXAMPLES, png_size, run

SCRIPT = EXAMPLES / "skewed_classes.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import skewed_classes

    yield skewed_classes
    for name in ("skewed_classes", "_digits", "_shared"):
        sys.modules.pop(name, None)


def test_accuracy_misleads(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--device", "cpu", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "9.6% of the training images show an 8" in done.stdout
    number = r" +([\d.]+)%? │"
    rows = re.findall(r"│ (.+?) +│ ([\d. ]{4}) +│" + 4 * number, done.stdout)
    never, plain, plain_chosen, weighted, weighted_chosen = (
        dict(zip(("accuracy", "precision", "recall", "f1"), map(float, row[2:]), strict=True))
        for row in rows
    )
    assert never["accuracy"] > 90 and never["recall"] == never["f1"] == 0
    assert weighted["accuracy"] < never["accuracy"] and weighted["f1"] > 0.4
    assert weighted["recall"] > plain["recall"] and weighted["precision"] < plain["precision"]
    assert plain_chosen["f1"] > plain["f1"] and weighted_chosen["f1"] > weighted["f1"]
    assert float(rows[2][1]) < 0.5 < float(rows[4][1])
    assert [p.name for p in tmp_path.iterdir()] == ["precision_recall.png"]
    width, height = png_size(tmp_path / "precision_recall.png")
    assert 600 <= width <= 2500 and 300 <= height <= 2500


def test_scores_are_counts(example):
    y = np.array([[1], [1], [1], [0], [0], [0], [0], [0]], "float32")
    p = np.array([[0.9], [0.5], [0.2], [0.7], [0.5], [0.1], [0.3], [0.0]], "float32")
    found = example.scores("some", y, p, threshold=0.5)  # called: 4, of which right: 2
    assert (found.model, found.threshold) == ("some", 0.5)
    assert found.accuracy == pytest.approx(5 / 8)
    assert found.precision == pytest.approx(2 / 4) and found.recall == pytest.approx(2 / 3)
    assert found.f1 == pytest.approx(4 / 7)


def test_the_best_threshold_of_all(example):
    rng = np.random.default_rng(0)
    y = (rng.random(60) < 0.3).astype("float32")
    p = np.round(0.4 * y + 0.6 * rng.random(60), 2).astype("float32")

    def f1(threshold):
        called = p >= threshold
        return 2 * (called & (y == 1)).sum() / (called.sum() + y.sum())

    best = max(f1(t) for t in np.unique(p))
    found = example.best_threshold(y[:, None], p[:, None])
    assert f1(found) == best and found == min(t for t in np.unique(p) if f1(t) == best)


def test_the_parts_are_apart_and_the_test_is_that_of_the_others(example):
    (x, y), (x_val, y_val), (x_test, y_test) = example.parts()
    everything = {row.tobytes() for part in (x, x_val, x_test) for row in part}
    assert len(x) + len(x_val) + len(x_test) == 1797 == len(everything)
    assert [len(part) for part in (y, y_val, y_test)] == [862, 575, 360]
    assert [int(part.sum()) for part in (y, y_val, y_test)] == [83, 56, 35]
    np.testing.assert_array_equal(x_test, example.load(64)[2][0])


def test_balanced_weights(example):
    y = np.array([0] * 9 + [1], "float32")[:, None]
    weights = example.balanced(y)
    assert 9 * weights[0] == pytest.approx(1 * weights[1]) == pytest.approx(5)
