"""SwapEMAWeights: weights and averages change places as in Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import types

import numpy as np
import pytest

import gpunn

keras = pytest.importorskip("keras")


def trained(k, swap_on_epoch):
    """A callback, and a stand-in for a model whose optimizer keeps averages."""
    weights = [k.Variable([1.0, 2.0], name="a"), k.Variable([[3.0]], name="b")]
    averages = [k.Variable([10.0, 20.0], name="c"), k.Variable([[30.0]], name="d")]
    optimizer = types.SimpleNamespace(
        name="sgd", use_ema=True, built=True, _trainable_variables=weights,
        _model_variables_moving_average=averages,
    )  # fmt: skip
    callback = k.callbacks.SwapEMAWeights(swap_on_epoch)
    callback.set_params({"epochs": 2})
    callback.set_model(types.SimpleNamespace(optimizer=optimizer, stop_training=False))
    values = lambda: [np.array(v).ravel().tolist() for v in (*weights, *averages)]
    return callback, values


TURNS = [
    ("on_epoch_begin", 0), ("on_test_begin",), ("on_test_end",), ("on_epoch_end", 0),
    ("on_epoch_begin", 1), ("on_epoch_end", 1), ("on_test_begin",), ("on_test_end",),
]  # fmt: skip


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_turns_of_a_fit_as_keras(swap_on_epoch):
    (ours, values), (theirs, expected) = (trained(k, swap_on_epoch) for k in (gpunn, keras))
    before, swapped = values(), 0
    for hook, *arguments in TURNS:
        getattr(ours, hook)(*arguments)
        getattr(theirs, hook)(*arguments)
        assert values() == expected(), (hook, *arguments)
        swapped += values() != before
    assert swapped


def test_predictions_use_the_averages_and_the_weights_come_back():
    """Keras 3.15 leaves the averages in the model after predict."""
    callback, values = trained(gpunn, False)
    before = values()
    callback.on_predict_begin()
    assert values() == before[2:] + before[:2]
    callback.on_predict_end()
    assert values() == before


def test_a_loss_scale_optimizer_is_looked_through():
    callback, values = trained(gpunn, False)
    before = values()
    inner = callback.model.optimizer
    callback.model.optimizer = types.SimpleNamespace(inner_optimizer=inner, name="scaled")
    callback.on_test_begin()
    assert values() == before[2:] + before[:2]


def test_an_optimizer_without_averages_is_refused():
    for k in (gpunn, keras):
        model = k.Sequential([k.Input((2,)), k.layers.Dense(1)])
        model.compile("sgd", "mse")
        with pytest.raises(ValueError, match="use_ema=True"):
            model.evaluate(np.ones((2, 2)), np.ones((2, 1)), verbose=0,
                           callbacks=[k.callbacks.SwapEMAWeights()])  # fmt: skip


def test_the_first_fit_of_a_model_as_in_keras():
    """The averages are made by the first step, the first epoch begins before it."""
    x = np.linspace(-1, 1, 24, dtype="float32").reshape(12, 2)
    found = []
    for k in (gpunn, keras):
        model = k.Sequential([k.Input((2,)), k.layers.Dense(1, kernel_initializer="ones")])
        model.compile(k.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7), "mse")
        history = model.fit(
            x, x[:, :1], epochs=3, batch_size=4, shuffle=False, verbose=0,
            validation_data=(x, x[:, :1]), callbacks=[k.callbacks.SwapEMAWeights(True)],
        )  # fmt: skip
        found.append(history.history["val_loss"] + model.get_weights()[0].ravel().tolist())
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_weights_that_were_never_trained_are_evaluated_as_they_are():
    model = gpunn.Sequential([gpunn.Input((2,)), gpunn.layers.Dense(1, kernel_initializer="ones")])
    model.compile(gpunn.optimizers.SGD(use_ema=True), "mse")
    x, y, swap = np.ones((2, 2)), np.ones((2, 1)), gpunn.callbacks.SwapEMAWeights()
    assert model.evaluate(x, y, verbose=0, callbacks=[swap]) == pytest.approx(1.0)
    assert model.get_weights()[0].ravel().tolist() == [1, 1]
