"""Reductions, weights and masks against Keras, and what Keras refuses."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import losses, ops
from gpunn.errors import ShapeError
from gpunn.losses.reduction import REDUCTIONS

keras = pytest.importorskip("keras")

MASK = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]], bool)


def numbers(*shape):
    return np.arange(1, 1 + np.prod(shape), dtype="float32").reshape(shape)


class Given(losses.Loss):
    """The predictions are the losses: only the reduction remains."""

    def call(self, y_true, y_pred):
        return y_pred


class KerasGiven(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return y_pred


def both(values, weights, reduction, mask=None):
    """The result of gpunn and of Keras for losses, weights and a mask of these shapes."""
    ours = ops.convert_to_tensor(values)
    theirs = keras.ops.convert_to_tensor(values)
    if mask is not None:
        ours._keras_mask = ops.convert_to_tensor(mask)
        theirs._keras_mask = keras.ops.convert_to_tensor(mask)
    y = np.zeros_like(values)
    expected = KerasGiven(reduction=reduction)(y, theirs, weights)
    return Given(reduction=reduction)(y, ours, weights).numpy(), np.asarray(expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ((4,), None), ((4,), (4,)), ((4,), (4, 1)), ((4, 1), (4,)), ((4,), ()), ((), None),
        ((), (1,)), ((4, 3), None), ((4, 3), (4, 1)), ((4, 3), (4, 3)), ((4, 3), (3,)),
        ((4, 3), (4, 3, 1)), ((4, 3), (1, 3)), ((2, 3, 2), (2, 3, 1)), ((0, 2), (0, 2)),
    ],
)  # fmt: skip
def test_weights_of_every_shape(values, weights, reduction):
    w = None if weights is None else numbers(*weights)
    ours, theirs = both(numbers(*values), w, reduction)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weights", [None, (4, 3), (4, 1), (4, 3, 1), ()])
@pytest.mark.parametrize("mask", [MASK, MASK[:, :1], MASK[..., None], MASK & False])
def test_masks(weights, mask, reduction):
    w = None if weights is None else numbers(*weights)
    ours, theirs = both(numbers(4, 3), w, reduction, mask)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("values", [(4,), (4, 1)])
@pytest.mark.parametrize("mask", [(4,), (4, 1)])
@pytest.mark.parametrize("weights", [None, (4,), (4, 1)])
def test_a_trailing_axis_may_be_missing_anywhere(values, mask, weights, reduction):
    bits = np.array([1, 0, 1, 1], bool).reshape(mask)
    w = None if weights is None else numbers(*weights)
    ours, theirs = both(numbers(*values), w, reduction, bits)
    np.testing.assert_allclose(ours.ravel(), theirs.ravel(), rtol=1e-6)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_weights_of_zero_give_zero(reduction):
    assert Given(reduction=reduction)(numbers(4), numbers(4), np.zeros(4)).item() == 0


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_what_is_masked_does_not_count_even_as_nan(reduction):
    x = ops.convert_to_tensor(np.array([2.0, np.nan, 4.0], "float32"))
    x._keras_mask = ops.convert_to_tensor([True, False, True])
    expected = 6 if reduction == "sum" else 3
    assert Given(reduction=reduction)(numbers(3), x).item() == pytest.approx(expected)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum"])
def test_no_samples_lose_nothing(reduction):
    assert losses.MeanSquaredError(reduction)(np.zeros((0, 3)), np.zeros((0, 3))).item() == 0


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
def test_gradient_of_the_weighted_loss(reduction):
    """d/dv Σ v w m / D = w m / D."""
    x = gpunn.Variable(numbers(4, 3))
    w = numbers(4, 3) / 7
    with gpunn.GradientTape() as tape:
        y = x * 1.0
        y._keras_mask = ops.convert_to_tensor(MASK)
        loss = Given(reduction=reduction)(np.zeros((4, 3)), y, w)
    wm = w * MASK
    divisor = {"sum": 1, "sum_over_batch_size": MASK.sum(), "mean_with_sample_weight": wm.sum()}
    np.testing.assert_allclose(tape.gradient(loss, x).numpy(), wm / divisor[reduction], rtol=1e-5)


def test_gradient_is_zero_when_everything_is_masked():
    x = gpunn.Variable(numbers(4, 3))
    with gpunn.GradientTape() as tape:
        y = x * 1.0
        y._keras_mask = ops.convert_to_tensor(MASK & False)
        loss = Given()(np.zeros((4, 3)), y)
    np.testing.assert_array_equal(tape.gradient(loss, x).numpy(), np.zeros((4, 3)))


def test_weights_that_do_not_fit():
    message = r"sample_weight does not fit the losses \(sample_weight \(4,\), losses \(4, 3\)\)"
    with pytest.raises(ShapeError, match=message + r".*or \(4, 1\) for one value a sample"):
        Given()(numbers(4, 3), numbers(4, 3), numbers(4))


def test_a_mask_that_does_not_fit():
    x = ops.convert_to_tensor(numbers(4, 3))
    x._keras_mask = ops.convert_to_tensor(np.ones(5, bool))
    with pytest.raises(ShapeError, match=r"mask does not fit the losses \(mask \(5,\)"):
        Given()(numbers(4, 3), x)


def test_an_unknown_reduction():
    with pytest.raises(ValueError, match="Unknown reduction: 'avg'.*Known: None, mean"):
        losses.MeanSquaredError(reduction="avg")
    with pytest.raises(ValueError, match="Did you mean 'sum_over_batch_size'"):
        losses.MeanSquaredError(reduction="sum_over_batchsize")


def test_dicts_and_lists_of_predictions_reach_the_call_converted():
    class Total(losses.Loss):
        def call(self, y_true, y_pred):
            assert y_pred["a"].dtype == y_pred["b"][0].dtype == y_true.dtype == "float32"
            return y_pred["a"] + y_pred["b"][0] - y_true

    y_pred = {
        "a": ops.convert_to_tensor(np.float64([3.0])),
        "b": [ops.convert_to_tensor(np.array([4]))],
    }
    assert Total()(np.float64([1.0]), y_pred).item() == 6


@pytest.mark.parametrize(
    "reduction", [None, "sum", "sum_over_batch_size", "mean_with_sample_weight"]
)
@pytest.mark.parametrize("name", ["Dice", "Tversky"])
def test_a_loss_of_one_number_is_weighted_as_in_keras(name, reduction):
    y, p = np.float32([[1, 0], [0, 1], [1, 1]]), np.float32([[0.7, 0.2], [0.4, 0.9], [0.6, 0.1]])
    for weight in (None, 0.7, np.float32([0.5, 1.0, 2.0])):
        ours, theirs = (getattr(k.losses, name)(reduction=reduction) for k in (gpunn, keras))
        expected = np.array(theirs(y, p, weight))
        np.testing.assert_allclose(ours(y, p, weight).numpy(), expected, rtol=1e-5)
