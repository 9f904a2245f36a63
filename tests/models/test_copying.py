"""pickle and copy.deepcopy of models."""

import copy
import pickle

import numpy as np
import pytest

import gpunn as keras

WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


@pytest.fixture(params=WAYS)
def copied(request):
    return WAYS[request.param]


class Shift(keras.layers.Layer):
    """A layer of the user's own, registered nowhere."""

    def build(self, input_shape):
        self.amount = self.add_weight(shape=(input_shape[-1],), name="amount")

    def call(self, x):
        return x + self.amount


def two_outputs():
    """Own layer, BatchNormalization, dropout, an inner model; two outputs with losses."""
    x = keras.Input((4,), name="x")
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "tanh")])
    h = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(Shift()(inner(x))))
    model = keras.Model(x, {"a": keras.layers.Dense(1, name="a")(h), "b": h})
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)),
        loss={"a": keras.losses.Huber(0.5), "b": "mae"},
        loss_weights={"a": 2.0, "b": 0.5},
        metrics={"a": [keras.metrics.MeanAbsoluteError(name="error")]},
    )
    return model


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 4), "float32")
    return x, {"a": x[:, :1], "b": np.repeat(x[:, :1], 5, axis=1)}


def train(model, data):
    keras.utils.set_random_seed(7)
    return model.fit(*data, epochs=2, verbose=0).history


def test_a_copy_goes_on_as_the_model_does(copied, data):
    model = two_outputs()
    train(model, data)
    twin = copied(model)
    assert type(twin) is keras.Model and twin.history is None
    for key, values in model.predict(data[0], verbose=0).items():
        np.testing.assert_array_equal(twin.predict(data[0], verbose=0)[key], values)
    expected, found = train(model, data), train(twin, data)
    assert found == expected and "a_error" in found
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_copy_shares_nothing(copied, data):
    model = two_outputs()
    train(model, data)
    before = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    train(copied(model), data)
    after = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.metrics[-1] is not copied(model).metrics[-1]


def test_what_was_frozen_later_has_its_state_still(copied, data):
    model = two_outputs()
    train(model, data)
    model.layers[1].trainable = False
    twin = copied(model)
    assert len(twin.trainable_weights) == len(model.trainable_weights) < len(model.weights)
    for a, b in zip(model.optimizer.variables, twin.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_models_that_are_not_compiled_or_not_built(copied):
    model = keras.Sequential([keras.layers.Dense(3)])
    twin = copied(model)
    assert not twin.compiled and not twin.weights
    x = np.ones((2, 4), "float32")
    expected = model(x)
    np.testing.assert_array_equal(copied(model)(x).numpy(), expected.numpy())


class Own(keras.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return {"units": self.units, "name": self.name}


def test_models_with_a_call_of_their_own(copied):
    model = Own(2)
    twin = copied(model)
    assert twin.units == 2 and twin.name == model.name
    model(np.ones((1, 4), "float32"))
    with pytest.raises(ValueError, match="'own.*' \\(Own\\) cannot be .* with its 2 weights"):
        copied(model)
    with pytest.raises(ValueError, match="its config makes 0"):
        pickle.dumps(model)


def test_an_untrained_copy(data):
    from gpunn.models.copying import untrained_copy

    model = two_outputs()
    train(model, data)
    twin = untrained_copy(model)
    assert not np.allclose(twin.get_weights()[0], model.get_weights()[0])
    assert not twin.optimizer.built and model.optimizer.built
    assert list(train(twin, data)) == list(train(model, data))


def test_metric_objects_begin_anew_with_each_compile():
    x, metric = np.arange(4, dtype="float32")[:, None], keras.metrics.MeanAbsoluteError(name="mae")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    for shift in (0, 10):
        model.compile(keras.optimizers.SGD(0.0), "mse", metrics=[metric])
        assert model.fit(x, x + shift, verbose=0).history["mae"] == pytest.approx([1.5 + shift])
