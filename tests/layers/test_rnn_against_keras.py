"""Recurrent layers against Keras on the same weights: values, gradients, configs, training."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers

keras = pytest.importorskip("keras")
jax = pytest.importorskip("jax")

B, T, F = 3, 5, 4
KINDS = [
    ("SimpleRNN", {}), ("SimpleRNN", {"activation": "relu", "use_bias": False}),
    ("LSTM", {}), ("LSTM", {"unit_forget_bias": False, "use_bias": False}),
    ("GRU", {}), ("GRU", {"reset_after": False}), ("GRU", {"use_bias": False}),
    ("GRU", {"reset_after": False, "use_bias": False}),
]  # fmt: skip
GENERAL = [  # what the fused kernels leave to the cell
    ("SimpleRNN", {"activation": "softsign"}),
    ("LSTM", {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
    ("GRU", {"recurrent_activation": "tanh"}),
    ("GRU", {"recurrent_activation": "hard_sigmoid", "reset_after": False}),
]
FLAGS = [
    {}, {"return_sequences": True}, {"return_state": True},
    {"return_sequences": True, "return_state": True, "go_backwards": True},
    {"go_backwards": True}, {"unroll": True, "return_sequences": True},
    {"zero_output_for_mask": True, "return_sequences": True},
    {"zero_output_for_mask": True, "return_sequences": True, "go_backwards": True},
]  # fmt: skip
MASKS = {
    "none": None,
    "left": [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
    "right": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]],
    "holes": [[1, 0, 1, 0, 1], [0, 1, 0, 1, 1], [1, 1, 0, 0, 1]],
    "all": [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 1, 0, 0, 0]],
}


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def name_of(value):
    name, options = value
    return name + "".join(f" {k}={v}" for k, v in options.items())


every_kind = pytest.mark.parametrize("kind", [*KINDS, *GENERAL], ids=name_of)


def same_weights(ours, theirs, x, scale=0.5):
    ours.build(x.shape), theirs.build(x.shape)  # Keras takes a second for a first call
    rng = np.random.default_rng(7)
    weights = [
        (scale * rng.standard_normal(w.shape)).astype("float32") for w in theirs.get_weights()
    ]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def pair(kind, flags=None, units=6, x=None):
    name, options = kind
    options = {"units": units, **options, **(flags or {})}
    ours, theirs = getattr(layers, name)(**options), getattr(keras.layers, name)(**options)
    return same_weights(ours, theirs, random(B, T, F) if x is None else x)


def leaves(value):
    if isinstance(value, (list, tuple)):
        return [leaf for part in value for leaf in leaves(part)]
    return [np.asarray(value)]


def assert_same(received, expected, **tolerance):
    received, expected = leaves(received), leaves(expected)
    assert len(received) == len(expected)
    for a, b in zip(received, expected):
        np.testing.assert_allclose(a, b, **{"rtol": 1e-5, "atol": 2e-6, **tolerance})


def mask_of(name):
    return None if MASKS[name] is None else np.array(MASKS[name], bool)


@pytest.mark.parametrize("kind", [*KINDS[1::2], *GENERAL[:2]], ids=name_of)
def test_outputs_and_states(kind):
    """Flags and masks in all combinations are held against loops in test_rnn.py."""
    ours, theirs = pair(kind, FLAGS[3])
    x, on = random(B, T, F), mask_of("holes")
    assert_same(ours(x, mask=on), theirs(x, mask=on))
    assert [(w.path, w.shape) for w in ours.weights] == [
        (w.path, tuple(w.shape)) for w in renamed(theirs, ours)
    ]


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_output_shapes(name, flags):
    ours, theirs = getattr(layers, name)(6, **flags), getattr(keras.layers, name)(6, **flags)
    for shape in ((B, T, F), (None, T, F), (None, None, F)):
        found, expected = (layer.compute_output_shape(shape) for layer in (ours, theirs))
        assert found == tuple(expected)


def renamed(theirs, ours):
    """Names count up over all tests; what comes after the first one must agree."""

    class Weight:
        def __init__(self, w):
            self.path = "/".join([ours.name, *w.path.split("/")[1:]])
            self.shape = w.shape

    return [Weight(w) for w in theirs.weights]


@pytest.mark.parametrize(
    ("mask", "flags"),
    [("none", FLAGS[1]), ("left", FLAGS[0]), ("right", FLAGS[6]), ("holes", FLAGS[7]),
     ("all", FLAGS[1])],
)  # fmt: skip
def test_masks(mask, flags):
    ours, theirs = pair(("GRU", {}), flags)
    x, on = random(B, T, F), mask_of(mask)
    assert_same(ours(x, mask=on), theirs(x, mask=on))


@pytest.mark.parametrize("kind", [KINDS[2], KINDS[4]], ids=name_of)
def test_initial_states(kind):
    ours, theirs = pair(kind, {"return_state": True, "return_sequences": True})
    states = [random(B, 6, seed=s) for s in range(len(ours.state_size))]
    given, x = {"initial_state": states, "mask": mask_of("left")}, random(B, T, F)
    assert_same(ours(x, **given), theirs(x, **given))


def keras_gradients(layer, x, c, mask):
    """d Σ c · outputs / d (x, weights)"""

    def loss(x, weights):
        outputs, _ = layer.stateless_call(
            weights, [v.value for v in layer.non_trainable_variables], x, mask=mask
        )
        flat = jax.tree_util.tree_leaves(outputs)
        return sum((a * b).sum() for a, b in zip(flat, c))

    gradients = jax.grad(loss, (0, 1))(x, [v.value for v in layer.trainable_variables])
    return [gradients[0], *gradients[1]]


def our_gradients(layer, x, c, mask):
    x = gpunn.Variable(x)
    with gpunn.GradientTape() as tape:
        outputs = layer(x, mask=mask)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = sum(gpunn.ops.sum(a * b) for a, b in zip(outputs, c))
    return tape.gradient(loss, [x, *layer.trainable_weights])


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[2], *KINDS[4:6], GENERAL[1]], ids=name_of)
def test_gradients(kind):
    ours, theirs = pair(kind, FLAGS[3])
    x, on = random(B, T, F), mask_of("holes")
    c = [random(*a.shape, seed=i + 3) for i, a in enumerate(leaves(ours(x)))]
    received, expected = our_gradients(ours, x, c, on), keras_gradients(theirs, x, c, on)
    for a, b in zip(received, expected, strict=True):
        scale = np.abs(b).max()
        np.testing.assert_allclose(a.numpy(), b, rtol=2e-4, atol=1e-5 * scale + 1e-7)


@pytest.mark.parametrize("kind", [KINDS[2], GENERAL[2]], ids=name_of)
def test_stateful_over_batches(kind):
    mask = "right"
    ours, theirs = pair(kind, {"stateful": True, "return_state": True})
    ours.reset_state(), theirs.reset_state()
    for turn in range(3):
        x = random(B, T, F, seed=turn)
        assert_same(ours(x, mask=mask_of(mask)), theirs(x, mask=mask_of(mask)))
        assert_same(ours.states, [s.value for s in theirs.states])
    before = [s.numpy() for s in ours.states]
    ours.reset_states(), theirs.reset_state()
    assert any(np.abs(s).max() > 0 for s in before)
    assert all((s.numpy() == 0).all() for s in ours.states)
    assert_same(ours(x), theirs(x))
    assert [w.path for w in ours.weights] == [w.path for w in ours.trainable_weights]


@every_kind
def test_configs(kind):
    ours, theirs = pair(kind, {"dropout": 0.2, "recurrent_dropout": 0.1, "return_state": True})
    config, expected = ours.get_config(), theirs.get_config()
    assert set(config) - {"seed"} == set(expected) - {"seed"}
    for key, value in expected.items():
        plain = value is None or isinstance(value, (str, int, float, bool))
        if plain and key != "name":  # numbered by how many layers there were
            assert config[key] == value, key
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == config
    x = random(B, T, F)
    again(x)
    again.set_weights(ours.get_weights())
    assert_same(again(x), ours(x))


def test_stacked_cells():
    mask, flags = "right", FLAGS[3]

    def made(module):
        cells = [module.LSTMCell(6), module.GRUCell(5), module.LSTMCell(3)]
        return module.RNN(cells, **flags)

    x, on = random(B, T, F), mask_of(mask)
    ours, theirs = same_weights(made(layers), made(keras.layers), x)
    assert_same(ours(x, mask=on), theirs(x, mask=on))
    assert [w.path.split("/", 1)[1].split("_cells")[0] for w in ours.weights] == [
        w.path.split("/", 1)[1].split("_cells")[0] for w in theirs.weights
    ]
    again = layers.deserialize(layers.serialize(ours))
    again(x)
    again.set_weights(ours.get_weights())
    assert_same(again(x, mask=on), ours(x, mask=on))


WHOLE, BOTH = {"return_sequences": True}, {"return_sequences": True, "return_state": True}


@pytest.mark.parametrize(
    ("mode", "mask", "inner", "flags"),
    [
        ("concat", "none", "LSTM", {}), ("sum", "right", "LSTM", WHOLE),
        ("ave", "left", "GRU", WHOLE), ("mul", "holes", "GRU", {}),
        (None, "holes", "LSTM", BOTH), ("concat", "right", "SimpleRNN", BOTH),
    ],
)  # fmt: skip
def test_bidirectional(mode, mask, inner, flags):
    def made(module):
        return module.Bidirectional(getattr(module, inner)(4, **flags), merge_mode=mode)

    x, on = random(B, T, F), mask_of(mask)
    ours, theirs = same_weights(made(layers), made(keras.layers), x)
    count = 2 * len(ours.forward_layer.state_size)
    given = {"mask": on, "initial_state": [random(B, 4, seed=i) for i in range(count)]}
    assert_same(ours(x, **given), theirs(x, **given))
    if not flags.get("return_state"):
        found, expected = (m.compute_output_shape((None, T, F)) for m in (ours, theirs))
        assert found == tuple(expected)


def test_bidirectional_with_a_backward_layer_of_its_own():
    def made(module):
        forward = module.LSTM(4, return_sequences=True)
        backward = module.GRU(4, return_sequences=True, go_backwards=True, name="back")
        return module.Bidirectional(forward, backward_layer=backward, name="both")

    x = random(B, T, F)
    ours, theirs = same_weights(made(layers), made(keras.layers), x)
    assert_same(ours(x), theirs(x))
    assert [w.path.split("/")[-1] for w in ours.weights] == [
        w.path.split("/")[-1] for w in theirs.weights
    ]
    assert set(ours.get_config()) == set(theirs.get_config())
    again = layers.deserialize(layers.serialize(ours))
    again(x)
    again.set_weights(ours.get_weights())
    assert_same(again(x), ours(x))


@pytest.mark.parametrize(
    ("inner", "options", "shape"),
    [
        ("Dense", {"units": 3}, (2, 4, 5)),
        ("Conv2D", {"filters": 2, "kernel_size": 3}, (2, 3, 6, 7, 2)),
        ("BatchNormalization", {}, (4, 3, 5)),
        ("LayerNormalization", {}, (4, 3, 5)),
        ("Flatten", {}, (4, 3, 5, 2)),
        ("LSTM", {"units": 3}, (2, 3, 4, 5)),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_time_distributed(inner, options, shape, training):
    ours = layers.TimeDistributed(getattr(layers, inner)(**options))
    theirs = keras.layers.TimeDistributed(getattr(keras.layers, inner)(**options))
    x = random(*shape)
    ours(x), theirs(x)
    theirs.set_weights(ours.get_weights())
    assert_same(ours(x, training=training), theirs(x, training=training), rtol=1e-4, atol=1e-5)
    assert_same(ours.get_weights(), theirs.get_weights(), atol=1e-5)  # moving averages, too
    assert ours.compute_output_shape(shape) == tuple(theirs.compute_output_shape(shape))
    assert ours.compute_output_shape((None, *shape[1:])) == tuple(
        theirs.compute_output_shape((None, *shape[1:]))
    )
    again = layers.deserialize(layers.serialize(ours))
    assert again.get_config() == ours.get_config()


def test_time_distributed_passes_masks():
    x = random(B, T, F, 2)
    on = np.random.default_rng(1).uniform(size=(B, T, F)) < 0.6
    ours = layers.TimeDistributed(layers.GRU(3))
    theirs = keras.layers.TimeDistributed(keras.layers.GRU(3))
    ours, theirs = same_weights(ours, theirs, x)
    assert_same(ours(x, mask=on), theirs(x, mask=on))


MODELS = {
    "stacked": lambda m: [m.LSTM(6, return_sequences=True), m.GRU(5, return_sequences=True),
                          m.SimpleRNN(4), m.Dense(2)],
    "bidirectional": lambda m: [
        m.Bidirectional(m.LSTM(4, return_sequences=True)), m.TimeDistributed(m.Dense(3)),
        m.Bidirectional(m.GRU(3, reset_after=False), merge_mode="sum"), m.Dense(2),
    ],
    "cells": lambda m: [m.RNN([m.LSTMCell(4), m.GRUCell(3)]), m.Dense(2)],
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_twenty_training_steps(name):
    """Recorded and eager, both equal to Keras."""
    x, y = random(8, T, F), random(8, 2, seed=1)
    theirs = keras.Sequential([keras.layers.Input((T, F)), *MODELS[name](keras.layers)])
    theirs.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    weights = theirs.get_weights()
    expected = [float(theirs.train_on_batch(x, y)) for _ in range(20)]
    for jit in (False, True):
        ours = gpunn.Sequential([layers.Input((T, F)), *MODELS[name](layers)])
        ours.set_weights(weights)
        ours.compile(gpunn.optimizers.SGD(0.05, momentum=0.9), "mse", jit_compile=jit)
        received = [ours.train_on_batch(x, y) for _ in range(20)]
        assert received == pytest.approx(expected, rel=1e-5, abs=1e-7)
        assert_same(ours.get_weights(), theirs.get_weights(), rtol=1e-4, atol=1e-5)
