"""Recurrent layers: flags, masks, states and custom cells against loops in float64."""

import numpy as np
import pytest

import gpunn
from gpunn import GradientTape, layers, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from tests.ops import rnn_loops as loops
from tests.ops.test_ops import evaluate

B, T, F, H = 3, 5, 4, 6
KINDS = {
    "SimpleRNN": (layers.SimpleRNN, layers.SimpleRNNCell, loops.simple, {}),
    "LSTM": (layers.LSTM, layers.LSTMCell, loops.lstm, {}),
    "GRU": (layers.GRU, layers.GRUCell, loops.gru, {}),
    "GRU before": (layers.GRU, layers.GRUCell, loops.gru, {"reset_after": False}),
}
MASKS = {
    "none": None,
    "left": [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
    "right": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]],
    "holes": [[1, 0, 1, 0, 1], [0, 1, 0, 1, 1], [1, 1, 0, 0, 1]],
    "all": [[0, 0, 0, 0, 0]] * 3,
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def mask_of(name):
    return None if MASKS[name] is None else np.array(MASKS[name], bool)


def made(kind, general=False, **flags):
    """A layer in float64, or `RNN` of its cell, with the same random weights."""
    layer_class, cell_class, _, options = KINDS[kind]
    if general:
        layer = layers.RNN(cell_class(H, dtype="float64", **options), dtype="float64", **flags)
    else:
        layer = layer_class(H, dtype="float64", **options, **flags)
    layer.build((B, T, F))
    layer.set_weights([random(*w.shape, seed=i + 5) / 2 for i, w in enumerate(layer.weights)])
    return layer


def expected_of(kind, layer, x, mask=None, states=None, **flags):
    w = layer.get_weights()
    y, last = loops.sequence(KINDS[kind][2], x, *w, states, mask, **flags)
    return y, last


def values(outputs):
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [
        v for o in outputs for v in (values(o) if isinstance(o, (list, tuple)) else [o.numpy()])
    ]


