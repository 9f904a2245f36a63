"""The comparison of convolutions as a user runs it, and the numbers in its table and picture."""

import re
import sys

import pytest

from tests.examples.running import EXAMPLES, png_size, run

SCRIPT = EXAMPLES / "separable_vs_conv.py"


@pytest.fixture
def example(monkeypatch):
    """The script as a module."""
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import separable_vs_conv

    yield separable_vs_conv
    for name in ("separable_vs_conv", "_digits", "_shared"):
        sys.modules.pop(name, None)


def test_compares_and_draws(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    arguments = ("--device", "cpu", "--epochs", 3, "--runs", 1, "--output", tmp_path)
    done = run(SCRIPT, *arguments)
    assert done.returncode == 0, done.stderr
    reached = re.findall(r"Run 1: (.+): test accuracy ([\d.]+)%", done.stdout)
    assert [name for name, _ in reached] == [
        "Conv2D", "SeparableConv2D", "DepthwiseConv2D + 1×1"
    ]  # fmt: skip
    assert all(float(accuracy) >= 85 for _, accuracy in reached)
    for parameters in ("58,474", "10,186", "10,378"):
        assert parameters in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["separable.png"]
    width, height = png_size(tmp_path / "separable.png")
    assert 600 <= width <= 2500 and 300 <= height <= 2500


@pytest.mark.parametrize(
    ("block", "weights"),
    [
        ("Conv2D", lambda c, f: 9 * c * f),
        ("SeparableConv2D", lambda c, f: 9 * c + c * f),
        ("DepthwiseConv2D + 1×1", lambda c, f: 9 * c + 2 * c + c * f),  # γ and β between
    ],
)
def test_parameters_are_as_in_the_equations(example, block, weights):
    model = example.make_model(example.BLOCKS[block])
    count = sum(w.size for w in model.trainable_weights)
    first, norms, last = 9 * 1 * 32 + 2 * 32, 2 * (2 * 64), 2 * 2 * 64 * 10 + 10
    assert count == first + weights(32, 64) + weights(64, 64) + norms + last


def test_the_picture_has_the_numbers(example, monkeypatch, tmp_path):
    figures = []

    class Figure(example.Figure):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(example, "Figure", Figure)
    rows = {
        "Conv2D": example.Row(4000, [0.25, 0.75], [0.98, 0.96]),
        "SeparableConv2D": example.Row(1000, [0.125, 0.125], [0.99, 0.99]),
        "DepthwiseConv2D + 1×1": example.Row(2000, [0.5, 0.5], [1.0, 1.0]),
    }
    example.draw(rows, tmp_path / "separable.png")
    found = [[text.get_text() for text in axes.texts] for axes in figures[0].axes]
    assert found == [
        ["4,000", "1,000", "2,000"],
        ["0.500", "0.125", "0.500"],
        ["3.0 %", "1.0 %", "0.0 %"],
    ]
    assert [label.get_text() for label in figures[0].axes[0].get_yticklabels()] == list(rows)
