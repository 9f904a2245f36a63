"""Recorded steps with metrics give exactly the numbers of eager ones, and are recorded."""

import warnings

import numpy as np
import pytest

import gpunn
from gpunn import metrics

RNG = np.random.default_rng(5)
X = RNG.normal(size=(40, 4)).astype("float32")
LABELS = RNG.integers(0, 3, 40)
HOT = np.eye(3, dtype="float32")[LABELS]
W = RNG.uniform(0, 2, 40).astype("float32")
ONE_HOT = [
    metrics.TruePositives, metrics.FalsePositives, metrics.TrueNegatives, metrics.FalseNegatives,
    metrics.Precision,
    lambda: metrics.Precision(top_k=2, name="top"), lambda: metrics.Recall(class_id=1),
    metrics.AUC, lambda: metrics.AUC(multi_label=True, curve="PR", name="pr"),
    lambda: metrics.AUC(label_weights=[1, 2, 0.5], from_logits=True, name="weighted_auc"),
    lambda: metrics.SensitivityAtSpecificity(0.5), lambda: metrics.SpecificityAtSensitivity(0.5),
    lambda: metrics.PrecisionAtRecall(0.5), lambda: metrics.RecallAtPrecision(0.5),
    lambda: metrics.F1Score("macro"), lambda: metrics.FBetaScore("micro", 2.0, 0.4),
    lambda: metrics.OneHotIoU(3, [0, 2]), lambda: metrics.OneHotMeanIoU(3, dtype="float32"),
    metrics.BinaryIoU, metrics.R2Score, metrics.PearsonCorrelation, metrics.ConcordanceCorrelation,
    metrics.RootMeanSquaredError, metrics.TopKCategoricalAccuracy,
]  # fmt: skip
SPARSE = [
    lambda: metrics.MeanIoU(3, sparse_y_pred=False, dtype="float32"),
    lambda: metrics.IoU(3, [1], sparse_y_pred=False, ignore_class=0, dtype="float32"),
    metrics.SparseTopKCategoricalAccuracy,
]


class Errors(metrics.Metric):
    """A user's metric: a whole number and a vector."""

    def __init__(self, name="errors", **kwargs):
        super().__init__(name=name, **kwargs)
        self.wrong = self.add_variable(shape=(), initializer="zeros", dtype="int32", name="wrong")
        self.sums = self.add_weight(shape=(3,), initializer="zeros", name="sums")

    def update_state(self, y_true, y_pred, sample_weight=None):
        ops = gpunn.ops
        wrong = ops.not_equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1))
        self.wrong.assign_add(ops.sum(ops.cast(wrong, "float32")))
        self.sums.assign(self.sums + ops.sum(ops.abs(y_true - y_pred), axis=0))

    def result(self):
        return gpunn.ops.cast(self.wrong, "float32") + gpunn.ops.sum(self.sums)


def fitted(makers, y, loss, weighted, jit_compile):
    gpunn.utils.clear_session()  # names begin anew
    gpunn.utils.set_random_seed(3)
    layers = [gpunn.layers.Input((4,)), gpunn.layers.Dense(3, activation="softmax")]
    model = gpunn.Sequential(layers)
    given = [make() for make in makers]
    names = {"weighted_metrics" if weighted else "metrics": given}
    model.compile("adam", loss, jit_compile=jit_compile, **names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*lose their fractions")
        weights = W if weighted else None
        history = model.fit(
            X, y, batch_size=8, epochs=3, verbose=0, shuffle=False, sample_weight=weights
        ).history
    return history, [np.asarray(v) for metric in given for v in metric.variables], model


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("makers", "y", "loss"),
    [([*ONE_HOT, Errors], HOT, "categorical_crossentropy"),
     (SPARSE, LABELS, "sparse_categorical_crossentropy")],
    ids=["one_hot", "sparse"],
)  # fmt: skip
def test_recorded_equals_eager(makers, y, loss, weighted):
    eager, states, _ = fitted(makers, y, loss, weighted, False)
    found, recorded, model = fitted(makers, y, loss, weighted, True)
    assert [r.program is not None for r in model.step.recordings["train"].steps.values()] == [True]
    assert found == eager and len(eager) == len(makers) + 1
    for a, b in zip(recorded, states, strict=True):
        np.testing.assert_array_equal(a, b)


def test_vectors_of_thresholds_are_recorded():
    """A metric whose result is no number, in a loop of the user."""
    metric, eager = metrics.Recall(thresholds=[0.2, 0.8]), metrics.Recall(thresholds=[0.2, 0.8])

    @gpunn.function
    def step(t, p):
        metric.update_state(t, p)
        return metric.result()

    for i in range(5):
        t, p = np.roll(HOT, i, 0), np.roll(X[:, :3], i, 1)
        np.testing.assert_array_equal(step(t, p).numpy(), eager(t, p).numpy())
    assert not step._told_why_eager


def test_a_recorded_graph_equals_the_cpu(simulated_gpu):
    makers = [
        metrics.Precision, lambda: metrics.AUC(num_thresholds=5), lambda: metrics.F1Score("micro"),
        lambda: metrics.Recall(top_k=1), lambda: metrics.OneHotMeanIoU(3), Errors,
    ]  # fmt: skip
    expected, _, _ = fitted(makers, HOT, "categorical_crossentropy", False, False)
    with gpunn.device("gpu:0"):
        found, _, model = fitted(makers, HOT, "categorical_crossentropy", False, True)
    assert [r.program is not None for r in model.step.recordings["train"].steps.values()] == [True]
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4)
