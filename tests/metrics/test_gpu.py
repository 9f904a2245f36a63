"""Losses and metrics on the simulated GPU equal those on the CPU, and read nothing on the host."""

import numpy as np
import pytest

import gpunn
from gpunn import losses, metrics
from gpunn.autodiff.tape import GradientTape
from tests.simulated_gpu.device import statistics

RNG = np.random.default_rng(3)
P = RNG.uniform(0.1, 1, (7, 4)).astype("float32")
P /= P.sum(-1, keepdims=True)
LABELS = RNG.integers(0, 4, 7).astype("int32")
ONE_HOT = np.eye(4, dtype="float32")[LABELS]
W = RNG.uniform(0, 2, 7).astype("float32")
LOSSES = [
    (losses.MeanSquaredError, ONE_HOT), (losses.MeanAbsoluteError, ONE_HOT),
    (losses.BinaryCrossentropy, ONE_HOT), (losses.CategoricalCrossentropy, ONE_HOT),
    (losses.SparseCategoricalCrossentropy, LABELS),
]  # fmt: skip
METRICS = [
    (metrics.BinaryAccuracy, ONE_HOT), (metrics.CategoricalAccuracy, ONE_HOT),
    (metrics.SparseCategoricalAccuracy, LABELS), (metrics.RootMeanSquaredError, ONE_HOT),
    (metrics.TruePositives, ONE_HOT), (lambda: metrics.Recall([0.2, 0.6], top_k=2), ONE_HOT),
    (lambda: metrics.AUC(5, multi_label=True), ONE_HOT), (metrics.F1Score, ONE_HOT),
    (lambda: metrics.AUC(5, "PR", label_weights=[1, 2, 0, 3]), ONE_HOT),
    (lambda: metrics.PrecisionAtRecall(0.5, 5, class_id=1), ONE_HOT), (metrics.R2Score, ONE_HOT),
    (lambda: metrics.MeanIoU(4, sparse_y_pred=False, dtype="float32"), LABELS),
    (lambda: metrics.OneHotIoU(4, [1, 2], dtype="float32"), ONE_HOT),
    (metrics.ConcordanceCorrelation, ONE_HOT),
    (lambda: metrics.SparseTopKCategoricalAccuracy(k=2), LABELS), (metrics.Accuracy, np.round(P)),
]  # fmt: skip


def loss_and_gradient(cls, y_true, weights):
    x = gpunn.Variable(P)
    with GradientTape() as tape:
        loss = cls()(y_true, x, weights)
    return loss.numpy(), tape.gradient(loss, x).numpy()


@pytest.mark.parametrize(("cls", "y_true"), LOSSES)
@pytest.mark.parametrize("weights", [None, W])
def test_losses(simulated_gpu, cls, y_true, weights):
    expected = loss_and_gradient(cls, y_true, weights)
    with gpunn.device("gpu:0"):
        found = loss_and_gradient(cls, y_true, weights)
    for ours, theirs in zip(found, expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("cls", "y_true"), METRICS)
@pytest.mark.parametrize("weights", [None, W])
def test_metrics(simulated_gpu, cls, y_true, weights):
    cpu = cls()
    cpu.update_state(y_true, P, weights)
    with gpunn.device("gpu:0"):
        gpu = cls()
        y = gpunn.ops.convert_to_tensor(P)
        y_true = gpunn.ops.convert_to_tensor(y_true)
        weights = None if weights is None else gpunn.ops.convert_to_tensor(weights)
    gpu.update_state(y_true, y, weights)
    gpu.reset_state()
    before = statistics().device_to_host, statistics().host_to_device
    gpu.update_state(y_true, y, weights)
    assert (statistics().device_to_host, statistics().host_to_device) == before
    np.testing.assert_allclose(gpu.result().numpy(), cpu.result().numpy(), rtol=1e-5)


def test_host_targets_go_to_the_device_of_the_predictions(simulated_gpu):
    with gpunn.device("gpu:0"):
        y, metric = gpunn.ops.convert_to_tensor(P), metrics.SparseCategoricalAccuracy()
    loss = losses.SparseCategoricalCrossentropy()(LABELS, y, W)
    metric.update_state(LABELS, y, W)
    assert loss.device == metric.result().device == "gpu:0"
