"""Normalization at the edges: no samples, 16 bits, wrong lengths; which layer a message names."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import Model, Sequential, layers
from gpunn.errors import ShapeError

ZEROS = np.zeros((4, 8, 8, 3), "float32")


@pytest.mark.filterwarnings("ignore:invalid value")
def test_batch_normalization_of_no_samples():
    y = layers.BatchNormalization()(np.zeros((0, 3, 4), "float32"), training=True)
    assert y.shape == (0, 3, 4)


def test_a_sequential_model_leaves_raw_data_to_its_layers():
    """100,200 is infinite in float16."""
    x = np.array([[100000.0], [100200.0]], "float32")
    make = lambda: layers.Normalization(mean=[100100.0], variance=[10000.0], dtype="mixed_float16")
    i = layers.Input((1,))
    for model in (Sequential([i, make()]), Sequential([make()]), Model(i, make()(i))):
        np.testing.assert_array_equal(model(x).numpy(), [[-1], [1]])
        np.testing.assert_array_equal(model.predict(x, verbose=0), [[-1], [1]])


def convolutions():
    first = layers.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Conv2D(4, 3)
    Sequential([*first, layers.MaxPooling2D(2), layers.Conv2D(4, 3, name="third")])


def built_for_three_channels():
    layer = layers.LayerNormalization()
    layer(ZEROS)
    layer(ZEROS[..., :2])


MESSAGES = [
    (convolutions, ShapeError, "Conv2D 'third', conv: a window of 3"),
    (lambda: layers.Concatenate(name="skip")([ZEROS, ZEROS[:, :4]]), ShapeError,
     "Concatenate 'skip', concatenate: shapes must agree"),
    (built_for_three_channels, ShapeError, "expected axis -1 to have length 3, found 2"),
    (lambda: layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0])(ZEROS), ShapeError,
     r"mean and variance must fit the lengths \(3,\) of axis .*received shape \(2,\)"),
    (lambda: layers.Normalization().adapt("abc"), TypeError, "adapt.. takes an array"),
    (lambda: layers.Conv2D(2, 3)(ZEROS[..., :0]), ValueError, "must be known and not 0"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "message"), MESSAGES)
def test_messages(act, error, message):
    with pytest.raises(error, match=message):
        act()
