"""Recurrent layers: dropout, recorded steps, long sequences and their memory, torch, bad input."""

import tracemalloc

import numpy as np
import pytest

import gpunn
from gpunn import GradientTape, layers, ops
from gpunn.autodiff.tape import Tape
from gpunn.errors import ShapeError
from gpunn.ops.rnn import gru_sequence, lstm_sequence, simple_rnn_sequence

NAMES = ("SimpleRNN", "LSTM", "GRU")
every_layer = pytest.mark.parametrize("name", NAMES)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


# --- dropout ---


@every_layer
def test_dropout_shares_its_choice_over_the_steps(name):
    """Equal to the same layer without dropout on inputs that are dropped by hand."""
    layer = getattr(layers, name)(4, dropout=0.5, seed=3, return_sequences=True)
    twin = layers.RNN(layer.cell, return_sequences=True)
    x = random(8, 5, 6)
    np.testing.assert_array_equal(layer(x).numpy(), layer(x).numpy())
    state = layer.cell.seed_generator.state
    before = state.numpy()
    received = layer(x, training=True).numpy()
    assert state.numpy()[1] == before[1] + 1
    state.assign(before)
    np.testing.assert_allclose(twin(x, training=True).numpy(), received, rtol=1e-5, atol=1e-6)
    state.assign(before)
    choice = gpunn.random.dropout(ops.ones((8, 1, 6)), 0.5, seed=layer.cell.seed_generator).numpy()
    assert set(np.unique(choice)) == {0.0, 2.0}
    np.testing.assert_allclose(layer(x * choice).numpy(), received, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(layer(x, training=True).numpy(), received)


@every_layer
def test_recurrent_dropout(name):
    """Masks of the state, one a gate, hold for all steps: equal to a loop with the same masks."""
    layer = getattr(layers, name)(4, recurrent_dropout=0.5, seed=3, kernel_initializer="zeros")
    cell, x = layer.cell, random(3, 4, 2)
    layer.build(x.shape)
    state = cell.seed_generator.state
    before = state.numpy()
    h0 = random(3, 4, seed=1)
    states = [h0] * len(layer.state_size)
    received = layer(x, training=True, initial_state=states).numpy()
    state.assign(before)
    count = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}[name]
    masks = [
        gpunn.random.dropout(ops.ones((3, 4)), 0.5, seed=cell.seed_generator).numpy()
        for _ in range(count)
    ]
    u = np.split(cell.recurrent_kernel.numpy(), count, axis=1)
    h, c = h0, h0
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    for _ in range(4):
        a = [(h * m) @ part for m, part in zip(masks, u)]
        if name == "SimpleRNN":
            h = np.tanh(a[0])
        elif name == "LSTM":
            c = sigmoid(a[1] + 1) * c + sigmoid(a[0]) * np.tanh(a[2])
            h = sigmoid(a[3]) * np.tanh(c)
        else:
            z, r = sigmoid(a[0]), sigmoid(a[1])
            h = z * h + (1 - z) * np.tanh(r * a[2])
    np.testing.assert_allclose(received, h, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(layer(x, training=True, initial_state=states).numpy(), received)
    np.testing.assert_array_equal(layer(x).numpy(), layer(x).numpy())


@every_layer
def test_a_rate_out_of_range_is_clipped_as_in_keras(name):
    layer = getattr(layers, name)(2, dropout=1.5, recurrent_dropout=-1.0)
    assert (layer.dropout, layer.recurrent_dropout) == (1.0, 0.0)


# --- recorded steps ---

MODELS = {
    "lstm": lambda: [layers.LSTM(6, return_sequences=True, dropout=0.3, seed=1), layers.LSTM(4)],
    "gru": lambda: [layers.GRU(6, return_sequences=True), layers.GRU(4, reset_after=False)],
    "simple": lambda: [layers.SimpleRNN(5, recurrent_dropout=0.2, seed=2)],
    "bidirectional": lambda: [layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
                              layers.TimeDistributed(layers.Dense(3)), layers.Flatten()],
    "stateful": lambda: [layers.GRU(4, stateful=True), layers.Dense(2)],
    "cells": lambda: [layers.RNN([layers.LSTMCell(4, dropout=0.2, seed=5), layers.GRUCell(3)])],
}  # fmt: skip


def trained(name, jit):
    gpunn.utils.set_random_seed(1)
    parts = [layers.Input((5, 4), batch_size=8), *MODELS[name](), layers.Dense(1)]
    model = gpunn.Sequential(parts)
    model.compile("adam", "mse", jit_compile=jit)
    losses = [
        model.train_on_batch(random(8, 5, 4, seed=i), random(8, 1, seed=i + 50)) for i in range(9)
    ]
    return losses, model.get_weights(), [v.numpy() for v in model.variables], model


@pytest.mark.parametrize("name", MODELS)
def test_recorded_equals_eager(name):
    eager, recorded = trained(name, False), trained(name, True)
    assert eager[0] == recorded[0]
    for a, b in zip([*eager[1], *eager[2]], [*recorded[1], *recorded[2]], strict=True):
        np.testing.assert_array_equal(a, b)
    step = recorded[3].step.recordings
    assert any(r.program is not None for found in step.values() for r in found.steps.values())


@pytest.mark.parametrize("name", ["lstm", "gru", "bidirectional"])
def test_training_on_the_simulated_gpu(simulated_gpu, name):
    expected = trained(name, True)
    with gpunn.device("gpu:0"):
        received = trained(name, True)
    np.testing.assert_allclose(received[0], expected[0], rtol=1e-4)
    for a, b in zip(received[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


# --- long sequences ---

SEQUENCES = {  # gates, and how many times H numbers are kept for a sample and a step
    "lstm": (lstm_sequence, 4, 6),
    "gru": (gru_sequence, 3, 5),
    "simple": (simple_rnn_sequence, 1, 1),
}


def arguments(name, steps, batch=2, features=3, units=4):
    gates = SEQUENCES[name][1]
    x = gpunn.Variable(random(batch, steps, features))
    w, u = random(features, gates * units) / 2, random(units, gates * units) / 2
    return x, gpunn.Variable(w), gpunn.Variable(u)


@pytest.mark.parametrize("name", SEQUENCES)
def test_ten_thousand_steps_are_one_record(name):
    function, (x, w, u) = SEQUENCES[name][0], arguments(name, 10_000, batch=1)
    with Tape() as tape:
        y = function(x, w, u)[0]
    assert len(tape.records) == 1
    (du,) = tape.backward({id(y): np.ones(y.shape, "float32")}, [u])
    assert np.isfinite(du).all()


def test_a_long_loop_of_a_cell_does_not_recurse():
    layer = layers.RNN(layers.GRUCell(2), return_sequences=True)
    x = random(1, 2000, 2)
    with GradientTape() as tape:
        loss = ops.mean(layer(x))
    assert all(np.isfinite(g.numpy()).all() for g in tape.gradient(loss, layer.trainable_weights))


def kept(name, steps, training):
    """Bytes that the forward pass leaves behind."""
    batch, features, units = 4, 3, 8
    function = SEQUENCES[name][0]
    given = arguments(name, steps, batch, features, units)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    if training:
        with GradientTape() as tape:
            y = function(*given)
        assert tape.records
    else:
        y = function(*given)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert y[0].shape == (batch, units)
    return (after - before) / 4 / batch


@pytest.mark.parametrize("name", SEQUENCES)
def test_memory_grows_linearly_and_only_in_training(name, monkeypatch):
    """Kept for a sample and a step: c H + F numbers; nothing without a tape."""
    from gpunn.backend import devices

    monkeypatch.setattr(devices.cpu.pool, "smallest", 1 << 40)  # buffers that are counted
    kept(name, 100, True), kept(name, 100, False)  # what is made once
    short, long = (kept(name, steps, True) for steps in (100, 300))
    constant = SEQUENCES[name][2] * 8 + 3
    assert (long - short) / 200 == pytest.approx(constant, rel=0.02)
    short, long = (kept(name, steps, False) for steps in (100, 300))
    assert abs(long - short) < 100


# --- torch ---


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(4, 5, batch_first=True)
    ours = {"RNN": layers.SimpleRNN, "LSTM": layers.LSTM, "GRU": layers.GRU}[name](
        5, return_sequences=True
    )
    x = random(3, 6, 4)
    ours.build(x.shape)
    w, u, b, c = (p.detach().numpy() for p in theirs.parameters())
    order = slice(None)
    if name == "GRU":  # torch: r, z, n; Keras: z, r, h
        order = np.r_[5:10, 0:5, 10:15]
    bias = np.stack([b[order], c[order]]) if name == "GRU" else b + c
    ours.set_weights([w[order].T, u[order].T, bias])
    given = torch.tensor(x, requires_grad=True)
    y = theirs(given)[0]
    weights = random(*y.shape, seed=1)
    (y * torch.tensor(weights)).sum().backward()
    source = gpunn.Variable(x)
    with GradientTape() as tape:
        z = ours(source)
        loss = ops.sum(z * weights)
    dx, dw, du, _ = tape.gradient(loss, [source, *ours.trainable_weights])
    np.testing.assert_allclose(z.numpy(), y.detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dx.numpy(), given.grad.numpy(), rtol=1e-4, atol=1e-5)
    dw_theirs, du_theirs = (p.grad.numpy()[order].T for p in list(theirs.parameters())[:2])
    np.testing.assert_allclose(dw.numpy(), dw_theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(du.numpy(), du_theirs, rtol=1e-4, atol=1e-5)


# --- bad input ---

x3 = random(2, 4, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: layers.LSTM(3)(random(2, 4)), ShapeError, "expected ndim=3, found ndim=2"),
        (lambda: layers.RNN(layers.GRUCell(3))(random(2, 4)), ValueError,
         r"takes sequences \(batch, steps"),
        (lambda: layers.GRU(3)(random(2, 0, 3)), ShapeError, "no steps .* Give at least one"),
        (lambda: layers.RNN(layers.GRUCell(3))(random(2, 0, 3)), ShapeError, "at least one step"),
        (lambda: layers.LSTM(0), ValueError, "units must be a positive integer, received 0"),
        (lambda: layers.GRU(2.5), ValueError, "units must be a positive integer, received 2.5"),
        (lambda: layers.LSTM(3, use_cudnn=3), ValueError, "use_cudnn must be 'auto', True or Fal"),
        (lambda: layers.LSTM(3, banana=3), ValueError, "argument of LSTM"),
        (lambda: layers.LSTM(3)(x3, initial_state=[random(2, 3)]), ValueError, r"has 2 state\(s\)"),
        (lambda: layers.GRU(3)(x3, initial_state=random(2, 4)), ShapeError, r"shape \(2, 3\), rec"),
        (lambda: layers.GRU(3)(x3, initial_state=random(5, 3)), ShapeError, r"shape \(2, 3\), rec"),
        (lambda: layers.RNN(layers.GRUCell(3))(x3, initial_state=random(1, 3)), ShapeError,
         r"a state must have shape \(2, 3\), received \(1, 3\)"),
        (lambda: layers.GRU(3)(x3, mask=np.ones((2, 5), bool)), ShapeError, "the mask must be"),
        (lambda: layers.RNN(layers.GRUCell(3))(x3, mask=np.ones((2, 5), bool)), ShapeError,
         r"the mask must be \(batch, steps\), received \(2, 5\) for sequences \(2, 4, 3\)"),
        (lambda: gru_sequence(x3, random(3, 9), random(3, 9), mask=np.ones((2, 5), bool)),
         ShapeError, r"'mask' has shape \(2, 5\)"),
        (lambda: gru_sequence(x3, random(3, 9), random(3, 9), h0=random(5, 3)),
         ShapeError, r"'h0' has shape \(5, 3\)"),
        (lambda: layers.RNN([]), ValueError, "there are no cells. Give at least one"),
        (lambda: layers.LSTM(3, stateful=True).build((None, 4, 3)), ValueError, "batch_size=..."),
        (lambda: layers.LSTM(3).build((2, 4, None)), ValueError, "last axis of the input must be"),
        (lambda: layers.RNN(3), ValueError, "no 'call'"),
        (lambda: layers.RNN([layers.Dense(3)]), ValueError, "no 'state_size'"),
        (lambda: layers.Bidirectional(3), ValueError, "layer must be a layer, received 3"),
        (lambda: layers.Bidirectional(layers.LSTM(3), "cat"), ValueError, "did you mean|concat"),
        (lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3)), ValueError,
         "must go in different directions"),
        (lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(
            3, go_backwards=True, return_state=True)), ValueError, "must agree on 'return_state'"),
        (lambda: layers.Bidirectional(layers.LSTM(3)).reset_state(), AttributeError, "no states"),
        (lambda: layers.TimeDistributed(3), ValueError, "layer must be a layer, received 3"),
        (lambda: layers.TimeDistributed(layers.Dense(2))(random(2, 3)), ShapeError, "at least 3"),
        (lambda: layers.TimeDistributed(layers.Dense(2))(x3, mask=np.ones((2, 5), bool)),
         ShapeError, "must begin with the batch"),
        (lambda: lstm_sequence(x3, random(3, 8), random(3, 12)), ShapeError, "the matrices must"),
        (lambda: gru_sequence(x3, random(3, 9), random(3, 9), random(9)), ShapeError,
         r"with reset_after=True the bias must have shape \(2, 9\)"),
        (lambda: simple_rnn_sequence(x3, random(3, 3), random(3, 3), random(4)), ShapeError,
         "the bias must have"),
        (lambda: simple_rnn_sequence(x3, random(3, 3), random(3, 3), activation="tan"), ValueError,
         "tanh"),
    ],
)  # fmt: skip
def test_messages(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_stateful_layer_keeps_its_batch_size():
    layer = layers.GRU(3, stateful=True)
    layer(x3)
    with pytest.raises(ValueError, match="built for batches of 2, received 5"):
        layer(random(5, 4, 3))


@pytest.mark.parametrize("steps", [4, None])
def test_bidirectional_of_two_kinds_of_layers(steps):
    """Each direction has units and states of its own number."""
    options = {"return_sequences": True, "return_state": True}
    backward = layers.GRU(5, go_backwards=True, **options)
    layer = layers.Bidirectional(layers.LSTM(2, **options), backward_layer=backward)
    states = [random(2, n, seed=n) for n in (2, 2, 5)]
    mask = np.array([[1, 1, 0, 0], [0, 1, 0, 1]], bool)
    y, *last = layer(x3, mask=mask, initial_state=states)
    first, *own = layer.forward_layer(x3, mask=mask, initial_state=states[:2])
    second, other = layer.backward_layer(x3, mask=mask, initial_state=states[2:])
    expected = np.concatenate([first.numpy(), second.numpy()[:, ::-1]], axis=-1)
    np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(y._keras_mask, mask)
    for received, given in zip(last, [*own, other], strict=True):
        np.testing.assert_array_equal(received.numpy(), given.numpy())
    shapes = layer.compute_output_shape((2, steps, 3))
    assert shapes == ((2, steps, 7), (2, 2), (2, 2), (2, 5))
    layer.merge_mode = None
    assert layer.compute_output_shape((2, 4, 3))[:2] == ((2, 4, 2), (2, 4, 5))


def test_a_masked_first_step_repeats_the_state_of_the_last_cell():
    class Cell:
        """y = s = x + s, a cell without `get_initial_state` whose only state is no list."""

        state_size = 3

        def call(self, x, states):
            return x + states[0], [x + states[0]]

    layer = layers.RNN([layers.LSTMCell(3), Cell()], return_sequences=True)
    states = [[random(2, 3), random(2, 3, seed=1)], random(2, 3, seed=2)]
    mask = np.array([[0, 0, 1, 1], [1, 1, 1, 1]], bool)
    given = [[ops.convert_to_tensor(s) for s in states[0]], ops.convert_to_tensor(states[1])]
    y = layer(x3, mask=mask, initial_state=given).numpy()
    np.testing.assert_array_equal(y[0, :2], [states[1][0]] * 2)
    assert not np.array_equal(y[0, 2], y[0, 1])
    assert layer(x3, mask=mask).numpy()[0, 0].tolist() == [0, 0, 0]
    simple = layers.RNN([layers.SimpleRNNCell(3), Cell()], return_sequences=True)
    given = [ops.convert_to_tensor(s) for s in (states[0][0], states[1])]
    np.testing.assert_array_equal(
        simple(x3, mask=mask, initial_state=given).numpy()[0, 0], states[1][0]
    )


def test_bidirectional_takes_weights_and_resets_states():
    weights = [random(*s) for s in ((3, 6), (2, 6), (2, 6))] * 2
    layer = layers.Bidirectional(layers.GRU(2, stateful=True), weights=weights)
    first = layer(x3).numpy()
    for received, given in zip(layer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(received, given)
    assert not np.array_equal(layer(x3).numpy(), first)
    layer.reset_states()
    np.testing.assert_array_equal(layer(x3).numpy(), first)
    assert len(layer.states) == 2


@pytest.mark.parametrize("loss", ["mse", "sparse_categorical_crossentropy"])
def test_fit_of_a_stateful_layer_starts_from_the_states_given(loss):
    """No trial batch of another size, and none that moves the states before the first step."""
    x = np.random.default_rng(0).normal(size=(16, 5, 3)).astype("float32")
    y = np.arange(16) % 4 if loss.startswith("sparse") else x[:, 0, :1].repeat(4, 1)
    losses = []
    for way in ("fit", "train_on_batch"):
        gpunn.utils.set_random_seed(0)
        model = gpunn.Sequential(
            [
                gpunn.Input(batch_shape=(8, 5, 3)),
                gpunn.layers.LSTM(6, stateful=True),
                gpunn.layers.Dense(4, activation="softmax"),
            ]
        )
        model.compile("sgd", loss)
        if way == "fit":
            found = model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history["loss"]
        else:
            found = [np.mean([model.train_on_batch(x[i : i + 8], y[i : i + 8]) for i in (0, 8)])]
        losses.append(found)
        states = model.layers[0].states
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    assert all(np.any(ops.convert_to_numpy(s)) for s in states)
