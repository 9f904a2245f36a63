"""A recorded update gives the bits of an eager one, also where the device leaves updates out."""

from functools import partial

import numpy as np
import pytest

import gpunn
from gpunn import ops, optimizers
from gpunn.backend import devices

from .cases import METHODS, gradients, variables

STEPS = 12
SUMS = {
    "gradient_accumulation_steps": 3, "use_ema": True, "ema_overwrite_frequency": 2,
    "clipnorm": 1.0, "weight_decay": 0.1,
}  # fmt: skip


class Own(optimizers.Optimizer):
    """A user's optimizer, which knows nothing of recordings."""

    def __init__(self, learning_rate=0.05, **options):
        super().__init__(learning_rate, **options)

    def build(self, variables):
        super().build(variables)
        self.sums = self.add_optimizer_variables(variables, "sum")

    def update_step(self, gradient, variable, learning_rate):
        total = self.sums[self._get_variable_index(variable)]
        self.assign(total, 0.9 * total + gradient / ops.cast(self.iterations + 1, variable.dtype))
        self.assign_sub(variable, learning_rate * total)


def plain(name):
    return getattr(optimizers, name)(0.05)


def summed(name):
    return getattr(optimizers, name)(0.05, **SUMS)


def scaled(name):
    rate = optimizers.schedules.ExponentialDecay(0.05, 3, 0.5)
    inner = getattr(optimizers, name)(rate, gradient_accumulation_steps=2)
    return optimizers.LossScaleOptimizer(inner, 4.0, dynamic_growth_steps=3)


def several():
    return optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.Muon(), {"bias": Own()}))


MAKERS = {
    **{
        f"{m.__name__} {name}": partial(m, name)
        for m in (plain, summed, scaled)
        for name in METHODS
    },
    "own": Own,
    "own summed": lambda: Own(**SUMS),
    "own scaled": lambda: optimizers.LossScaleOptimizer(Own(use_ema=True), 4.0),
    "several": several,
    "several scaled": lambda: optimizers.LossScaleOptimizer(several(), 4.0),
}


def result(make, record):
    """The weights and the state after some steps, three of them not finite where that matters."""
    optimizer, weights = make(), variables(gpunn)

    def step(*found):
        optimizer.apply_gradients(zip(found, weights))
        return ops.sum(weights[0])

    work = gpunn.function(step) if record else step
    for i in range(STEPS):
        found = gradients(i)
        if isinstance(optimizer, optimizers.LossScaleOptimizer) and i in (4, 5, 9):
            found[1][0] = np.inf
        work(*map(ops.convert_to_tensor, found))
    if record:
        assert [r.program is not None for r in work.recordings.steps.values()] == [True]
    return [v.numpy() for v in (*weights, *optimizer.variables)]


@pytest.mark.parametrize("name", MAKERS)
def test_recorded_equals_eager(name):
    for eager, recorded in zip(*(result(MAKERS[name], record) for record in (False, True))):
        np.testing.assert_array_equal(eager, recorded)


def test_a_graph_equals_eager_on_the_cpu(simulated_gpu):
    def make():
        inner = optimizers.SGD(optimizers.schedules.ExponentialDecay(0.05, 3, 0.5), 0.9, **SUMS)
        return optimizers.LossScaleOptimizer(inner, 4.0, dynamic_growth_steps=3)

    expected = result(make, False)
    with gpunn.device("gpu"):
        received = result(make, True)
    assert devices.opened.gpus
    for a, b in zip(expected, received):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
