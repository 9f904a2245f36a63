"""A recorded step does what the eager one does, bit for bit, and knows when it must not be used."""

import re
import warnings

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops, optimizers
from gpunn.backend import devices
from gpunn.backend.recorder import Recorder
from gpunn.optimizers import schedules

RNG = np.random.default_rng(11)
X = RNG.normal(size=(330, 20)).astype("float32")
Y = RNG.integers(0, 5, 330).astype("int32")

OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(0.01, clipnorm=1.0),
    "amsgrad": lambda: optimizers.Adam(amsgrad=True, clipvalue=0.1),
    "adamw": lambda: optimizers.AdamW(schedules.CosineDecay(0.01, 100), weight_decay=0.1),
    "sgd": lambda: optimizers.SGD(
        schedules.ExponentialDecay(0.1, 10, 0.9), momentum=0.9, global_clipnorm=1.0
    ),
    "rmsprop": lambda: optimizers.RMSprop(centered=True, momentum=0.5),
    "adagrad": lambda: optimizers.Adagrad(0.05),
}


def make(jit_compile, optimizer="adam", seed=3):
    gpunn.utils.set_random_seed(seed)
    model = gpunn.Sequential(
        [
            gpunn.Input((20,)),
            layers.Dense(64, activation="relu", kernel_regularizer="l2"),
            layers.Dropout(0.3),
            layers.GaussianNoise(0.1),
            layers.Dense(32, activation="gelu", kernel_constraint="max_norm"),
            layers.Dense(5, activation="softmax"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(OPTIMIZERS[optimizer](), loss, metrics=["accuracy"], jit_compile=jit_compile)
    return model


def recorded(model, kind="_train"):
    """The recorded steps of one kind, of the step in use."""
    (found,) = [r for f, r in model._step.recordings.items() if f.__name__ == kind]
    return list(found.steps.values())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_200_steps_are_bit_identical(optimizer):
    weights = []
    for jit_compile in (False, "auto"):
        model = make(jit_compile, optimizer)
        order = np.random.default_rng(0).integers(0, 330, (200, 32))
        sample_weight = np.linspace(0.5, 2, 32, dtype="float32")
        for rows in order:
            model.train_on_batch(X[rows], Y[rows], sample_weight=sample_weight)
        weights.append(model.get_weights())
    assert recorded(model)[0].program is not None
    for eager, replayed in zip(*weights, strict=True):
        np.testing.assert_array_equal(eager, replayed)


def test_fit_evaluate_and_predict_are_bit_identical():
    found = []
    for jit_compile in (False, True):
        model = make(jit_compile)
        gpunn.utils.set_random_seed(5)
        history = model.fit(
            X, Y, epochs=5, batch_size=32, verbose=0, validation_split=0.1, class_weight={0: 2.0}
        )
        evaluated = model.evaluate(X, Y, verbose=0)
        found.append((history.history, evaluated, model.predict(X, verbose=0), model.get_weights()))
    assert found[0][:2] == found[1][:2]
    np.testing.assert_array_equal(found[0][2], found[1][2])
    for eager, replayed in zip(found[0][3], found[1][3], strict=True):
        np.testing.assert_array_equal(eager, replayed)


def test_a_replay_takes_nothing_from_the_pools():
    model = make("auto")
    for _ in range(4):
        model.train_on_batch(X[:32], Y[:32])
    (step,) = recorded(model)
    before = devices.cpu.memory_stats(), step.arena_bytes
    with Recorder(devices.cpu) as recorder:
        pass
    model._step.train(X[:32], Y[:32], None)
    assert (devices.cpu.memory_stats(), step.arena_bytes) == before
    assert recorder.arena.used == recorder.arena.cached == 0
    assert step.runs == 5 and step.program is not None


def test_temporaries_share_the_arena():
    model = make("auto")
    for _ in range(3):
        model.train_on_batch(X[:32], Y[:32])
    (step,) = recorded(model)
    every_output = sum(
        array.nbytes
        for call in step.program
        for array in call.args[1:]
        if isinstance(array, np.ndarray)
    )
    assert 0 < step.arena_bytes < every_output / 2


def test_inputs_of_the_caller_are_left_alone():
    model = make("auto")
    x, y = X[:32].copy(), Y[:32].copy()
    for rows in np.arange(320).reshape(10, 32):
        model.train_on_batch(x, y)
        model.train_on_batch(X[rows], Y[rows])
    np.testing.assert_array_equal(x, X[:32])
    np.testing.assert_array_equal(y, Y[:32])


def test_a_new_learning_rate_holds_in_the_next_replay():
    model = make("auto", "adagrad")
    for _ in range(4):
        model.train_on_batch(X[:32], Y[:32])
    model.optimizer.learning_rate = 0.0
    before = model.layers[0].get_weights()
    model.train_on_batch(X[:32], Y[:32])
    for old, new in zip(before, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_freezing_a_layer_holds_in_the_next_step():
    model = make("auto")
    for _ in range(4):
        model.train_on_batch(X[:32], Y[:32])
    model.layers[0].trainable = False
    before = model.layers[0].get_weights()
    for _ in range(4):
        model.train_on_batch(X[:32], Y[:32])
    for old, new in zip(before, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_that_moved_are_found():
    """Another optimizer takes the weights into its own flat buffers."""
    weights = []
    for jit_compile in (False, "auto"):
        model = make(jit_compile)
        for _ in range(5):
            model.train_on_batch(X[:32], Y[:32])
        other = optimizers.SGD(0.1)
        other.apply([np.ones(w.shape, "float32") for w in model.weights], model.weights)
        for _ in range(5):
            model.train_on_batch(X[:32], Y[:32])
        weights.append(model.get_weights())
    for eager, replayed in zip(*weights, strict=True):
        np.testing.assert_array_equal(eager, replayed)


def test_signatures_are_bounded():
    model = make("auto")
    for size in range(1, 31):
        model.train_on_batch(X[:size], Y[:size])
    assert len(recorded(model)) == 8


class HostReader(layers.Layer):
    def call(self, x):
        return x * 2 if float(ops.sum(x)) > 0 else x * 3


class Counter(layers.Layer):
    calls = 0

    def call(self, x):
        self.calls += 1
        return x * float(self.calls)


class Outsider(layers.Layer):
    """Computes beside the kernels: a replay would show it the first batch forever."""

    def call(self, x):
        return x + gpunn.Tensor(x.data * 0.5)


class Custom(gpunn.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.head = layers.Dense(1)

    def call(self, x):
        return self.head(self.layer(x))


def custom(layer, jit_compile):
    gpunn.utils.set_random_seed(1)
    model = Custom(layer)
    model.compile("sgd", "mse", jit_compile=jit_compile)
    return model


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (HostReader, rf"a value is read on the host at {re.escape(__file__)}:\d+"),
        (Counter, "got arrays or options that no kernel made"),
        (Outsider, "got arrays or options that no kernel made"),
    ],
)
def test_steps_that_cannot_be_replayed_run_eagerly_and_say_why_once(layer, reason):
    eager, model = custom(layer(), False), custom(layer(), True)
    target = Y[:32, None].astype("float32")

    def train():
        for rows in np.arange(320).reshape(10, 32):
            eager.train_on_batch(X[rows], target)
            model.train_on_batch(X[rows], target)

    with pytest.warns(UserWarning, match=reason) as caught:
        train()
    assert len(caught) == 1
    for a, b in zip(eager.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_auto_leaves_layers_losses_and_metrics_of_users_alone():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = custom(Counter(), "auto")
        model.train_on_batch(X[:8], np.ones((8, 1), "float32"))
        assert not model._step.recordings
        for loss, metrics in ((lambda t, p: ops.mean((t - p) ** 2, axis=-1), []),
                              ("mse", [lambda t, p: ops.mean(t - p, axis=-1)])):  # fmt: skip
            model = gpunn.Sequential([gpunn.Input((20,)), layers.Dense(1)])
            model.compile("sgd", loss, metrics=metrics)
            model.train_on_batch(X[:8], np.ones((8, 1), "float32"))
            assert not model._step.recordings


class Fails(layers.Layer):
    armed = False

    def call(self, x):
        if self.armed:
            raise RuntimeError("on purpose")
        return x * 1.0


def test_an_error_inside_a_recording_leaves_the_model_usable():
    layer = Fails()
    model = custom(layer, True)
    target = np.ones((32, 1), "float32")
    model.train_on_batch(X[:32], target)
    layer.armed = True
    pool = devices.cpu.pool
    with pytest.raises(RuntimeError, match="on purpose"):
        model.train_on_batch(X[:32], target)
    assert devices.cpu.pool is pool
    layer.armed = False
    losses = [model.train_on_batch(X[:32], target) for _ in range(5)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_unknown_values_of_jit_compile():
    with pytest.raises(ValueError, match='jit_compile must be "auto", True or False'):
        custom(Fails(), "yes")
