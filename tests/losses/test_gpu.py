"""Losses on the simulated GPU: the values and gradients of the CPU, and no copies in a step."""

import numpy as np
import pytest

import gpunn
from gpunn import losses
from tests.losses.catalogue import LOSSES, NAMES, data
from tests.simulated_gpu.device import statistics

WEIGHTS = np.array([0.5, 2.0, 0.25, 1.5], "float32")


def loss_and_gradient(name, options, y_true, y_pred, weights):
    x = gpunn.Variable(y_pred)
    with gpunn.GradientTape() as tape:
        loss = getattr(losses, name)(**options)(y_true, x, weights)
    return loss, tape.gradient(loss, x)


@pytest.mark.parametrize("name", NAMES)
def test_losses(simulated_gpu, name):
    options = LOSSES[name][3][min(1, len(LOSSES[name][3]) - 1)]
    y_true, y_pred = data(name, options=options)
    expected = loss_and_gradient(name, options, y_true, y_pred, WEIGHTS)
    with gpunn.device("gpu:0"):
        given = [gpunn.ops.convert_to_tensor(a) for a in (y_true, y_pred, WEIGHTS)]
        loss_and_gradient(name, options, *given)  # constants, as a list of alphas, are made once
        before = statistics().device_to_host, statistics().host_to_device
        found = loss_and_gradient(name, options, *given)
        assert (statistics().device_to_host, statistics().host_to_device) == before
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.device == "gpu:0"
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
