"""Wrong names of options are named, with the right ones."""

import numpy as np
import pytest

from gpunn import ops

X = np.ones((2, 3), "float32")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.sum(X, axes=0), "Unknown argument of sum: 'axes'. Did you mean 'axis'"),
        (lambda: ops.softmax(X, axe=1), "Unknown argument of softmax: 'axe'. Known: axis, x"),
        (lambda: ops.leaky_relu(X, slope=1), "Unknown argument of leaky_relu: 'slope'"),
    ],
)
def test_unknown_options(call, message):
    with pytest.raises(TypeError, match=message):
        call()
