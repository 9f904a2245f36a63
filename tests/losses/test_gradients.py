"""Gradients of the losses against central differences in float64."""

import numpy as np
import pytest

import gpunn
from gpunn import losses, ops

RNG = np.random.default_rng(7)
P = RNG.uniform(0.1, 1, (4, 3))
P /= P.sum(-1, keepdims=True)
T = RNG.uniform(0.1, 1, (4, 3))
T /= T.sum(-1, keepdims=True)
LABELS = np.array([0, 2, 1, 2])
CASES = [
    (losses.mean_squared_error, T, P, {}),
    (losses.mean_absolute_error, T, P, {}),
    *[
        (function, T, y, {"from_logits": logits, **options})
        for function in (losses.binary_crossentropy, losses.categorical_crossentropy)
        for logits, y in ((False, P), (True, np.log(P) * 2))
        for options in ({}, {"label_smoothing": 0.2}, {"axis": 0})
    ],
    *[
        (losses.sparse_categorical_crossentropy, LABELS, y, {"from_logits": logits, **options})
        for logits, y in ((False, P), (True, np.log(P) * 2))
        for options in ({}, {"ignore_class": 2})
    ],
]
IDS = [f"{f.__name__}-{'-'.join(f'{k}={v}' for k, v in o.items())}" for f, _, _, o in CASES]


def differences(function, x, h=1e-6):
    """d f / d x by central differences."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        gradient[i] = (function(up) - function(down)) / (2 * h)
    return gradient


def weighted(function, y_true, y_pred, options):
    """One number of all losses, each with a weight of its own."""
    values = function(y_true, y_pred, **options)
    return ops.sum(values * np.arange(1.0, 1 + values.size).reshape(values.shape))


@pytest.mark.parametrize(("function", "y_true", "y_pred", "options"), CASES, ids=IDS)
def test_of_the_predictions(function, y_true, y_pred, options):
    x = gpunn.Variable(y_pred, dtype="float64")
    with gpunn.GradientTape() as tape:
        loss = weighted(function, y_true, x, options)
    expected = differences(lambda v: weighted(function, y_true, v, options).item(), y_pred)
    np.testing.assert_allclose(tape.gradient(loss, x).numpy(), expected, rtol=1e-5, atol=1e-7)


DENSE = [c for c in CASES if c[0] is not losses.sparse_categorical_crossentropy]


@pytest.mark.parametrize(("function", "y_true", "y_pred", "options"), DENSE, ids=IDS[: len(DENSE)])
def test_of_the_targets(function, y_true, y_pred, options):
    """Users exchange the arguments, or learn from a teacher: a missing gradient would go unseen."""
    t, x = gpunn.Variable(y_true, dtype="float64"), gpunn.Variable(y_pred, dtype="float64")
    with gpunn.GradientTape() as tape:
        loss = weighted(function, t, x, options)
    assert loss.item() == pytest.approx(weighted(function, y_true, y_pred, options).item())
    dt, dx = tape.gradient(loss, [t, x])
    of_targets = differences(lambda v: weighted(function, v, y_pred, options).item(), y_true)
    of_predictions = differences(lambda v: weighted(function, y_true, v, options).item(), y_pred)
    np.testing.assert_allclose(dt.numpy(), of_targets, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(dx.numpy(), of_predictions, rtol=1e-5, atol=1e-7)


def test_through_the_class_and_half_precision():
    """The loss is float32, the gradient has the dtype of what it belongs to."""
    x = gpunn.Variable(np.array([[1.0, 2.0]]), dtype="float16")
    with gpunn.GradientTape() as tape:
        loss = losses.MeanSquaredError()([[0.0, 0.0]], x)
    gradient = tape.gradient(loss, x)
    assert loss.dtype == "float32" and gradient.dtype == "float16"
    np.testing.assert_allclose(gradient.numpy(), [[1.0, 2.0]])


def test_extreme_logits_have_finite_gradients():
    x = gpunn.Variable(np.array([[1e4, -1e4, 0.0]]), dtype="float32")
    for function, t in (
        (losses.binary_crossentropy, [[0.0, 1.0, 0.0]]),
        (losses.categorical_crossentropy, [[0.0, 1.0, 0.0]]),
        (losses.sparse_categorical_crossentropy, [1]),
    ):
        with gpunn.GradientTape() as tape:
            loss = function(t, x, from_logits=True)
        assert np.isfinite(tape.gradient(loss, x).numpy()).all()
