"""Mistakes of newcomers: each is named, with what was received and the remedy."""

import copy

import numpy as np
import pytest

import gpunn
from gpunn import layers, optimizers
from gpunn.errors import ShapeError

X = np.ones((4, 3), "float32")


class Forgetful(layers.Layer):
    def __init__(self):
        self.units = 3

    def call(self, x):
        return x


def test_a_layer_without_super_init():
    with pytest.raises(RuntimeError, match=r"Forgetful.__init__\(\) must call super"):
        Forgetful()(X)


def test_weights_before_they_are_made():
    layer = layers.Dense(2, name="head")
    with pytest.raises(AttributeError, match="Layer 'head' has no attribute 'kernel'. It is not b"):
        layer.kernel  # noqa: B018
    layer(X)
    with pytest.raises(AttributeError, match="has no attribute 'kernle'.$"):
        layer.kernle  # noqa: B018
    assert copy.copy(layer).units == 2


def test_noise_shape_of_another_rank():
    with pytest.raises(ShapeError, match=r"noise_shape \(1,\) needs one length for each axis"):
        layers.Dropout(0.5, noise_shape=(1,))(X, training=True)


def test_an_initializer_of_another_shape():
    layer = layers.Dense(2, kernel_initializer=lambda shape, dtype: np.ones((1, 1)))
    with pytest.raises(
        ShapeError, match=r"values of shape \(1, 1\) for a variable of shape \(3, 2\)"
    ):
        layer(X)


def test_input_lengths():
    with pytest.raises(
        ValueError, match="Input: lengths must be integers of at least 0, or None .*received '4'"
    ):
        gpunn.Input("4")


def test_get_layer_by_a_wrong_index():
    with pytest.raises(ValueError, match="There is no layer 7 in 'm': it has 1"):
        gpunn.Sequential([layers.Dense(2)], name="m").get_layer(index=7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Adam(beta_1=1.5), r"Adam: beta_1 must lie in \[0, 1\), received 1.5"),
        (lambda: optimizers.SGD(momentum="a"), r"momentum must lie in \[0, 1\], received 'a'"),
        (lambda: optimizers.SGD(weight_decay=-1), "weight_decay must be a number of at least 0"),
        (lambda: optimizers.SGD(clipnorm="1"), "clipnorm must be positive, received '1'"),
    ],
)
def test_settings_of_optimizers(make, message):
    with pytest.raises(ValueError, match=message):
        make()
