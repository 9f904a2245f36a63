"""Behaviours 12 to 17 of Keras' optimizers that are easily forgotten."""

import numpy as np
import pytest

import gpunn
from gpunn import layers, optimizers

X = np.random.default_rng(1).standard_normal((24, 4)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def ones(v):
    return np.ones(v.shape, v.dtype)


def linear(optimizer, **options):
    gpunn.utils.set_random_seed(3)
    model = gpunn.Sequential([layers.Input((4,)), layers.Dense(1, **options)])
    model.compile(optimizer, "mse")
    return model


def fit(model, epochs=1, **options):
    return model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, **options)


def test_12_names_are_snake_case_and_unique_and_are_kept():
    gpunn.utils.clear_session()
    made = [optimizers.Adam(), optimizers.Adam(), optimizers.AdamW(), optimizers.SGD()]
    assert [o.name for o in made] == ["adam", "adam_1", "adam_w", "sgd"]
    assert optimizers.deserialize(optimizers.serialize(made[1])).name == "adam_1"
    assert made[1].iterations.path == "adam_1/iteration"


@pytest.mark.parametrize(
    "pair", [("clipnorm", "clipvalue"), ("clipnorm", "global_clipnorm"), ("clipvalue", "clipnorm")]
)
def test_13_at_most_one_way_of_clipping(pair):
    with pytest.raises(ValueError, match="At most one of clipnorm, clipvalue and global_clipnorm"):
        optimizers.Lion(**dict.fromkeys(pair, 1.0))


def test_13_missing_gradients():
    a, b = gpunn.Variable([1.0], name="a"), gpunn.Variable([1.0], name="b")
    optimizer = optimizers.Nadam(0.1)
    with pytest.raises(ValueError, match="No gradients provided for any variable"):
        optimizer.apply_gradients([(None, a), (None, b)])
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables \['b'\]"):
        optimizer.apply_gradients([(ones(a), a), (None, b)])
    assert a.numpy() < 1 and b.numpy() == 1


@pytest.mark.parametrize("jit_compile", [True, False])
def test_14_accumulation_counts_updates_and_takes_the_mean_gradient(jit_compile):
    summed = linear(optimizers.SGD(0.1, gradient_accumulation_steps=3))
    whole = linear(optimizers.SGD(0.1))
    summed.jit_compile = whole.jit_compile = jit_compile
    for epoch in range(3):
        assert int(summed.optimizer.iterations) == epoch
        fit(summed)
        whole.train_on_batch(X, Y)
        for a, b in zip(summed.get_weights(), whole.get_weights()):
            np.testing.assert_allclose(a, b, rtol=1e-5)
    assert int(summed.optimizer.variables[0]) == 9


def test_14_weights_stay_between_updates():
    w = gpunn.Variable([1.0])
    optimizer = optimizers.Adam(0.1, gradient_accumulation_steps=4, weight_decay=0.1)
    seen = []
    for _ in range(8):
        optimizer.apply_gradients([(ones(w), w)])
        seen.append((int(optimizer.iterations), float(w[0])))
    assert [n for n, _ in seen] == [0, 0, 0, 1, 1, 1, 1, 2]
    assert len({value for _, value in seen}) == 3


def test_15_the_average_starts_from_the_first_updated_value():
    w = gpunn.Variable([1.0])
    optimizer = optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
    optimizer.apply_gradients([(ones(w), w)])
    average = optimizer.variables[2]
    assert w.numpy() == average.numpy() == 0.5
    optimizer.apply_gradients([(ones(w), w)])
    assert w.numpy() == 0 and average.numpy() == pytest.approx(0.45)


def test_15_the_average_overwrites_the_weights_from_time_to_time():
    w = gpunn.Variable([1.0])
    optimizer = optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)
    seen = []
    for _ in range(4):
        optimizer.apply_gradients([(ones(w), w)])
        seen.append(float(w[0]))
    # w 0.5, 0 -> (0.5 + 0) / 2; -0.25, average 0; -0.75 -> (0 - 0.75) / 2
    assert seen == pytest.approx([0.5, 0.25, -0.25, -0.375])


def test_15_fit_ends_with_the_averages_in_place_of_the_weights():
    plain = linear(optimizers.SGD(0.1))
    seen, average = [], None
    for start in range(0, 24, 8):
        plain.train_on_batch(X[start : start + 8], Y[start : start + 8])
        kernel = plain.get_weights()[0]
        average = kernel if average is None else 0.6 * average + 0.4 * kernel
        seen.append(kernel)
    averaged = linear(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.6))
    fit(averaged)
    np.testing.assert_allclose(averaged.get_weights()[0], average, rtol=1e-5)
    assert not np.allclose(average, seen[-1], rtol=1e-3)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Muon", "Adafactor", "Lamb"])
def test_16_the_constraint_holds_after_each_update(name):
    w = gpunn.Variable(np.ones((3, 2), "float32"), name="w")
    w.constraint = gpunn.constraints.NonNeg()
    optimizer = getattr(optimizers, name)(50.0)
    for _ in range(2):
        optimizer.apply_gradients([(np.array([[1, -1]] * 3, "float32"), w)])
        assert (w.numpy()[:, 0] == 0).all() and (w.numpy()[:, 1] > 0).all()


@pytest.mark.parametrize(
    "rate",
    [0.25, optimizers.schedules.PiecewiseConstantDecay([9], [0.25, 0.0]), lambda: 0.25],
    ids=["number", "schedule", "function"],
)
def test_16_the_learning_rate_may_be_a_number_a_schedule_or_a_function(rate):
    w = gpunn.Variable([1.0])
    optimizer = optimizers.SGD(rate)
    assert float(optimizer.learning_rate) == optimizer.learning_rate.numpy() == 0.25
    optimizer.apply_gradients([(ones(w), w)])
    assert w.numpy() == 0.75
    assert len(optimizer.variables) == (2 if isinstance(rate, float) else 1)


@pytest.mark.parametrize(
    "callback",
    [
        lambda: gpunn.callbacks.LearningRateScheduler(lambda epoch, rate: 0.1),
        lambda: gpunn.callbacks.ReduceLROnPlateau(monitor="loss", patience=0, min_delta=1e9),
    ],
    ids=["LearningRateScheduler", "ReduceLROnPlateau"],
)
def test_16_callbacks_do_not_overrule_a_schedule(callback):
    model = linear(optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10)))
    with pytest.raises(TypeError, match=r"cannot (be )?set"):
        fit(model, epochs=3, callbacks=[callback()])
    with pytest.raises(TypeError, match="follows a LearningRateSchedule"):
        model.optimizer.learning_rate = 0.1


def test_17_defaults():
    def defaults(name):
        return getattr(optimizers, name)().get_config()

    assert defaults("AdamW")["weight_decay"] == 0.004
    assert defaults("SGD")["learning_rate"] == pytest.approx(0.01)
    assert defaults("Lion")["beta_2"] == 0.99
    for name in ("Adam", "RMSprop", "Adagrad", "Adadelta", "Nadam", "Adamax", "Lamb", "Muon"):
        assert defaults(name)["epsilon"] == 1e-7
    for name in ("Adagrad", "Ftrl"):
        assert defaults(name)["initial_accumulator_value"] == 0.1
