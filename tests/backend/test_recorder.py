"""When two recordings of a step are the same."""

import numpy as np
import pytest

from gpunn.backend.devices import cpu
from gpunn.backend.recorder import exactly
from gpunn.backend.transfer import fill


def recorded(value, first=None):
    out = kept
    with cpu.recorder(first) as recorder:
        fill(out, value=value)
    return recorder


kept = np.zeros(3, "float32")


def test_a_nan_made_anew_is_the_same_option():
    first = recorded(float("nan"))
    again = recorded(float("nan"), first)
    assert again.differs_from(first) is None
    kept[:] = 0
    again.program().run()
    assert np.isnan(kept).all()


@pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (1.0, 2.0), (float("nan"), 0.0)])
def test_other_numbers_are_other_options(one, other):
    first = recorded(one)
    assert "'fill' got arrays or options" in recorded(other, first).differs_from(first)


def test_exactly():
    assert exactly((1.5, float("nan"))) == exactly((1.5, float("nan")))
    assert exactly(np.float32("nan")) == exactly(np.float32("nan"))
    assert exactly("a") == "a" and exactly(None) is None and exactly(3) == 3
