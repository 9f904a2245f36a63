"""make_train_function and its like; stateless_compute_loss."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops

X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X[:, :2] * 2
BATCHES = [(X[i : i + 4], Y[i : i + 4]) for i in range(0, 24, 4)]


def model(**options):
    gpunn.utils.set_random_seed(1)
    made = gpunn.Sequential(
        [gpunn.Input((3,)), layers.Dense(2, kernel_regularizer="l2"), layers.BatchNormalization()]
    )
    made.compile("adam", "mse", metrics=["mae"], **options)
    return made


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 3}, {"jit_compile": False}])
def test_functions_of_iterators_do_what_fit_does(options):
    one, other = model(**options), model(**options)
    history = other.fit(X, Y, batch_size=4, shuffle=False, verbose=0).history
    train, iterator = one.make_train_function(), iter(BATCHES)
    calls = 6 // options.get("steps_per_execution", 1)
    for _ in range(calls):
        logs = train(iterator)
    assert {k: [float(v.numpy())] for k, v in logs.items()} == history
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(StopIteration, match="no more batches"):
        train(iterator)

    one.reset_metrics()
    test, iterator = one.make_test_function(), iter(BATCHES)
    for _ in range(calls):
        logs = test(iterator)
    expected = other.evaluate(X, Y, batch_size=4, verbose=0, return_dict=True)
    assert {k: float(v.numpy()) for k, v in logs.items()} == expected

    predict, iterator = one.make_predict_function(), iter([x for x, _ in BATCHES])
    found = [predict(iterator) for _ in range(calls)]  # each keeps its values
    y = np.concatenate([part.numpy() for part in found])
    np.testing.assert_array_equal(y, other.predict(X, batch_size=4, verbose=0))


def test_force_forgets_what_was_recorded():
    made = model()
    train = made.make_train_function()
    train(iter(BATCHES))
    step = made.step
    assert made.make_test_function() and made.step is step
    made.make_train_function(force=True)
    assert made.step is not step


def test_a_train_step_of_ones_own():
    class Own(gpunn.Sequential):
        def train_step(self, data):
            x, y = data
            return {"distance": ops.sum(ops.abs(x)) + ops.sum(y) * 0}

    own = Own([gpunn.Input((3,)), layers.Dense(2)])
    own.compile("sgd", "mse")
    logs = own.make_train_function()(iter(BATCHES))
    np.testing.assert_allclose(logs["distance"].numpy(), np.abs(X[:4]).sum(), rtol=1e-5)


def test_stateless_compute_loss_as_keras():
    keras = pytest.importorskip("keras")
    ours = model()
    theirs = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, kernel_regularizer="l2"),
         keras.layers.BatchNormalization()]
    )  # fmt: skip
    theirs.compile("adam", "mse", metrics=["mae"])
    weights = [np.ones(w.shape, "float32") * 0.3 for w in ours.get_weights()]
    start = ours.get_weights()
    theirs.set_weights(weights)
    trainable, others = ours.trainable_variables, ours.non_trainable_variables
    named = dict(zip([id(w) for w in ours.weights], weights))
    values, rest = ([named[id(v)] for v in part] for part in (trainable, others))
    values = [ops.convert_to_tensor(v) for v in values]
    with gpunn.GradientTape() as tape:
        for value in values:
            tape.watch(value)
        y_pred, rest = ours.stateless_call(values, rest, X, training=True)
        loss, (same, moved, counts) = ours.stateless_compute_loss(
            values, rest, ours.metrics_variables, X, Y, y_pred
        )
    gradients = tape.gradient(loss, values)
    expected = theirs.compute_loss(X, Y, theirs(X, training=True))
    np.testing.assert_allclose(loss.numpy(), np.asarray(expected), rtol=1e-5)
    assert same is values and len(moved) == 2 and len(counts) == len(ours.metrics_variables)
    np.testing.assert_allclose(moved[0].numpy(), theirs.weights[-2].numpy(), rtol=1e-5)
    kernel = values[0].numpy() * 2 * 0.01  # the penalty's; the loss's is that of the batch
    with gpunn.GradientTape() as tape:
        tape.watch(values[0])
        y_pred, _ = ours.stateless_call(values, rest, X, training=True)
        plain = ops.mean((y_pred - Y) ** 2)
    plain = tape.gradient(plain, [values[0]])[0].numpy()
    np.testing.assert_allclose(gradients[0].numpy(), plain + kernel, rtol=1e-4, atol=1e-6)
    for a, b in zip(ours.get_weights(), start, strict=True):
        np.testing.assert_array_equal(a, b)  # the model is as before


def test_compute_loss_of_ones_own_and_training():
    seen = []

    class Own(gpunn.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            seen.append(training)
            return ops.sum(y_pred) * 3

    own = Own([gpunn.Input((3,)), layers.Dense(2)])
    own.compile("sgd")
    values = own.trainable_variables, [], own.metrics_variables
    loss, _ = own.stateless_compute_loss(*values, y_pred=np.ones(2), training=False)
    assert float(loss.numpy()) == 6 and seen == [False]


def test_errors():
    made = gpunn.Sequential([gpunn.Input((3,)), layers.Dense(2)])
    assert made.make_predict_function()(iter([X])).shape == (24, 2)
    for call in (made.make_train_function, made.make_test_function):
        with pytest.raises(ValueError, match=f"{call.__name__}\\(\\) needs a compiled model"):
            call()
    with pytest.raises(ValueError, match="stateless_compute_loss.* needs a compiled model"):
        made.stateless_compute_loss([], [], [])
    made.compile("sgd", "mse")
    with pytest.raises(ValueError, match="metrics_variables: .* received 0 values"):
        made.stateless_compute_loss(made.trainable_variables, [], [])
    with pytest.raises(TypeError, match=r"do not call make_train_function. Override train_step"):

        class Own(gpunn.Model):
            def make_train_function(self, force=False): ...
