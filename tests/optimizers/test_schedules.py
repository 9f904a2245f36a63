"""Schedules against Keras, at steps where something changes; a user's own; errors and configs."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import ops, optimizers
from gpunn.optimizers import schedules

keras = pytest.importorskip("keras")

CASES = [
    ("ExponentialDecay", (0.1, 7, 0.5), {}, (0, 6, 20)),
    ("ExponentialDecay", (0.1, 7, 0.5), {"staircase": True}, (6, 7)),
    ("InverseTimeDecay", (0.1, 7, 0.5), {}, (6, 20)),
    ("InverseTimeDecay", (0.1, 3, 0.5), {"staircase": True}, (2, 3)),
    ("PiecewiseConstantDecay", ([3, 9], [0.1, 0.05, 0.01]), {}, (0, 3, 4, 9, 10)),
    ("PolynomialDecay", (0.1, 7), {}, (0, 5, 7, 9)),
    ("PolynomialDecay", (0.1, 7, 0.01), {"power": 2.0, "cycle": True}, (0, 7, 8, 14, 15)),
    ("CosineDecay", (0.1, 20, 0.2), {}, (0, 10, 20, 30)),
    ("CosineDecay", (0.01, 12, 0.1), {"warmup_target": 0.1, "warmup_steps": 5}, (0, 4, 5, 17, 18)),
    ("CosineDecayRestarts", (0.1, 7), {}, (0, 6, 7, 20, 21, 49)),
    ("CosineDecayRestarts", (0.1, 5), {"t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1}, (4, 5, 12)),
    ("CosineDecayRestarts", (0.1, 8), {"t_mul": 1.5, "m_mul": 0.9}, (8, 20, 38)),
]


@pytest.mark.parametrize(("name", "arguments", "options", "steps"), CASES)
def test_values_and_configs(name, arguments, options, steps):
    ours, theirs = (
        getattr(k.optimizers.schedules, name)(*arguments, **options) for k in (gpunn, keras)
    )
    assert [ours(i) for i in steps] == pytest.approx([float(theirs(i)) for i in steps], abs=1e-7)
    assert ours(np.float32(steps[1])) == ours(gpunn.Variable(steps[1])) == ours(steps[1])
    assert ours.get_config() == theirs.get_config()
    again = schedules.deserialize(schedules.serialize(ours))
    assert again.get_config() == ours.get_config() and again(9) == ours(9)
    assert schedules.deserialize(keras.optimizers.schedules.serialize(theirs))(9) == ours(9)


class Transformer(schedules.LearningRateSchedule):
    """As it stands in tutorials: tensors in, a tensor out."""

    def __init__(self, d_model, warmup_steps=4000):
        self.d_model = ops.cast(d_model, "float32")
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        arg1, arg2 = ops.rsqrt(step), step * (self.warmup_steps**-1.5)
        return ops.rsqrt(self.d_model) * ops.minimum(arg1, arg2)

    def get_config(self):
        return {"d_model": float(self.d_model), "warmup_steps": self.warmup_steps}


def test_a_schedule_of_ones_own():
    w = gpunn.Variable([0.0])
    optimizer = optimizers.SGD(Transformer(64, 3))
    expected = 0.0
    for step in range(6):
        rate = 64**-0.5 * (min(step**-0.5, step * 3**-1.5) if step else 0.0)
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        optimizer.apply([np.ones(1, "float32")], [w])
        expected -= rate
        assert w.numpy() == pytest.approx(expected, rel=1e-5)
    again = optimizers.SGD.from_config(optimizer.get_config(), {"Transformer": Transformer})
    assert float(again.learning_rate) == 0 and type(again._rate.given) is Transformer


def test_branches_and_other_schedules_in_a_schedule_of_ones_own():
    class WarmUp(schedules.LearningRateSchedule):
        def __init__(self, after):
            self.after = after

        def __call__(self, step):
            return 0.1 * (step + 1) if step < 2 else self.after(step - 2)

    optimizer = optimizers.SGD(WarmUp(schedules.ExponentialDecay(0.5, 1, 0.5)))
    w, rates = gpunn.Variable([0.0]), []
    for _ in range(5):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([np.ones(1, "float32")], [w])
    assert rates == pytest.approx([0.1, 0.2, 0.5, 0.25, 0.125])
    with pytest.raises(NotImplementedError, match=r"WarmUp must override get_config\(\)"):
        optimizer.get_config()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.2]),
            ValueError,
            "2 boundaries need 3 values, received 2",
        ),
        (lambda: schedules.LearningRateSchedule()(0), NotImplementedError, r"override __call__"),
        (
            lambda: schedules.deserialize({"class_name": "CosinDecay", "config": {}}),
            ValueError,
            "Did you mean 'cosine_decay'",
        ),
        (lambda: schedules.CosineDecay(0.1, 0), ValueError, "decay_steps must be positive, rec"),
        (lambda: schedules.ExponentialDecay(0.1, -1, 0.5), ValueError, "decay_steps must be pos"),
        (lambda: schedules.InverseTimeDecay(0.1, 0, 0.5), ValueError, "decay_steps must be pos"),
        (lambda: schedules.PolynomialDecay(0.1, 0), ValueError, "decay_steps must be positive"),
        (
            lambda: schedules.CosineDecayRestarts(0.1, 0),
            ValueError,
            "first_decay_steps must be positive, received 0",
        ),
        (
            lambda: schedules.CosineDecayRestarts(0.1, 5, t_mul=0.5),
            ValueError,
            "t_mul must be at least 1, received 0.5",
        ),
        (lambda: schedules.Formula()(0), NotImplementedError, r"must override at\(step\)"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
