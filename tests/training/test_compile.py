"""compile: Keras' order of arguments, and what this version refuses instead of ignoring it."""

import numpy as np
import pytest

import gpunn
from gpunn import layers

X = np.ones((8, 3), "float32")
Y = np.ones((8, 1), "float32")


def model():
    return gpunn.Sequential([gpunn.Input((3,)), layers.Dense(1)])


def test_the_order_of_arguments_is_that_of_keras():
    pytest.importorskip("keras")
    import inspect

    import keras

    theirs = list(inspect.signature(keras.Model.compile).parameters)
    ours = list(inspect.signature(gpunn.Model.compile).parameters)
    assert ours == theirs


def test_run_eagerly_means_no_recording():
    eager = model()
    eager.compile("sgd", "mse", run_eagerly=True)
    for _ in range(4):
        eager.train_on_batch(X, Y)
    assert not eager._step.recordings


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="loss_weights must be numbers, received 'a'"):
        model().compile("sgd", "mse", loss_weights=["a"])
    with pytest.raises(ValueError, match="steps_per_execution must be a positive integer"):
        model().compile("sgd", "mse", steps_per_execution=0)


def test_evaluating_nothing():
    compiled = model()
    compiled.compile("sgd", "mse")
    with pytest.raises(ValueError, match="There was no batch to evaluate"):
        compiled.evaluate(iter([]), verbose=0)


@pytest.mark.parametrize("how", [{"validation_data": (X, Y)}, {"validation_split": 0.5}])
def test_a_validation_batch_of_nothing(how):
    compiled = model()
    compiled.compile("sgd", "mse")
    with pytest.raises(ValueError, match="batch_size must be a positive integer, received 0"):
        compiled.fit(X, Y, validation_batch_size=0, verbose=0, **how)


def test_evaluate_keeps_the_recorded_training_step():
    compiled = model()
    compiled.compile("sgd", "mse")
    for _ in range(4):
        compiled.train_on_batch(X, Y)
    step = compiled._step
    compiled.evaluate(X, Y, verbose=0)
    compiled.predict(X, verbose=0)
    assert compiled._step is step


def test_another_optimizer_is_taken_up():
    compiled = model()
    compiled.compile("sgd", "mse")
    compiled.train_on_batch(X, Y)
    compiled.optimizer = gpunn.optimizers.SGD(0.0)
    before = compiled.get_weights()
    compiled.train_on_batch(X, Y)
    for old, new in zip(before, compiled.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
