"""The convolutional example as a user runs it, and the arithmetic of its pictures."""

import re
import sys

import numpy as np
import pytest

from tests.examples.running import EXAMPLES, png_size, run

SCRIPT = EXAMPLES / "digits_cnn.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import digits_cnn

    yield digits_cnn
    for name in ("digits_cnn", "_digits", "_shared"):
        sys.modules.pop(name, None)


def test_reads_digits_and_draws(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    output = tmp_path / "new" / "folder"
    done = run(SCRIPT, "--device", "cpu", "--epochs", 4, "--output", output)
    assert done.returncode == 0, done.stderr
    assert "Epoch 4/4" in done.stdout and "Epoch 5" not in done.stdout
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", done.stdout)
    assert accuracy is not None and float(accuracy[1]) >= 95
    assert sorted(p.name for p in output.iterdir()) == ["confusion.png", "filters.png"]
    for picture in output.iterdir():
        width, height = png_size(picture)
        assert 600 <= width <= 2500 and 300 <= height <= 2500


def test_strongest_patches_are_means_of_patches(example):
    x = np.zeros((2, 8, 8), "float32")
    x[0, 3, 4], x[1, 0, 0], x[1, 1, 1] = 0.8, 0.6, 0.2
    responses = np.zeros((2, 8, 8, 2), "float32")
    responses[0, 3, 4, 0], responses[1, 0, 0, 0] = 5, 4  # filter 0: in the middle of the pixels
    responses[0, 3, 5, 1], responses[1, 7, 7, 1] = 2, 1  # filter 1: right of it, and where none is
    found = example.strongest_patches(x, responses, count=2)
    middle = [[0, 0, 0], [0, 0.7, 0], [0, 0, 0.1]]
    left = [[0, 0, 0], [0.4, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(found, [middle, left], atol=1e-6)


def test_the_confusion_counts_what_is_wrong(example, monkeypatch, tmp_path):
    figures = []

    class Figure(example.Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(example, "Figure", Figure)
    y = np.array([0, 1, 1, 2, 9])
    example.draw_confusion(y, np.array([0, 7, 7, 2, 3]), tmp_path / "confusion.png")
    (axes,) = figures[0].axes
    assert axes.get_title() == "3 of 5 test digits misread"
    texts = {text.get_position(): text.get_text() for text in axes.texts}  # (read as, is)
    shown = {place: text for place, text in texts.items() if text != "·"}
    assert len(texts) == 100
    assert shown == {(0, 0): "1", (7, 1): "2", (2, 2): "1", (3, 9): "1"}