def assert_close(received, expected, tolerance=1e-11):
    for a, b in zip(received, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@every_kind
@pytest.mark.parametrize("general", [False, True], ids=["fused", "cell"])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("zero", [False, True])
def test_masks_directions_and_initial_states(kind, general, mask, back, zero):
    flags = {"go_backwards": back, "zero_output_for_mask": zero, "return_state": True}
    x, on = random(B, T, F), mask_of(mask)
    for whole in (False, True):
        layer = made(kind, general, return_sequences=whole, **flags)
        states = [random(B, H, seed=9 + i) for i in range(len(layer.state_size))]
        y, last = expected_of(kind, layer, x, on, states, go_backwards=back, zero_output=zero)
        received = values(layer(x, mask=on, initial_state=states))
        assert_close(received, [y if whole else y[:, -1], *last])


def gradients(layer, x, states, mask):
    sources = [gpunn.Variable(v, dtype="float64") for v in (x, *states)]
    with GradientTape() as tape:
        outputs = layer(sources[0], initial_state=sources[1:], mask=mask)
        parts = [ops.sum(o * random(*o.shape, seed=3)) for o in outputs]
        loss = sum(parts[1:], parts[0])
    return [g.numpy() for g in tape.gradient(loss, [*sources, *layer.trainable_weights])]


@every_kind
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("zero", [False, True])
def test_fused_gradients_equal_those_of_the_cell(kind, mask, whole, zero):
    """The ops of a cell are differentiated one by one; the op suite checks them by differences."""
    flags = {"return_state": True, "return_sequences": whole, "zero_output_for_mask": zero}
    fused, general = made(kind, **flags), made(kind, general=True, **flags)
    states = [random(B, H, seed=9 + i) for i in range(len(fused.state_size))]
    x, on = random(B, T, F), mask_of(mask)
    assert_close(gradients(fused, x, states, on), gradients(general, x, states, on))


@every_kind
@pytest.mark.parametrize("general", [False, True], ids=["fused", "cell"])
def test_stateful(kind, general):
    """Three batches are one sequence of three times the length; gradients see the old states."""
    layer = made(kind, general, stateful=True, return_sequences=True)
    x = random(B, 3 * T, F)
    y, last = expected_of(kind, layer, x)
    parts = [layer(x[:, t : t + T]).numpy().copy() for t in range(0, 3 * T, T)]
    assert_close([np.concatenate(parts, axis=1)], [y])
    assert_close([s.numpy() for s in layer.states], last)
    assert [s.path.split("/")[-1] for s in layer.states] == ["rnn_state"] * len(last)
    assert not any(s.trainable for s in layer.states)
    layer.reset_states()
    assert_close([layer(x[:, :T]).numpy()], [y[:, :T]])
    layer.reset_state()
    layer(x[:, :T])
    fresh = made(kind, general, return_sequences=True)
    states = [s.numpy() for s in layer.states]
    with GradientTape() as tape:
        loss = ops.sum(layer(x[:, T : 2 * T]) ** 2)
    received = tape.gradient(loss, layer.trainable_weights)
    with GradientTape() as tape:
        loss = ops.sum(fresh(x[:, T : 2 * T], initial_state=states) ** 2)
    expected = tape.gradient(loss, fresh.trainable_weights)
    assert_close([g.numpy() for g in received], [g.numpy() for g in expected])


@every_kind
@pytest.mark.parametrize("unroll", [False, True])
def test_symbolic_sequences_of_unknown_length(kind, unroll):
    for general in (False, True):
        layer = made(kind, general, return_sequences=True, return_state=True)
        x = SymbolicTensor((None, None, F), "float64")
        outputs = layer(x)
        assert outputs[0].shape == (None, None, H)
        assert [s.shape for s in outputs[1:]] == [(None, H)] * len(layer.state_size)
        given = random(B, T, F)
        expected = values(layer(given))
        tensors = {id(x): ops.convert_to_tensor(given)}
        received = [evaluate(o, tensors).numpy() for o in outputs]
        assert_close(received, expected)


class Averaging(layers.Layer):
    """A custom cell: its output is no state, its states have two shapes, one of two axes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.state_size, self.output_size = [2, 3], 4

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 3), name="kernel")
        self.out = self.add_weight((5, 4), name="out")

    def call(self, inputs, states):
        total, last = states
        last = ops.tanh(ops.matmul(inputs, self.kernel)) + 0.5 * last
        total = 0.9 * total + last[:, :2]
        return ops.matmul(ops.concatenate([total, last], axis=1), self.out), [total, last]


@pytest.mark.parametrize("mask", MASKS)
def test_custom_cell_with_states_of_several_shapes(mask):
    layer = layers.RNN(Averaging(), return_sequences=True, return_state=True)
    x, on = random(B, T, F).astype("float32"), mask_of(mask)
    y, total, last = values(layer(x, mask=on))
    kernel, out = layer.get_weights()
    for n in range(B):
        a, b, shown = np.zeros(2), np.zeros(3), np.zeros(4)
        for t in range(T):
            if on is None or on[n, t]:
                b = np.tanh(x[n, t] @ kernel) + 0.5 * b
                a = 0.9 * a + b[:2]
                shown = np.concatenate([a, b]) @ out
            np.testing.assert_allclose(y[n, t], shown, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(total[n], a, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(last[n], b, rtol=1e-5, atol=1e-6)


def test_a_cell_that_is_no_layer():
    class Sum:
        state_size = F

        def call(self, inputs, states):
            return inputs + states[0], inputs + states[0]

    x = random(B, T, F).astype("float32")
    y, last = values(layers.RNN(Sum(), return_sequences=True, return_state=True)(x))
    np.testing.assert_allclose(y, np.cumsum(x, axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(last, x.sum(axis=1), rtol=1e-5, atol=1e-6)


def test_masks_reach_what_comes_after():
    x, on = ops.convert_to_tensor(random(B, T, F)), mask_of("right")
    y = layers.LSTM(3, return_sequences=True)(x, mask=on)
    np.testing.assert_array_equal(np.asarray(y._keras_mask), on)
    assert layers.LSTM(3)(x, mask=on)._keras_mask is None
    y, h, c = layers.LSTM(3, return_sequences=True, return_state=True)(x, mask=on)
    assert y._keras_mask is not None and h._keras_mask is None and c._keras_mask is None
    second = layers.GRU(2)
    received = second(y).numpy()
    np.testing.assert_array_equal(received, second(ops.convert_to_tensor(y), mask=on).numpy())
    a, b = layers.Bidirectional(layers.GRU(2, return_sequences=True), merge_mode=None)(x, mask=on)
    assert a._keras_mask is not None and b._keras_mask is not None
    assert layers.Bidirectional(layers.GRU(2))(x, mask=on)._keras_mask is None
    y = layers.TimeDistributed(layers.Dense(2))(x, mask=on)
    np.testing.assert_array_equal(np.asarray(y._keras_mask), on)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_masks_of_numbers_and_of_three_axes(dtype):
    layer, x, on = layers.GRU(3), random(B, T, F).astype("float32"), mask_of("holes")
    expected = layer(x, mask=on).numpy()
    np.testing.assert_array_equal(layer(x, mask=on.astype(dtype)).numpy(), expected)
    np.testing.assert_array_equal(layer(x, mask=on[..., None]).numpy(), expected)
