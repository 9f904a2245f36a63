"""Metrics that are means of losses, against Keras: batches, weights, masks, configs, names."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

from gpunn import losses, metrics, ops
from tests.losses.catalogue import data

keras = pytest.importorskip("keras")

#: Metric: the loss that it is the mean of.
METRICS = {
    "Hinge": "Hinge",
    "SquaredHinge": "SquaredHinge",
    "CategoricalHinge": "CategoricalHinge",
    "KLDivergence": "KLDivergence",
    "Poisson": "Poisson",
    "LogCoshError": "LogCosh",
    "MeanAbsolutePercentageError": "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError": "MeanSquaredLogarithmicError",
    "CosineSimilarity": "CosineSimilarity",
}
WEIGHTS = np.array([0.5, 2.0, 0.25, 1.5], "float32")
MASK = np.array([True, False, True, True])


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(("weights", "mask"), [(None, None), (WEIGHTS, None), (WEIGHTS, MASK)])
def test_batches(name, weights, mask):
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    for seed in (0, 1):
        t, y = data(METRICS[name], seed=seed)
        x, k = ops.convert_to_tensor(y), keras.ops.convert_to_tensor(y)
        if mask is not None:
            x._keras_mask, k._keras_mask = ops.convert_to_tensor(mask), keras.ops.array(mask)
        ours.update_state(t, x, weights)
        theirs.update_state(t, k, weights)
        assert ours.result().item() == pytest.approx(float(theirs.result()), rel=1e-5)
    ours.reset_state()
    assert ours.result().item() == 0


@pytest.mark.parametrize("name", METRICS)
def test_names_and_configs(name):
    cls = getattr(metrics, name)
    ours, config = cls(), getattr(keras.metrics, name)().get_config()
    assert config == {k: v for k, v in ours.get_config().items() if k in config}
    assert cls.from_config(config) == cls.from_config(ours.get_config()) == ours
    assert metrics.deserialize(metrics.serialize(ours)) == ours
    assert type(metrics.get(name)) is type(metrics.get(ours.name)) is cls
    assert cls(dtype="float64").dtype == "float64"
    assert [v.path for v in ours.variables] == [f"{ours.name}/total", f"{ours.name}/count"]


def test_cosine_similarity_along_an_axis():
    """Its config has the axis (Keras' forgets it); unlike the loss, 1 is best."""
    t, y = data("CosineSimilarity")
    metric = metrics.CosineSimilarity(axis=0, name="mine")
    assert metric.get_config() == {"name": "mine", "dtype": "float32", "axis": 0}
    again = metrics.CosineSimilarity.from_config(metric.get_config())
    expected = np.sum(t * y, axis=0) / np.linalg.norm(t, axis=0) / np.linalg.norm(y, axis=0)
    assert metric(t, y).item() == again(t, y).item() == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("name", METRICS)
def test_stateless(name):
    """The result of a batch is the mean of the loss."""
    loss = METRICS[name]
    t, y = data(loss)
    metric = getattr(metrics, name)()
    state = metric.stateless_update_state(metric.stateless_reset_state(), t, y)
    expected = getattr(losses, loss)()(t, y).item() * (-1 if loss == "CosineSimilarity" else 1)
    assert metric.stateless_result(state).item() == pytest.approx(expected, rel=1e-5)
    assert metric.result().item() == 0


def test_the_functions_of_losses_are_here_too():
    for name, value in vars(keras.metrics).items():
        if hasattr(keras.losses, name) and name.islower() and name[0] != "_":
            assert hasattr(metrics, name), name
            if name not in ("get", "serialize", "deserialize"):
                assert getattr(metrics, name) is getattr(losses, name) and callable(value)
