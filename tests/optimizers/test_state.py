"""The state of optimizers: saved, loaded, set, and left alone by `stateless_apply`."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import optimizers
from gpunn.errors import ShapeError

from .cases import METHODS, agree, gradients, run, variables

keras = pytest.importorskip("keras")


def tensors(step):
    return [gpunn.ops.convert_to_tensor(g) for g in gradients(step)]


@pytest.mark.parametrize("name", METHODS)
def test_training_goes_on_from_a_saved_state(name):
    def make():
        return getattr(optimizers, name)(
            0.05, use_ema=True, gradient_accumulation_steps=2, clipnorm=1.0
        )

    whole, weights = make(), variables(gpunn)
    run(gpunn, whole, weights, 7)
    first, parted, store = make(), variables(gpunn), {}
    for step in range(4):
        first.apply_gradients(zip(tensors(step), parted))
    first.save_own_variables(store)
    assert list(store) == [str(i) for i in range(len(first.variables))]
    parted = [gpunn.Variable(v.numpy(), name=v.name) for v in parted]
    second = make()
    second.build(parted)
    second.load_own_variables(store)
    for step in range(4, 7):
        second.apply_gradients(zip(tensors(step), parted))
    for a, b in zip([*weights, *whole.variables], [*parted, *second.variables]):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_the_state_of_keras_can_be_loaded():
    options = {"use_ema": True, "amsgrad": True, "gradient_accumulation_steps": 2, "name": "a"}
    theirs, reference, store = keras.optimizers.Adam(**options), variables(keras), {}
    theirs.build(reference)
    for i, v in enumerate(theirs.variables[2:]):
        v.assign(np.full(v.shape, i + 1.0, "float32"))
    theirs.save_own_variables(store)
    ours = optimizers.Adam(**options)
    ours.build(variables(gpunn))
    ours.load_own_variables(store)
    agree(ours.variables, theirs.variables)
    assert [v.path for v in ours.variables[2:]] == [v.path for v in theirs.variables[2:]]


@pytest.mark.parametrize("name", ["SGD", "Nadam", "Muon", "Adafactor"])
def test_stateless_apply_changes_nothing(name):
    def make(k):
        return getattr(k.optimizers, name)(0.05, use_ema=True, weight_decay=0.1)

    ours, theirs = make(gpunn), make(keras)
    w, reference = variables(gpunn), variables(keras)
    for k, optimizer, weights in ((gpunn, ours, w), (keras, theirs, reference)):
        run(k, optimizer, weights, 2)
    before = [v.numpy() for v in (*w, *ours.variables)]
    new, state = ours.stateless_apply(ours.variables, tensors(5), [2 * v for v in w])
    for old, v in zip(before, (*w, *ours.variables)):
        np.testing.assert_array_equal(v.numpy(), old)
    expected = theirs.stateless_apply(
        [v.value for v in theirs.variables], gradients(5), [2 * v.value for v in reference]
    )
    agree([*new, *state], [*expected[0], *expected[1]])
    ours.apply_gradients(zip(tensors(3), w))  # the returned values are copies
    agree(new, expected[0])


def test_assigned_counts_and_slots_are_those_of_the_next_update():
    w = gpunn.Variable([1.0])
    optimizer = optimizers.SGD(optimizers.schedules.PiecewiseConstantDecay([9], [1.0, 0.5]), 0.5)
    optimizer.build([w])
    optimizer.set_weights([np.array(10), np.array([8.0])])
    assert float(optimizer.learning_rate) == 0.5
    optimizer.apply([np.ones(1, "float32")], [w])
    assert int(optimizer.iterations) == 11 and w.numpy() == 1 + 4 - 0.5


def test_errors():
    optimizer, (kernel, bias) = optimizers.SGD(0.1, momentum=0.9), variables(gpunn)
    with pytest.raises(ValueError, match=r"stateless_apply\(\) takes .* See build"):
        optimizer.stateless_apply([], [None], [kernel])
    optimizer.build([kernel, bias])
    with pytest.raises(ValueError, match="the 4 values .* those of the 2 weights .* 1 and 0"):
        optimizer.stateless_apply([0], [], [])
    with pytest.raises(ValueError, match="received 1 values for 4 variables. Is the optimizer b"):
        optimizer.set_weights([np.zeros(())])
    values = [v.numpy() for v in optimizer.variables]
    with pytest.raises(ShapeError, match=r"a value of shape \(2,\) for 'sgd.*_momentum' of shape"):
        optimizer.set_weights([*values[:2], np.zeros(2), values[3]])
    with pytest.warns(UserWarning, match="it has 4 variables and the saved one 1"):
        optimizer.load_own_variables({"0": np.zeros(())})
