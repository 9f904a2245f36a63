"""A recorded step does what the eager one does, bit for bit, and knows when it must not be used."""

import gc
import re
import threading
import warnings
import weakref

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops, optimizers
from gpunn.backend.buffers import BufferPool
from gpunn.backend.numpy import _HostInput
from gpunn.backend.thread import local
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


def recorded(model, kind="train"):
    """The recorded steps of one kind, of the step in use."""
    found = model._step.recordings[kind]
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


def test_a_replay_takes_nothing_from_the_pools(monkeypatch):
    model = make("auto")
    for _ in range(4):
        model.train_on_batch(X[:32], Y[:32])
    (step,) = recorded(model)
    assert step.program is not None
    lent = []
    monkeypatch.setattr(BufferPool, "lend", lambda *args: lent.append(args))
    model._step.train(X[:32], Y[:32], None)
    assert not lent


def test_temporaries_share_the_arena():
    model = make("auto")
    for _ in range(3):
        model.train_on_batch(X[:32], Y[:32])
    (step,) = recorded(model)
    every_output = sum(
        array.nbytes
        for call in step.program.calls
        for array in call[1]
        if isinstance(array, np.ndarray)
    )
    assert 0 < step.program.nbytes < every_output / 2


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


def same_as_eager(change, steps=5):
    """Predictions and weights around a change between steps, recorded and eager, bit for bit."""
    found = []
    for jit_compile in (False, "auto"):
        gpunn.config.set_epsilon(1e-7)
        model = make(jit_compile)
        seen = []
        for phase in range(3):
            for _ in range(steps):
                seen.append(model.train_on_batch(X[:32], Y[:32]))
                seen.append(model.test_on_batch(X[:32], Y[:32]))
                seen.append(model.predict(X[:32], verbose=0))
            if phase == 0:
                change(model)
        found.append([*seen, *model.get_weights()])
    for eager, replayed in zip(*found, strict=True):
        np.testing.assert_array_equal(eager, replayed)


def change_loss(loss):
    loss.options = {**loss.options, "from_logits": True}


