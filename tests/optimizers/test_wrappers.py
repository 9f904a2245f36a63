"""LossScaleOptimizer and MultiOptimizer."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops, optimizers
from gpunn.optimizers import schedules

from .cases import agree, gradients, variables

keras = pytest.importorskip("keras")


# --- loss scaling ---


def scaled_run(k, inner, steps=10, bad=(3, 6, 7)):
    """Weights, state and scaled losses; Keras' own loop needs the stateless form."""
    optimizer = k.optimizers.LossScaleOptimizer(inner, 8.0, dynamic_growth_steps=2)
    weights, losses = variables(k), []
    optimizer.build(weights)
    for step in range(steps):
        found = [8 * g for g in gradients(step)]
        if step in bad:
            found[step % 2].flat[-1] = np.nan if step == 6 else np.inf
        if k is gpunn:
            optimizer.apply_gradients(zip(map(ops.convert_to_tensor, found), weights))
        else:
            every = [*weights, *optimizer.variables]
            values = [v.value for v in every]
            new, state = optimizer.stateless_apply(values[2:], found, values[:2])
            for variable, value in zip(every, (*new, *state), strict=True):
                variable.assign(value)
        losses.append(float(optimizer.scale_loss(k.ops.convert_to_tensor(0.5))))
    return [*weights, *optimizer.variables], losses


@pytest.mark.parametrize(
    "make",
    [
        lambda o: o.SGD(0.1, momentum=0.9),
        lambda o: o.Adam(
            o.schedules.ExponentialDecay(0.1, 2, 0.5), gradient_accumulation_steps=2, use_ema=True
        ),
    ],
    ids=["sgd", "summed adam with a schedule"],
)
def test_loss_scaling_equals_keras(make):
    ours, scaled = scaled_run(gpunn, make(gpunn.optimizers))
    theirs, expected = scaled_run(keras, make(keras.optimizers))
    assert scaled == expected
    names = [v.path.split("/")[-1] for v in ours]
    assert names == [v.path.split("/")[-1] for v in theirs]
    agree(ours, theirs)


def test_long_tables_of_a_schedule_that_counts_on_the_device():
    rates = []
    inner = optimizers.SGD(schedules.ExponentialDecay(1.0, 10, 0.9))
    optimizer, w = optimizers.LossScaleOptimizer(inner, 1.0), gpunn.Variable([0.0])
    expected, made = 0.0, 0
    for step in range(150):
        bad = step % 3 == 1
        gradient = np.nan if bad else float(optimizer.scale_loss(1.0))
        optimizer.apply([np.array([gradient], "float32")], [w])
        expected -= 0 if bad else 0.9 ** (made / 10)
        made += not bad
        rates.append(float(optimizer.learning_rate))
    assert w.numpy() == pytest.approx(expected, rel=1e-4)
    assert rates[-1] == pytest.approx(0.9**10) and int(optimizer.iterations) == made == 100
    optimizer.iterations.assign(0)
    before = float(w[0])
    optimizer.apply([np.full(1, float(optimizer.dynamic_scale), "float32")], [w])
    assert before - float(w[0]) == pytest.approx(1.0, rel=1e-5)


def test_fit_lowers_a_scale_that_is_too_high_and_then_learns():
    x = np.random.default_rng(1).standard_normal((32, 4)).astype("float32")
    results = []
    for jit_compile in (True, False):
        gpunn.utils.set_random_seed(3)
        model = gpunn.Sequential([layers.Input((4,)), layers.Dense(1)])
        optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.1), 2.0**127)
        model.compile(optimizer, "mse", jit_compile=jit_compile)
        history = model.fit(x, x[:, :1], batch_size=4, epochs=4, verbose=0, shuffle=False)
        assert history.history["loss"][-1] < 0.1 * history.history["loss"][0]
        assert int(optimizer.iterations) < 32
        assert float(optimizer.dynamic_scale) == 2.0 ** (127 - 32 + int(optimizer.iterations))
        results.append(model.get_weights())
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)


def test_loss_scale_optimizer_passes_on_what_is_asked():
    inner = optimizers.Adam(0.5, use_ema=True, loss_scale_factor=4.0)
    optimizer = optimizers.LossScaleOptimizer(inner, name="scaled")
    assert inner.loss_scale_factor is None and optimizer.scale_loss(1.0) == 2.0**15
    optimizer.learning_rate = 0.25
    assert float(inner.learning_rate) == float(optimizer.learning_rate) == 0.25
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert set(optimizer.get_config()) == set(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()).get_config()
    )
    w = gpunn.Variable([1.0])
    optimizer.apply([np.ones(1)], [w])
    optimizer.apply([np.ones(1)], [w])
    optimizer.finalize_variable_values([w])
    assert w.numpy() == inner._model_variables_moving_average[0].numpy()
    assert optimizer.flattened() == [optimizer, inner]


