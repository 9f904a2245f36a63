"""The metrics' part of KERAS_BEHAVIOURS, under its numbers, against Keras where it has numbers."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import metrics, ops

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(2)
T = RNG.integers(0, 2, (7, 3)).astype("float32")
P = RNG.uniform(0, 1, (7, 3)).astype("float32")
W = RNG.uniform(0, 2, 7).astype("float32")
REQUIRED = {
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "PrecisionAtRecall": {"recall": 0.5}, "RecallAtPrecision": {"precision": 0.5},
    "IoU": {"num_classes": 2, "target_class_ids": (0, 1)}, "MeanIoU": {"num_classes": 2},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": (0,)}, "OneHotMeanIoU": {"num_classes": 3},
}  # fmt: skip
NAMES = sorted(
    name
    for name, cls in vars(metrics).items()
    if isinstance(cls, type) and issubclass(cls, metrics.Metric) and hasattr(keras.metrics, name)
    and name not in ("Metric", "MeanMetricWrapper")
)  # fmt: skip


def made(module, kind, **options):
    return getattr(module, kind)(**REQUIRED.get(kind, {}), **options)


def batch(name):
    """Arguments of `update_state`."""
    if name in ("Mean", "Sum"):
        return P, W
    if name == "SparseTopKCategoricalAccuracy" or name.startswith("Sparse"):
        return RNG.integers(0, 3, 7), P / P.sum(1, keepdims=True)
    if "Correlation" in name:
        return P[::-1], P
    return (T, np.round(P)) if name in ("IoU", "MeanIoU", "Accuracy") else (T, P)


def values(state):
    return [np.asarray(v) for v in state]


@pytest.mark.parametrize("name", NAMES)
def test_behaviour_05_configs_round_trip(name):
    metric = made(metrics, name, name="mine", dtype="float32")
    config = metric.get_config()
    assert config["name"] == "mine" and config["dtype"] == "float32"
    again = type(metric).from_config(config)
    assert again.get_config() == config
    for key, value in config.items():
        assert type(again.get_config()[key]) is type(value)


def test_behaviour_05_tuples_stay_tuples():
    metric = metrics.Precision(thresholds=(0.2, 0.4))
    assert metric.get_config()["thresholds"] == (0.2, 0.4)
    assert type(metric).from_config(metric.get_config()).init_thresholds == (0.2, 0.4)


def test_behaviour_06_get_gives_an_instance():
    for name, cls in {"mse": metrics.MeanSquaredError, "precision": metrics.Precision,
                      "AUC": metrics.AUC, "f1_score": metrics.F1Score}.items():  # fmt: skip
        assert type(metrics.get(name)) is cls
    assert metrics.get(None) is None
    with pytest.raises(ValueError, match="Unknown metric: 'f1'. Did you mean 'f1_score'"):
        metrics.get("f1")
    with pytest.raises(ValueError, match="Unknown metric: 'precison'. Did you mean 'precision'"):
        metrics.get("precison")


def model(metric_list, jit_compile=False):
    gpunn.utils.set_random_seed(1)
    layers = [gpunn.layers.Input((3,)), gpunn.layers.Dense(3, activation="sigmoid")]
    found = gpunn.Sequential(layers)
    found.compile("sgd", "mse", metrics=metric_list, jit_compile=jit_compile)
    return found


def test_behaviour_07_keys_are_what_the_user_wrote():
    given = ["acc", "precision", "AUC", metrics.Recall(name="found"), metrics.F1Score("macro")]
    logs = model(given).fit(P, T, batch_size=4, verbose=0).history
    assert list(logs) == sorted(["loss", "acc", "precision", "AUC", "found", "f1_score"])


@pytest.mark.parametrize("name", NAMES)
def test_behaviour_11_stateless(name):
    """Equal to the stateful metric, which stays as it was, and to Keras in the number of arrays."""
    metric, stateful = made(metrics, name), made(metrics, name)
    first, second = batch(name), batch(name)
    state = metric.stateless_reset_state()
    for arrays in (first, second):
        before = [np.array(v) for v in values(state)]
        after = metric.stateless_update_state(state, *arrays)
        for a, b in zip(values(state), before, strict=True):
            np.testing.assert_array_equal(a, b)
        state = after
        stateful.update_state(*arrays)
    assert all(not np.asarray(v).any() for v in metric.variables)
    for a, b in zip(values(state), values(stateful.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    found = metric.stateless_result(state)
    np.testing.assert_array_equal(found.numpy(), stateful.result().numpy())
    for a in values(metric.stateless_reset_state()):
        assert not a.any()
    assert [v.name for v in metric.variables] == [v.name for v in stateful.variables]


class Spread(metrics.Metric):
    """A user's metric, as one writes it for Keras: nested metrics, and a result that is a dict."""

    def __init__(self, name="spread", **kwargs):
        super().__init__(name=name, **kwargs)
        self.low = self.add_variable(shape=(), initializer="ones", name="low")
        self.seen = self.add_weight(name="seen", shape=(), initializer="zeros", dtype="int32")
        self.means = [metrics.Mean(name="a"), metrics.Mean(name="b")]
        self.more = {"sum": metrics.Sum()}

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = ops.cast(y_pred, self.dtype)
        self.low.assign(ops.minimum(self.low, ops.min(y_pred)))
        self.seen.assign_add(ops.shape(y_pred)[0])
        for mean, y in zip(self.means, (y_true, y_pred)):
            mean.update_state(y, sample_weight)
        self.more["sum"].update_state(ops.abs(y_true - y_pred))

    def result(self):
        return {"low": self.low, "gap": self.means[1].result() - self.means[0].result()}


def test_behaviour_11_metrics_of_the_user():
    metric = Spread()
    expected = ["low", "seen", "total", "count", "total", "count", "total"]
    assert [v.name for v in metric.variables] == expected
    assert [v.path for v in metric.variables][:3] == ["spread/low", "spread/seen", "a/total"]
    start = [np.array(v) for v in metric.variables]
    state = metric.stateless_update_state(start, T, P)
    result = metric.stateless_result(state)
    assert result["low"].item() == P.min()
    assert result["gap"].item() == pytest.approx(P.mean() - T.mean(), rel=1e-5)
    for a, b in zip(values(metric.variables), start, strict=True):
        np.testing.assert_array_equal(a, b)
    found = metric(T, P, sample_weight=W)
    gap = np.average(P.mean(1) - T.mean(1), weights=W)
    assert found["gap"].item() == pytest.approx(gap, rel=1e-5) and metric.seen.numpy() == 7
    metric.reset_state()
    assert not any(a.any() for a in values(metric.variables))


def test_behaviour_11_a_stateless_loop_can_be_recorded():
    """As in a training loop that keeps the state itself; the update is kernels only."""
    metric, stateful = metrics.AUC(num_thresholds=20), metrics.AUC(num_thresholds=20)

    @gpunn.function
    def step(state, t, p):
        state = metric.stateless_update_state(state, t, p)
        return state, metric.stateless_result(state)

    state = metric.stateless_reset_state()
    for i in range(6):
        t, p = np.roll(T, i, 0), np.roll(P, i, 1) ** (1 + i)
        state, result = step(state, t, p)
        stateful.update_state(t, p)
    for a, b in zip(values(state), values(stateful.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    assert result.item() == stateful.result().item()
    assert not step._told_why_eager