CHANGES = {
    "rate": lambda m: setattr(m.layers[1], "rate", 0.6),
    "activation": lambda m: setattr(m.layers[0], "activation", gpunn.activations.tanh),
    "learning_rate": lambda m: setattr(m.optimizer, "learning_rate", 0.1),
    "clipnorm": lambda m: setattr(m.optimizer, "clipnorm", 0.01),
    "beta_1": lambda m: setattr(m.optimizer, "beta_1", 0.5),
    "loss": lambda m: change_loss(m._compile_loss.losses[0]),
    "epsilon": lambda m: gpunn.config.set_epsilon(1e-2),
    "weights": lambda m: m.set_weights([w * 0.5 for w in m.get_weights()]),
    "constraint": lambda m: setattr(m.layers[0].kernel, "constraint", gpunn.constraints.NonNeg()),
    "trainable": lambda m: setattr(m.layers[3], "trainable", False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_steps_holds_at_once(change):
    same_as_eager(CHANGES[change])


def test_predictions_follow_weights_that_the_first_training_step_moves():
    model = make("auto")
    for _ in range(5):
        model.predict(X[:32], verbose=0)
    for _ in range(4):
        model.train_on_batch(X[:32], Y[:32])
        for _ in range(4):
            np.testing.assert_array_equal(model.predict(X[:32], verbose=0), model(X[:32]).numpy())


def test_layers_added_to_an_inner_model_are_run():
    inner = gpunn.Sequential([layers.Dense(4)])
    model = gpunn.Sequential([gpunn.Input((20,)), inner, layers.Dense(2)])
    for _ in range(5):
        model.predict(X[:8], verbose=0)
    inner.add(layers.Activation("relu"))
    for _ in range(5):
        np.testing.assert_array_equal(model.predict(X[:8], verbose=0), model(X[:8]).numpy())


def test_threads_may_predict_with_one_model():
    model = make("auto")
    batches = [X[i * 32 : i * 32 + 32] for i in range(8)]
    expected = [model(b).numpy() for b in batches]
    wrong = []

    def work(number):
        for turn in range(60):
            i = (number + turn) % 8
            if not np.array_equal(model.predict_on_batch(batches[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_settings_that_change_in_every_step_end_the_tries():
    model = make(True)

    def train():
        for i in range(30):
            model.layers[1].rate = 0.1 + 0.01 * i
            model.train_on_batch(X[:32], Y[:32])

    with pytest.warns(UserWarning, match="settings of layers, or others, change in every step"):
        train()


def test_a_schedule_by_callback_keeps_the_recording():
    model = make("auto")
    for i in range(30):
        model.optimizer.learning_rate = 0.1 / (i + 1)
        model.train_on_batch(X[:32], Y[:32])
    assert recorded(model)[0].program is not None


class Named(gpunn.Model):
    def call(self, x):
        return ops.subtract(x["a"], x["b"] * 2.0)


def test_named_inputs_are_not_mixed_up():
    model = Named()
    model.compile(jit_compile=True)
    a, b = X[:8], X[8:16]
    for _ in range(5):
        model.predict({"a": a, "b": b}, verbose=0)
    np.testing.assert_allclose(model.predict({"b": b, "a": a}, verbose=0), a - 2 * b, rtol=1e-6)


class OwnUpdate(optimizers.Optimizer):
    def __init__(self):
        super().__init__(0.1)

    def update_step(self, gradient, variable, learning_rate):
        variable.data[...] -= np.float32(0.1) * gradient.data  # no kernel


def test_optimizers_of_users_are_not_recorded():
    model = gpunn.Sequential([gpunn.Input((20,)), layers.Dense(1)])
    model.compile(OwnUpdate(), "mse")
    target = np.ones((32, 1), "float32")
    losses = [model.train_on_batch(X[:32], target) for _ in range(8)]
    assert not model._step.recordings
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.9 * losses[0]


class BatchedMatmul(layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight((input_shape[-1], 5))

    def call(self, x):
        return ops.matmul(x, self.w)


def test_matmul_with_broadcast_batches_uses_the_weights_of_now():
    x = X[:24].reshape(4, 6, 20)
    losses = []
    for jit_compile in (False, True):
        model = custom(BatchedMatmul(), jit_compile)
        target = np.ones((4, 6, 1), "float32")
        losses.append([model.train_on_batch(x, target) for _ in range(8)])
    assert losses[0] == losses[1]


def test_a_signature_in_use_outlives_those_that_come_once():
    model = make("auto")
    for size in range(1, 31):
        model.train_on_batch(X[:size], Y[:size])
        model.train_on_batch(X[:32], Y[:32])
    assert recorded(model)[-1].program is not None  # of the 32, the last one used


class HostReader(layers.Layer):
    def call(self, x):
        return x * 2 if float(ops.sum(x)) > 0 else x * 3


class Counter(layers.Layer):
    calls = 0

    def call(self, x):
        self.calls += 1
        return x * float(self.calls)


class KeepsLarge(layers.Layer):
    """Keeps a large tensor from one step to the next."""

    previous = None

    def call(self, x):
        y = ops.tanh(ops.tile(x, (1, 40)))
        out = ops.sum(y if self.previous is None else y + self.previous, axis=-1, keepdims=True)
        self.previous = gpunn.Tensor(y.data)
        return x * out


class SetsAttribute(layers.Layer):
    def call(self, x):
        self.seen = ops.sum(x)
        return x * 2.0


class PicksColumns(layers.Layer):
    def call(self, x):
        return x[:, np.arange(19, -1, -1)]


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
        (Outsider, rf"got arrays or options that no kernel made, at {re.escape(__file__)}:\d+"),
        (KeepsLarge, "got arrays or options that no kernel made"),
        (SetsAttribute, "each step sets an attribute of a layer or another setting"),
        (PicksColumns, "got arrays or options that no kernel made"),
    ],
)
def test_steps_that_cannot_be_replayed_run_eagerly_and_say_why_once(layer, reason):
    target = Y[:32, None].astype("float32")

    def train(jit_compile):
        model = custom(layer(), jit_compile)
        for rows in np.arange(320).reshape(10, 32):
            model.train_on_batch(X[rows], target)
        return model

    eager = train(False)
    with pytest.warns(UserWarning, match=reason) as caught:
        model = train(True)
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
    with pytest.raises(RuntimeError, match="on purpose"):
        model.train_on_batch(X[:32], target)
    assert local.recorder is None
    layer.armed = False
    losses = [model.train_on_batch(X[:32], target) for _ in range(5)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_unknown_values_of_jit_compile():
    with pytest.raises(ValueError, match='jit_compile must be "auto", True or False'):
        custom(Fails(), "yes")


def test_the_next_fit_goes_on_with_the_recording():
    model = make(True)
    model.fit(X, Y, batch_size=66, verbose=0)
    programs = [step.program for step in recorded(model)]
    assert all(programs)
    model.fit(X, Y, batch_size=66, verbose=0)
    assert [step.program for step in recorded(model)] == programs


@pytest.mark.parametrize("shuffled_before", [False, True])
def test_shuffled_batches_are_made_where_the_recording_reads_them(monkeypatch, shuffled_before):
    model = make(True)
    model.fit(X, Y, batch_size=30, epochs=2, verbose=0, shuffle=shuffled_before)
    copied = []

    def take(place, batch):
        copied.append(batch is not place.array)
        original(place, batch)

    original = _HostInput.take
    monkeypatch.setattr(_HostInput, "take", take)
    model.fit(X, Y, batch_size=30, verbose=0)
    assert len(copied) == 22 and not any(copied)  # x and y of 11 batches
    model.fit(X, Y, batch_size=30, verbose=0, shuffle=False)
    assert len(copied) == 44 and all(copied[22:])  # slices of the caller's arrays


class KeepsBatches(gpunn.layers.Layer):
    """Hands its input on, and keeps it."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def call(self, x):
        self.kept.append(x)
        return x


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_batches_that_a_layer_keeps_stay_as_they_are(run_eagerly):
    numbers = np.arange(32, dtype="float32")[:, None]
    layer = KeepsBatches()
    model = gpunn.Sequential([gpunn.Input((1,)), layer, gpunn.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=run_eagerly)
    model.fit(numbers, numbers, batch_size=8, verbose=0, epochs=2)
    kept = np.concatenate([x.numpy() for x in layer.kept[-8:]])
    np.testing.assert_array_equal(np.sort(kept.ravel()), np.repeat(numbers, 2))


def test_a_batch_size_beyond_the_data():
    model = make(True)
    model.fit(X, Y, batch_size=10**12, epochs=4, verbose=0)
    assert model.optimizer.iterations.numpy() == 4


def test_a_callback_may_compile_before_a_step():
    class Compiles(gpunn.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1:
                self.model.compile("sgd", "sparse_categorical_crossentropy")

    model = make(True)
    model.fit(X, Y, batch_size=30, verbose=0, callbacks=[Compiles()])
    assert model.optimizer.iterations.numpy() == 10  # of 11 batches


@pytest.mark.parametrize("late", [False, True])
def test_a_callback_may_train_between_a_batch_and_its_step(late):
    """`late`: one that decides to do so at the begin of the training."""

    class Between(gpunn.callbacks.Callback):
        def on_train_begin(self, logs=None):
            if late:
                self.on_train_batch_begin = self.train

        def train(self, batch, logs=None):
            self.model.train_on_batch(X[:30], Y[:30])

        if not late:
            on_train_batch_begin = train

    weights = []
    for jit_compile in (False, True):
        model = make(jit_compile)
        model.fit(X, Y, batch_size=30, epochs=2, verbose=0)
        model.fit(X, Y, batch_size=30, epochs=2, verbose=0, callbacks=[Between()])
        weights.append(model.get_weights())
    for eager, replayed in zip(*weights, strict=True):
        np.testing.assert_array_equal(eager, replayed)


def test_a_step_that_is_left_goes_at_once():
    model = make(True)
    model.fit(X, Y, batch_size=66, verbose=0)
    step = weakref.ref(model._step)
    gc.disable()
    try:
        model.compile("sgd", "sparse_categorical_crossentropy")
        assert step() is None  # and with it its buffers, which may be large
    finally:
        gc.enable()
