"""What the README promises at its top: a ten-line example that runs, two commands as the set-up."""

import re
from pathlib import Path

import numpy as np

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs():
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    assert len(code.strip().splitlines()) <= 12
    names = {}
    exec(code.replace("epochs=20", "epochs=2"), names)
    assert np.isfinite(names["loss"]) and 0 <= names["accuracy"] <= 1


def test_two_blocks_of_one_command_line_each():
    blocks = re.findall(r"```sh\n(.*?)```", README, re.S)
    assert len(blocks) == 2
    assert all(len(block.strip().splitlines()) == 1 for block in blocks)
    assert "examples/digits_mlp.py" in blocks[0]
    assert "checks.py" in blocks[1]


def test_files_it_names_exist():
    root = Path(__file__).resolve().parents[2]
    for target in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (root / target).exists(), target
