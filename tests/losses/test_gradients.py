"""Gradients of the losses against central differences in float64."""

import numpy as np
import pytest

import gpunn
from gpunn import losses, ops
from tests.losses.catalogue import CASES as ALL
from tests.losses.catalogue import LABELS, data, function

# Axes that the catalogue leaves out, and logits with smoothed targets.
MORE = [
    (name, options)
    for name in ("BinaryCrossentropy", "CategoricalCrossentropy")
    for options in ({"axis": 0}, {"from_logits": True, "label_smoothing": 0.2})
]
MORE += [(f"{kind}FocalCrossentropy", {"axis": 0}) for kind in ("Binary", "Categorical")]
MORE += [("CosineSimilarity", {"axis": 0}), ("SparseCategoricalCrossentropy", {"axis": 0})]


def _case(name, options):
    y_true, y_pred = data(name, seed=7, dtype="float64", options=options)
    if name in LABELS and options.get("axis") == 0:
        y_pred = y_pred.T
    return function(name), y_true, y_pred, options


CASES = [_case(name, options) for name, options in (*ALL, *MORE)]
IDS = [f"{f.__name__}-{'-'.join(f'{k}={v}' for k, v in o.items())}" for f, _, _, o in CASES]
DENSE = [i for i, case in enumerate(CASES) if case[1].dtype.kind == "f"]


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


@pytest.mark.parametrize("case", DENSE, ids=[IDS[i] for i in DENSE])
def test_of_the_targets(case):
    """Users exchange the arguments, or learn from a teacher: a missing gradient would go unseen."""
    function, y_true, y_pred, options = CASES[case]
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
    for loss_function, t in (
        (losses.binary_crossentropy, [[0.0, 1.0, 0.0]]),
        (losses.categorical_crossentropy, [[0.0, 1.0, 0.0]]),
        (losses.sparse_categorical_crossentropy, [1]),
    ):
        with gpunn.GradientTape() as tape:
            loss = loss_function(t, x, from_logits=True)
        assert np.isfinite(tape.gradient(loss, x).numpy()).all()


def test_probabilities_of_zero_have_finite_gradients():
    """What a softmax gives that is sure: 0 and 1."""
    sure = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    for name, t in (
        ("kl_divergence", sure[::-1]), ("poisson", sure), ("dice", 0 * sure), ("tversky", sure),
        ("binary_focal_crossentropy", sure[::-1]), ("categorical_focal_crossentropy", sure[::-1]),
        ("cosine_similarity", 0 * sure), ("log_cosh", 1e4 * sure),
        ("mean_absolute_percentage_error", sure), ("mean_squared_logarithmic_error", -sure),
    ):  # fmt: skip
        for y_pred in (sure, 0 * sure) if name == "cosine_similarity" else (sure,):
            x = gpunn.Variable(y_pred, dtype="float32")
            with gpunn.GradientTape() as tape:
                loss = getattr(losses, name)(t, x)
            assert np.isfinite(loss.numpy()).all()
            assert np.isfinite(tape.gradient(loss, x).numpy()).all(), name
    x = gpunn.Variable(sure, dtype="float32")
    with gpunn.GradientTape() as tape:
        loss = losses.categorical_generalized_cross_entropy([1, 1], x, q=0.5)
    np.testing.assert_allclose(loss.numpy(), [2, 0])
    assert np.isfinite(tape.gradient(loss, x).numpy()).all()


def test_rows_of_the_circle_loss_without_a_partner():
    """No positives or no negatives: no loss, and no NaN."""
    x = gpunn.Variable(np.eye(3), dtype="float32")
    for labels in ([0, 1, 2], [0, 0, 0]):
        with gpunn.GradientTape() as tape:
            loss = losses.circle(labels, x)
        assert not loss.numpy().any() and not tape.gradient(loss, x).numpy().any()
