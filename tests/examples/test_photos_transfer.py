"""The transfer learning example as a user runs it, and the parts that its claims rest on."""

import re
import sys

import numpy as np
import pytest

from tests.examples.running import EXAMPLES, png_size, run

SCRIPT = EXAMPLES / "photos_transfer.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import photos_transfer

    yield photos_transfer
    for name in ("photos_transfer", "_digits", "_shared"):
        sys.modules.pop(name, None)


def test_compares_three_ways_and_draws(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    arguments = ("--device", "cpu", "--epochs", 4, "--runs", 1, "--output", tmp_path)
    done = run(SCRIPT, *arguments)
    assert done.returncode == 0, done.stderr
    assert "Run 1: a base" in done.stdout and "Run 2" not in done.stdout
    assert "Frozen weights after training: the same bits" in done.stdout
    lines = [re.findall(r"[\d.]+", line) for line in done.stdout.splitlines() if "±" in line]
    means = {line[0]: [float(v) for v in line[1::2]] for line in lines}
    assert list(means) == ["2", "5", "10", "20", "50"]
    assert all(len(row) == 3 for row in means.values())
    assert min(means["50"]) > 90 and min(means["2"]) > 30  # chance: 20
    assert [p.name for p in tmp_path.iterdir()] == ["transfer.png"]
    width, height = png_size(tmp_path / "transfer.png")
    assert 600 <= width <= 2500 and 300 <= height <= 2500


def test_digits_are_chosen_and_labelled_anew(example):
    x, y = np.arange(10, dtype="float32"), np.array([9, 4, 5, 0, 7, 6, 8, 2, 5, 3])
    found, labels = example.digits((x, y), 5)
    assert found.tolist() == [0, 2, 4, 5, 6, 8] and labels.tolist() == [4, 0, 2, 1, 3, 0]


def test_few_are_balanced_and_nested(example):
    y = np.tile(np.arange(5), 12)
    x = np.arange(len(y))
    fewer, more = (example.few((x, y), count, seed=3) for count in (2, 5))
    for (found, labels), count in ((fewer, 2), (more, 5)):
        assert np.bincount(labels).tolist() == [count] * 5
        assert len(set(found)) == 5 * count and np.array_equal(y[found], labels)
    assert set(fewer[0]) < set(more[0])
    assert set(fewer[0]) != set(example.few((x, y), 2, seed=4)[0])


def test_what_is_frozen_in_each_way(example):
    base = example.make_base()
    model = example.with_new_head(base)
    everything = sum(w.size for w in model.trainable_weights)
    base.trainable = False
    assert [w.shape for w in model.trainable_weights] == [(512, 5), (5,)]
    head = sum(w.size for w in model.trainable_weights)
    assert (f"{head:,}", f"{everything:,}") == ("2,565", "7,461")
    assert "2,565" in example.__doc__ and "7,461" in example.__doc__
    example.freeze_all_but_convolutions(base)
    names = [w.path.split("/")[-1] for w in base.trainable_weights]
    assert names == ["kernel", "bias"] * 2


def test_fine_tuning_changes_convolutions_and_no_averages(example):
    rng = np.random.default_rng(0)
    data = rng.random((20, 8, 8, 1), "float32"), rng.integers(5, size=20)
    base = example.make_base()
    example.freeze_all_but_convolutions(base)
    before = base.get_weights()
    example.train(example.with_new_head(base), data, epochs=2, rate=1e-3)
    same = [example.same_bits([a], [b]) for a, b in zip(before, base.get_weights(), strict=True)]
    assert same == ([False] * 2 + [True] * 4) * 2  # kernel, bias; γ, β, mean, variance


def test_same_bits(example):
    zero, nan = np.zeros(2, "float32"), np.array([np.nan], "float32")
    assert example.same_bits([zero, nan], [zero.copy(), nan.copy()])
    assert not example.same_bits([zero], [-zero])
    assert not example.same_bits([zero], [np.nextafter(zero, 1)])


def test_no_runs_are_refused():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    done = run(SCRIPT, "--runs", "0")
    assert done.returncode == 2
    assert "--runs must be at least 1, received 0" in done.stderr