# --- several optimizers ---


def several(k, **options):
    o = k.optimizers
    return o.MultiOptimizer(
        o.OptimizerMap(o.Adam(0.1, use_ema=True), {".*bias": o.SGD(0.1, momentum=0.5)}), **options
    )


@pytest.mark.parametrize("options", [{}, {"loss_scale_factor": 2.0}])
def test_several_optimizers_equal_keras(options):
    results = []
    for k in (gpunn, keras):
        optimizer, weights = several(k, **options), variables(k)
        for step in range(5):
            found = map(k.ops.convert_to_tensor, gradients(step))
            optimizer.apply(list(found), weights)
        optimizer.finalize_variable_values(weights)
        results.append([*weights, *optimizer.variables])
        assert int(optimizer.iterations) == 5 and len(optimizer.optimizers) == 2
    agree(*results)


def test_parts_of_a_model_in_fit():
    body, head = layers.Dense(3, name="body"), layers.Dense(1, name="head")
    model = gpunn.Sequential([layers.Input((4,)), body, head])
    choice = optimizers.OptimizerMap(optimizers.SGD(0.0))
    choice[".*head/.*"] = optimizers.SGD(0.1)
    model.compile(optimizers.MultiOptimizer(choice), "mse")
    before = [v.numpy() for v in model.weights]
    model.fit(np.ones((8, 4)), np.ones((8, 1)), batch_size=4, epochs=4, verbose=0)
    moved = [not np.array_equal(a, b.numpy()) for a, b in zip(before, model.weights)]
    assert moved == [False, False, True, True]


def test_config_of_several():
    optimizer = several(gpunn, loss_scale_factor=2.0)
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert [type(o).__name__ for o in again.optimizers] == ["SGD", "Adam"]
    assert all(o.loss_scale_factor == 2.0 for o in again.optimizers)
    again.loss_scale_factor = None
    assert all(o.loss_scale_factor is None for o in again.optimizers)


def test_map():
    adam, sgd, lion = optimizers.Adam(), optimizers.SGD(), optimizers.Lion()
    found = optimizers.OptimizerMap(adam, {"encoder/.*": sgd, "encoder/head": lion})
    assert found["encoder/a"] is sgd and found["encoder/head"] is lion and found["x"] is adam
    assert list(found) == ["encoder/.*", "encoder/head"] and len(found) == 2
    del found["encoder/head"]
    assert found["encoder/head"] is sgd
    found[".*head"] = lion
    with pytest.raises(ValueError, match="'encoder/head' matches several keys"):
        found["encoder/head"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: o.LossScaleOptimizer("adam"), TypeError, "inner_optimizer must be another ki"),
        (
            lambda o: o.LossScaleOptimizer(o.LossScaleOptimizer(o.SGD())),
            TypeError,
            "must be another kind of optimizer",
        ),
        (lambda o: o.LossScaleOptimizer(o.SGD(), 0.0), ValueError, "initial_scale must be positi"),
        (lambda o: o.OptimizerMap("adam"), TypeError, "default_optimizer must be an Optimizer"),
        (lambda o: o.OptimizerMap(o.SGD(), [1]), TypeError, "optimizer_map must be a dict"),
        (lambda o: o.OptimizerMap(o.SGD(), {"a": 1}), ValueError, "the optimizer for 'a' must be"),
        (lambda o: o.OptimizerMap(o.SGD(), {1: o.SGD()}), ValueError, "key must be a string"),
        (
            lambda o: o.OptimizerMap(o.SGD(), {"a": o.SGD()}).__setitem__("a", o.SGD()),
            ValueError,
            "there is an optimizer for 'a' already",
        ),
        (
            lambda o: o.MultiOptimizer(lambda v: "adam").build(variables(gpunn)),
            ValueError,
            "the optimizer for 'kernel' must be an Optimizer that wraps no other",
        ),
        (lambda o: several(gpunn).learning_rate, AttributeError, "see those of its `optimizers`"),
        (
            lambda o: setattr(several(gpunn), "learning_rate", 1),
            AttributeError,
            "set those of its `optimizers`",
        ),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make(optimizers)


def test_variables_of_another_model():
    optimizer = several(gpunn)
    optimizer.build(variables(gpunn))
    with pytest.raises(ValueError, match="built for other variables and does not know 'kernel'"):
        optimizer.apply(gradients(0), variables(gpunn))
