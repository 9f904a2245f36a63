"""Embedding: values, training and errors; tables that are updated by rows equal dense updates."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops, optimizers
from gpunn.autodiff.rows import RowGradient
from gpunn.backend import blas
from gpunn.ops import embedding as embedding_ops
from gpunn.ops.embedding import take_rows

keras = pytest.importorskip("keras")

V, D, T = 40, 4, 5
RNG = np.random.default_rng(3)
X = RNG.integers(0, 30, (12, T)).astype("int32")  # rows from 30 on are never read
X[0] = 7  # more often than rows are added all at once
X[1, :] = X[2, :] = 7
Y = RNG.standard_normal((12, 1)).astype("float32")
OPTIMIZERS = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "momentum": ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    "decay": ("SGD", {"learning_rate": 0.1, "weight_decay": 0.1}),
    "clipped": ("SGD", {"learning_rate": 0.1, "clipnorm": 0.01}),
    "adagrad": ("Adagrad", {"learning_rate": 0.1}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.01}),
    "adam": ("Adam", {"learning_rate": 0.01}),
}
BY_ROWS = {"sgd", "adagrad"}
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def model(module, embedding=None):
    embedding = embedding or module.layers.Embedding(V, D, name="e")
    return module.Sequential(
        [module.Input((T,), dtype="int32"), embedding, module.layers.Flatten(),
         module.layers.Dense(1)]
    )  # fmt: skip


def start():
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype("float32") for s in ((V, D), (T * D, 1), (1,))]


def trained(module, optimizer, epochs=1, **options):
    net = model(module)
    net.build((None, T))
    net.set_weights(start())
    net.compile(optimizer, "mse", **options)
    net.fit(X, Y, batch_size=4, epochs=epochs, shuffle=False, verbose=0)
    return net


def made(name, module=optimizers):
    kind, options = OPTIMIZERS[name]
    return getattr(module, kind)(**options)


@every_optimizer
def test_training_equals_keras(name):
    ours = trained(gpunn, made(name))
    theirs = trained(keras, made(name, keras.optimizers), run_eagerly=True)
    for a, b in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@every_optimizer
def test_rows_alone_equal_the_dense_update(name, monkeypatch):
    kinds = []
    apply = optimizers.Optimizer.apply_buffers

    def noted(self, variables, gradients):
        kinds.append(type(gradients[0]) is RowGradient)
        apply(self, variables, gradients)

    monkeypatch.setattr(optimizers.Optimizer, "apply_buffers", noted)
    rows = trained(gpunn, made(name), epochs=4)
    assert set(kinds[1:]) == {name in BY_ROWS}  # the first step finds the table where it was made
    optimizer = made(name)
    optimizer.leaves_others = False
    dense = trained(gpunn, optimizer, epochs=4)
    eager = trained(gpunn, made(name), epochs=4, jit_compile=False)
    for a, b, c in zip(rows.get_weights(), dense.get_weights(), eager.get_weights()):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    for a, b in zip(rows.optimizer.variables, optimizer.variables):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    "options", [{"embeddings_regularizer": "l2"}, {"embeddings_constraint": "unit_norm"}]
)
def test_what_moves_all_rows_is_dense(options):
    weights = []
    for module in (gpunn, keras):
        net = model(module, module.layers.Embedding(V, D, **options))
        net.build((None, T))
        net.set_weights(start())
        net.compile(module.optimizers.SGD(0.1), "mse", **({} if module is gpunn else EAGER))
        net.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
        weights.append(net.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


EAGER = {"run_eagerly": True}


class Twice(layers.Layer):
    """One table, read by both halves of the input."""

    def __init__(self):
        super().__init__()
        self.table = layers.Embedding(V, D)

    def call(self, x):
        return self.table(x[:, :2]) + self.table(x[:, 3:])


def test_a_table_that_is_read_twice():
    results = []
    for by_rows in (True, False):
        gpunn.utils.set_random_seed(2)
        net = gpunn.Sequential(
            [gpunn.Input((T,), dtype="int32"), Twice(), layers.Flatten(), layers.Dense(1)]
        )
        optimizer = optimizers.SGD(0.1)
        optimizer.leaves_others = by_rows
        net.compile(optimizer, "mse")
        net.fit(X, Y, batch_size=4, epochs=4, shuffle=False, verbose=0)
        results.append(net.get_weights())
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", sorted(BY_ROWS))
def test_threads_share_large_tables(name, monkeypatch):
    alone = trained(gpunn, made(name))
    shared = []

    def parallel(xp, work, n, original=embedding_ops.parallel):
        found = original(xp, work, n)
        shared.append(len(found))
        return found

    monkeypatch.setattr(blas, "threads", lambda: 3)
    monkeypatch.setattr(embedding_ops, "_WORTH_SHARING", 1)
    monkeypatch.setattr(embedding_ops, "parallel", parallel)
    together = trained(gpunn, made(name))
    assert 3 in shared
    for a, b in zip(together.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_equal_indices_are_summed_exactly():
    table = gpunn.Variable(np.zeros((1000, 3)), dtype="float64")
    indices = np.r_[np.full(500, 5), RNG.integers(0, 1000, 700)].astype("int64")
    dy = RNG.standard_normal((1200, 3))
    with gpunn.GradientTape() as tape:
        y = take_rows(table, indices)
    found = tape.gradient(y, table, output_gradients=dy).numpy()
    expected = np.zeros((1000, 3))
    np.add.at(expected, indices, dy)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_layer_as_keras():
    gpunn.utils.clear_session()
    keras.utils.clear_session()
    ours, theirs = (m.layers.Embedding(V, D, mask_zero=True) for m in (gpunn, keras))
    assert ours.supports_masking and theirs.supports_masking
    y, expected = ours(X), theirs(X)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_array_equal(ours(X).numpy(), np.asarray(expected))
    np.testing.assert_array_equal(y._keras_mask.numpy(), X != 0)
    assert [(w.path, w.shape) for w in ours.weights] == [
        (w.path, tuple(w.shape)) for w in theirs.weights
    ]
    config = ours.get_config()
    assert set(config) == set(theirs.get_config()) - {"quantization_config"}
    assert layers.Embedding.from_config(config).get_config() == config
    assert layers.deserialize(layers.serialize(ours)).get_config() == config
    assert ours.compute_output_shape((None, T)) == (None, T, D)
    assert layers.Embedding(3, 2)(X % 3)._keras_mask is None
    given = layers.Embedding(3, 2, weights=np.ones((3, 2)))
    np.testing.assert_array_equal(given.get_weights()[0], np.ones((3, 2)))


def test_float_indices_are_whole_in_any_compute_dtype():
    layer = layers.Embedding(5000, 2, dtype="float16")
    y = layer(np.array([[4999.0, 2049.0]], "float32"))
    np.testing.assert_array_equal(y.numpy()[0], layer.get_weights()[0][[4999, 2049]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 4), "input_dim must be a positive integer, received 0"),
        ((4, 2.5), "output_dim must be a positive integer, received 2.5"),
        ((4, 2, "zeros", None, None, False, None, 8), "lora_rank is not supported, received 8"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.Embedding(*arguments)


def test_input_length_is_deprecated():
    with pytest.warns(UserWarning, match="input_length is of no use"):
        layers.Embedding(4, 2, input_length=10)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (
            10,
            "index 10 is out of range: the table has 10 rows, .* from 0 to 9. Give it at least 11",
        ),
        (-1, "index -1 is out of range: .* Negative indices do not count from the end"),
    ],
)
def test_indices_out_of_range(index, message):
    layer = layers.Embedding(10, 2, name="words")
    with pytest.raises(IndexError, match=f"Embedding 'words': {message}"):
        layer(np.array([[1, index]]))
    net = gpunn.Sequential([layers.Input((2,), dtype="int32"), layer, layers.Flatten()])
    net.compile("sgd", "mse")
    x = np.ones((40, 2), "int32")
    x[-1, 0] = index
    with pytest.raises(IndexError, match=message):  # in a replay of the recorded step, too
        net.fit(x, np.zeros((40, 4)), batch_size=4, shuffle=False, verbose=0)


def test_indices_must_be_integers():
    with pytest.raises(gpunn.errors.DTypeError, match="indices must be integers, received .*float"):
        take_rows(ops.zeros((3, 2)), ops.ones((2,)))
    with pytest.raises(gpunn.errors.ShapeError, match="the table must be a matrix"):
        take_rows(ops.zeros((3,)), ops.ones((2,), dtype="int32"))


def test_a_gpu_tells_of_bad_indices_when_a_value_is_read(simulated_gpu):
    with gpunn.device("gpu:0"):
        layer = layers.Embedding(10, 4, name="words")
        y = layer(np.array([[1, 10, -3, 12]], "int32"))  # the host does not wait
        with pytest.raises(IndexError, match="'words': indices -3 and 12 are out of range"):
            y.numpy()
        np.testing.assert_array_equal(y.numpy()[0, 1:], np.zeros((3, 4)))  # told once
        net = gpunn.Sequential([layers.Input((2,), dtype="int32"), layer, layers.Flatten()])
        net.compile("sgd", "mse")
        x = np.ones((8, 2), "int32")
        x[2, 0] = 10
        before = layer.get_weights()[0]
        with pytest.raises(IndexError, match="Embedding 'words': index 10 is out of range"):
            net.fit(x, np.zeros((8, 8)), batch_size=4, shuffle=False, verbose=0)
        assert np.isfinite(layer.get_weights()[0]).all()
        assert not np.array_equal(layer.get_weights()[0][1], before[1])


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam"])
def test_fit_on_the_simulated_gpu_equals_the_cpu(simulated_gpu, name):
    cpu = trained(gpunn, made(name), epochs=2).get_weights()
    with gpunn.device("gpu:0"):
        gpu = trained(gpunn, made(name), epochs=2).get_weights()
    for a, b in zip(gpu, cpu):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
