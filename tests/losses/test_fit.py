"""Each loss trains a small model, recorded as well as not, by its name and as an object."""

import warnings

import numpy as np
import pytest

import gpunn
from gpunn import layers, losses, metrics
from tests.losses.catalogue import LABELS, LOSSES, NAMES, data

RNG = np.random.default_rng(2)
X = RNG.normal(size=(40, 5)).astype("float32")
HEADS = {"shares": "softmax", "real": "linear", "unit": "linear", "steps": "linear"}


def fit(name, loss, jit_compile, **compiled):
    y, _ = data(name, (40, 3), seed=8)
    gpunn.utils.set_random_seed(4)
    head = HEADS[LOSSES[name][2]]
    parts = [gpunn.Input((5,)), layers.Dense(18 if name == "CTC" else 3, activation=head)]
    if name == "CTC":
        parts.append(layers.Reshape((6, 3)))
    if name == "Circle":
        parts.append(layers.UnitNormalization())
    model = gpunn.Sequential(parts)
    model.compile("adam", loss, jit_compile=jit_compile, **compiled)
    weights = np.linspace(0.5, 1.5, 40, dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a step that falls back to eager warns
        history = model.fit(X, y, batch_size=8, epochs=3, sample_weight=weights, verbose=0)
    return model, history.history["loss"]


def recorded(model):
    return [step.program for step in model._step.recordings["train"].steps.values()]


def more_options(name):
    """The options that go through other ops."""
    options = {"Dice": {"axis": -1}, "Tversky": {"axis": -1}}.get(name)
    return options or LOSSES[name][3][-1]


@pytest.mark.parametrize("name", NAMES)
def test_recorded_training_is_eager_training(name):
    for options in ({}, more_options(name)):
        eager, expected = fit(name, getattr(losses, name)(**options), False)
        model, found = fit(name, getattr(losses, name)(**options), True)
        assert recorded(model) and recorded(model)[0] is not None
        assert found == expected and np.isfinite(found).all()
        for a, b in zip(eager.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert found[-1] != found[0]


@pytest.mark.parametrize("name", NAMES)
def test_losses_by_name(name):
    """Weights and a mean over rows: the same as the object."""
    _, expected = fit(name, getattr(losses, name)(), "auto")
    assert fit(name, LOSSES[name][0], "auto")[1] == expected


def test_metrics_that_are_mean_losses():
    """In a recorded step, next to the loss; without its weights."""
    y, _ = data("KLDivergence", (40, 3), seed=8)
    names = [
        "Hinge", "SquaredHinge", "CategoricalHinge", "KLDivergence", "Poisson", "LogCoshError",
        "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "CosineSimilarity",
    ]  # fmt: skip
    model, _ = fit("KLDivergence", "kld", True, metrics=[getattr(metrics, n)() for n in names])
    assert recorded(model)[0] is not None
    found = model.evaluate(X, y, verbose=0, return_dict=True)
    p = model.predict(X, verbose=0)
    for name in names:
        metric = getattr(metrics, name)()
        assert found[metric.name] == pytest.approx(metric(y, p).item(), rel=1e-5)


def test_labels_are_checked_before_training():
    """Those that are classes; those of Circle are any integers."""
    model = gpunn.Sequential([gpunn.Input((5,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", losses.CategoricalGeneralizedCrossEntropy())
    with pytest.raises(ValueError, match="entropy: found label 3, but the output has 3 classes"):
        model.fit(X, np.arange(40) % 4, verbose=0)
    model.compile("sgd", losses.Circle())
    assert model.fit(X, np.arange(40) % 7, verbose=0).history["loss"]
    assert LABELS == ["SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy",
                      "Circle", "CTC"]  # fmt: skip
