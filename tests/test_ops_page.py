"""docs/ops.md is what docs/make_ops.py writes now, and tells of every function."""

import importlib.util
import re
from pathlib import Path

import pytest

from gpunn import ops

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def make_ops():
    spec = importlib.util.spec_from_file_location("make_ops", DOCS / "make_ops.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(make_ops):
    written = make_ops.TARGET.read_text(encoding="utf-8")
    assert make_ops.text() == written, "run `python docs/make_ops.py`"


def test_the_page_tells_of_every_function():
    page = (DOCS / "ops.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \| .* \| .* \|$", page, re.MULTILINE))
    only_here = {"dense", "dropout", "getitem", "mish", "no_grad", "prelu", "rint", "token_counts"}
    assert set(ops.__all__) - only_here <= set(rows)
    assert {"resize", "affine_transform"} <= set(rows)
    assert [name for name, what in rows.items() if not what.strip()] == []


def test_what_the_page_observes(make_ops):
    """Gradient and device of functions whose answers are known."""
    known = {
        "exp": ("yes", "CuPy"), "floor": ("0", "CuPy"), "argmax": ("", "CuPy"),
        "gelu": ("yes", "CUDA"), "size": ("", ""), "relu": ("yes", "CUDA"),
    }  # fmt: skip
    assert {name: make_ops.observed(name, getattr(ops, name)) for name in known} == known


def test_names_of_calls_exist(make_ops):
    spaces = [getattr(ops, space) for space in make_ops.SPACES]
    assert [n for n in make_ops.CALLS if not any(hasattr(s, n) for s in spaces)] == []
