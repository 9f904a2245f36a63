"""Recurrent layers on integers, of other dtypes, and with states that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

import gpunn
from gpunn import layers
from gpunn.errors import ShapeError

X = np.arange(24).reshape(2, 3, 4) % 5
Z = np.zeros((2, 2), "float32")
MAKERS = {
    "SimpleRNN": lambda: layers.SimpleRNN(2),
    "LSTM": lambda: layers.LSTM(2),
    "GRU": lambda: layers.GRU(2),
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(2)),
}


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", MAKERS)
def test_integers_are_cast(name, dtype):
    layer, x = MAKERS[name](), X.astype(dtype)
    y = layer(x)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y.numpy(), layer(x.astype("float32")).numpy())


def test_integers_in_mixed_precision_and_fit():
    assert layers.LSTM(2, dtype="mixed_float16")(X).dtype == "float16"
    model = gpunn.Sequential([layers.Input((3, 4), dtype="int32"), layers.GRU(2)])
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(X, Z, epochs=4, verbose=0).history["loss"]).all()


def test_an_rnn_has_the_dtype_of_its_own():
    x = layers.Input((3, 4))
    y = layers.RNN(layers.GRUCell(2), dtype="float16")(x)
    assert y.dtype == gpunn.Model(x, y)(X.astype("float32")).dtype == "float16"


def test_no_features():
    assert layers.LSTM(2)(np.ones((2, 3, 0), "float32")).shape == (2, 2)


@pytest.mark.parametrize(("index", "dtype"), [(2**32 + 1, "uint64"), (2**32 - 1, "uint32"),
                                              (2.0**33, "float64")])  # fmt: skip
def test_indices_do_not_wrap_around(index, dtype):
    with pytest.raises(IndexError, match=f"{int(index)}"):
        layers.Embedding(5, 2)(np.array([[index]], dtype))


LSTMS = [layers.LSTMCell(2), layers.LSTMCell(2)]
MESSAGES = [
    (lambda x: layers.RNN(layers.SimpleRNNCell(4))(np.ones((2, 3, 2, 4), "f4")), ShapeError,
     r"SimpleRNNCell 'simple_rnn_cell.*' takes one step \(batch, features\), .*\(2, 2, 4\)"),
    (lambda x: layers.RNN(LSTMS)(x, initial_state=[[Z, Z], [Z]]), ValueError,
     r"2 state\(s\) of size .*received 2 in lists of \[2, 1\]"),
    (lambda x: layers.RNN(LSTMS)(x, initial_state=[[Z], [Z, Z, Z]]), ValueError, r"\[1, 3\]"),
    (lambda x: layers.LSTM(2)(x, initial_state=[Z]), ValueError, r"2 state\(s\) .*received 1\."),
    (lambda x: layers.Bidirectional(layers.LSTM(2))(x, initial_state=[Z, Z]), ValueError,
     "initial_state must be a list of 4, those of the forward layer first"),
    (lambda x: layers.Bidirectional(layers.GRU(2))(x, initial_state=Z), ValueError,
     "must be a list of 2, .*of shape"),
    (lambda x: layers.Bidirectional(layers.Dense(2)), ValueError,
     "layer must be a recurrent layer, with go_backwards, received <Dense"),
    (lambda x: layers.GRU(2, recurrent_dropout=None), ValueError,
     "GRUCell: recurrent_dropout must be a number, received None"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "message"), MESSAGES)
def test_messages(act, error, message):
    with pytest.raises(error, match=message):
        act(X.astype("float32"))
