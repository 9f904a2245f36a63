"""Losses of symbolic tensors: in layers and models, with a batch whose size is unknown."""

import numpy as np
import pytest

import gpunn
from gpunn import layers, losses
from gpunn.errors import ShapeError
from tests.losses.catalogue import LABELS, NAMES, OVERLAP, data, function


def symbolic(array, mask=False):
    x = gpunn.Input(array.shape[1:], dtype=array.dtype.name)
    if mask:
        x._keras_mask = gpunn.Input((), dtype="bool")
    return x


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_dtypes(name):
    y_true, y_pred = data(name)
    t, x = symbolic(y_true), symbolic(y_pred)
    options = {"q": 0.5} if "Generalized" in name else {}
    each = function(name)(t, x, **options)
    assert each.shape == (() if name in OVERLAP else (None,)) and each.dtype == "float32"
    w = gpunn.Input(())
    for mask in (False, True):
        for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum"):
            loss = getattr(losses, name)(reduction=reduction)
            for weights in (None, w):
                assert loss(t, symbolic(y_pred, mask), weights).shape == ()


@pytest.mark.parametrize("name", ["MeanSquaredError", "CategoricalCrossentropy", "Circle"])
def test_a_layer_that_adds_its_loss(name):
    """Its `call` runs on symbolic tensors first."""
    y_true, y_pred = data(name)

    class Endpoint(layers.Layer):
        def __init__(self):
            super().__init__()
            self.loss = getattr(losses, name)()

        def call(self, t, x):
            value = self.loss(t, x)
            self.add_loss(value)
            return x * value

    t, x = symbolic(y_true), symbolic(y_pred)
    model = gpunn.Model([t, x], Endpoint()(t, x))
    expected = getattr(losses, name)()(y_true, y_pred).item()
    np.testing.assert_allclose(model([y_true, y_pred]).numpy(), y_pred * expected, rtol=1e-5)
    assert model.losses[0].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in LABELS])
def test_a_loss_as_an_output(name):
    """Ops of the loss in the graph of a model, with gradients of targets and predictions."""
    y_true, y_pred = data(name)
    t, x = symbolic(y_true), symbolic(y_pred)
    model = gpunn.Model([t, x], getattr(losses, name)()(t, x))
    a, b = gpunn.Variable(y_true), gpunn.Variable(y_pred)
    with gpunn.GradientTape() as tape:
        value = model([a, b])
    expected = getattr(losses, name)()(y_true, y_pred)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(gradient.numpy().any() for gradient in tape.gradient(value, [a, b]))


def test_shapes_that_differ():
    with pytest.raises(ShapeError, match=r"y_true \(None, 2\), y_pred \(None, 3\)"):
        losses.huber(gpunn.Input((2,)), gpunn.Input((3,)))
    message = r"ctc: y_true must have shape \(N, L\) and y_pred \(N, T, classes\) \(y_true \(4,\)"
    with pytest.raises(ShapeError, match=message):
        losses.ctc(np.ones(4), np.ones((4, 5, 2)))
