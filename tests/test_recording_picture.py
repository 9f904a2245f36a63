"""docs/draw_recording.py, which draws docs/recording.svg, finds what it draws."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "docs" / "draw_recording.py"


def test_lifetimes_of_a_recorded_step():
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("draw_recording", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kernels, lives = module.lifetimes()
    assert kernels.count("gemm") == 11  # of four layers; the first needs no gradient of its input
    assert lives and all(0 <= birth <= death <= len(kernels) for birth, death, _, _ in lives)
