"""Layers on inputs of unknown lengths: shapes as in Keras, values as in eager calls."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers

keras = pytest.importorskip("keras")

NO = None
#: Name, arguments, shapes of the inputs without the batch.
CASES = [
    ("Flatten", {}, [(NO, 4)]),
    ("Reshape", {"target_shape": (-1, 2)}, [(NO, 4)]),
    ("Reshape", {"target_shape": (2, -1, 2)}, [(NO, 4)]),
    ("Reshape", {"target_shape": (-1, 5)}, [(NO, 4)]),
    ("Permute", {"dims": (2, 1)}, [(NO, 4)]),
    ("Conv1D", {"filters": 3, "kernel_size": 3, "padding": "causal"}, [(NO, 4)]),
    ("Conv2D", {"filters": 3, "kernel_size": 3, "strides": 2}, [(NO, NO, 4)]),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2}, [(NO, NO, 4)]),
    ("MaxPooling2D", {"padding": "same"}, [(NO, NO, 4)]),
    ("UpSampling2D", {}, [(NO, NO, 4)]),
    ("UpSampling2D", {"interpolation": "bilinear"}, [(NO, NO, 4)]),
    ("ZeroPadding2D", {}, [(NO, NO, 4)]),
    ("Cropping1D", {}, [(NO, 4)]),
    ("Resizing", {"height": 3, "width": 5, "pad_to_aspect_ratio": True}, [(NO, NO, 3)]),
    ("Resizing", {"height": 3, "width": 5, "crop_to_aspect_ratio": True}, [(NO, NO, 3)]),
    ("CenterCrop", {"height": 3, "width": 100}, [(NO, NO, 3)]),
    ("RandomCrop", {"height": 3, "width": 100}, [(NO, NO, 3)]),
    ("GroupNormalization", {"groups": 2}, [(NO, NO, 4)]),
    ("LSTM", {"units": 3, "return_sequences": True}, [(NO, 4)]),
    ("Attention", {}, [(NO, 4), (NO, 4)]),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, [(NO, 4), (NO, 5)]),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, [(NO, NO, 4), (NO, NO, 4)]),
    ("GroupQueryAttention", {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2},
     [(NO, 4), (NO, 4)]),
    ("Concatenate", {"axis": 1}, [(NO, 4), (3, 4)]),
    ("Dot", {"axes": (2, 2)}, [(NO, 4), (NO, 4)]),
]  # fmt: skip
TD = [
    ("Conv2D", {"filters": 3, "kernel_size": 3}, (5, NO, NO, 2)),
    ("Dense", {"units": 3}, (NO, 4)),
]


def called(package, name, options, shapes):
    """The layer, its inputs, its output."""
    layer = getattr(package.layers, name)(**options)
    inputs = [package.Input(shape) for shape in shapes]
    apart = name in ("MultiHeadAttention", "GroupQueryAttention") or len(shapes) == 1
    return layer, inputs, layer(*inputs) if apart else layer(inputs)


@pytest.mark.parametrize(("name", "options", "shapes"), CASES)
def test_shapes_as_keras_and_values_as_eager(name, options, shapes):
    layer, inputs, output = called(gpunn, name, options, shapes)
    assert tuple(output.shape) == tuple(called(keras, name, options, shapes)[2].shape)

    length = 10 if name == "Reshape" else 6
    rng = np.random.default_rng(0)
    x = [rng.random((2, *(length if n is None else n for n in s)), "float32") for s in shapes]
    found = gpunn.Model(inputs, output).predict(x if len(x) > 1 else x[0], verbose=0)
    off = {"training": False} if name == "RandomCrop" else {}
    eager = layer(*x, **off) if "Query" in name or "Head" in name or len(x) == 1 else layer(x)
    np.testing.assert_allclose(found, eager.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "options", "shape"), TD)
def test_time_distributed(name, options, shape):
    shapes = [
        package.layers.TimeDistributed(getattr(package.layers, name)(**options))(
            package.Input(shape)
        ).shape
        for package in (gpunn, keras)
    ]
    assert shapes[0] == tuple(shapes[1])


class Positions(layers.Layer):
    """A table of few rows: no stand-in for an unknown length may be longer than it."""

    def build(self, input_shape):
        self.table = self.add_weight(shape=(7, input_shape[-1]))

    def call(self, x):
        return x + gpunn.ops.slice(self.table, (0, 0), x.shape[1:])


class DeclaredPositions(Positions):
    def compute_output_shape(self, input_shape):
        return input_shape


def test_a_layer_that_declares_its_output_need_not_run_on_stand_ins():
    inputs = gpunn.Input((None, 4))
    layer = DeclaredPositions()
    output = layer(inputs)
    assert output.shape == (None, None, 4)
    x = np.ones((2, 5, 4), "float32")
    expected = x + np.array(layer.table)[:5]
    np.testing.assert_array_equal(gpunn.Model(inputs, output).predict(x, verbose=0), expected)
    with pytest.raises(ValueError, match="slice"):
        Positions()(gpunn.Input((None, 4)))
    with pytest.raises(ValueError, match="slice"):  # with lengths that are there it is an error
        layer(np.ones((2, 8, 4), "float32"))
