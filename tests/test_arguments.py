"""Checks of plain arguments, and the functions that use them: numbers of Python and of NumPy."""

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops
from gpunn.arguments import (
    as_shape,
    as_tuple,
    is_number,
    is_whole,
    real_number,
    true_or_false,
    whole_number,
)
from gpunn.errors import ShapeError

X = np.arange(12, dtype="float32").reshape(3, 4)


def test_whole_number():
    assert whole_number("n", np.int64(3)) == 3 and type(whole_number("n", np.int64(3))) is int
    for value in (0, True, 2.0, "3", None, [1]):
        with pytest.raises(ValueError, match=r"^n must be a positive integer, received"):
            whole_number("n", value)
    with pytest.raises(ValueError, match="n must be an integer of at least 2, received 1"):
        whole_number("n", 1, 2)


def test_is_whole_and_is_number():
    for value in (-3, 0, 10**20, np.int64(2), np.uint8(2)):
        assert is_whole(value) is True and is_number(value) is True
    for value in (2.5, np.float32(2), np.float64(2), np.inf):
        assert is_whole(value) is False and is_number(value) is True
    for value in (True, np.bool_(True), 1j, np.complex64(1), "3", None, [1], np.array(1)):
        assert is_whole(value) is False and is_number(value) is False
    assert is_whole(np.int64(2), 2) is True and is_whole(np.int64(1), 2) is False


def test_real_number():
    assert real_number("x", 2) == 2 and real_number("x", np.float32(0.5)) == 0.5
    for value in (True, "0.5", None, 1j):
        with pytest.raises(ValueError, match="^x must be a number, received"):
            real_number("x", value)


def test_true_or_false():
    assert true_or_false("flag", np.bool_(True)) is True and true_or_false("flag", False) is False
    for value in ("no", None, 1, [True]):
        with pytest.raises(ValueError, match="flag must be True or False, received"):
            true_or_false("flag", value)


def test_as_tuple():
    assert as_tuple(3) == (3,) and as_tuple(np.int64(3)) == (3,) and as_tuple("ab") == ("ab",)
    assert as_tuple([1, 2]) == (1, 2) and as_tuple(np.array([1, 2])) == (1, 2)
    assert as_tuple(np.array(3)) == (3,) and as_tuple(None) == (None,)


def test_as_shape():
    assert as_shape("f", 3) == (3,) and as_shape("f", np.array([2, 3])) == (2, 3)
    assert as_shape("f", (None, 3), unknown=True) == (None, 3) and as_shape("f", ()) == ()
    assert as_shape("f", (-1, 3), least=-1) == (-1, 3)
    for shape in (None, "a", 2.5, (2.0, 3), (None, 3), [[1]]):
        with pytest.raises(TypeError, match="^f: a shape is an integer or a tuple of integers"):
            as_shape("f", shape)
    with pytest.raises(ShapeError, match=r"f: a length cannot be below 0, received .*\(2, -1\)"):
        as_shape("f", (2, -1))


ONE = np.int64(1)
SAME = {
    "sum": (lambda n: ops.sum(X, axis=n), lambda: X.sum(1)),
    "softmax": (lambda n: ops.argmax(X, axis=n), lambda: X.argmax(1)),
    "expand_dims": (lambda n: ops.expand_dims(X, n), lambda: X[:, None]),
    "moveaxis": (lambda n: ops.moveaxis(X, n, 0), lambda: X.T),
    "flip": (lambda n: ops.flip(X, n), lambda: X[:, ::-1]),
    "norm": (lambda n: ops.norm(X, axis=n), lambda: np.sqrt((X * X).sum(1))),
    "zeros": (lambda n: ops.zeros(n), lambda: np.zeros(1)),
    "full": (lambda n: ops.full(n, 2.0), lambda: np.full(1, 2.0)),
    "full of values": (lambda n: ops.full(n, [2.0]), lambda: np.full(1, 2.0)),
    "reshape": (lambda n: ops.reshape(X, (n, -1)), lambda: X.reshape(1, -1)),
    "broadcast_to": (lambda n: ops.broadcast_to([2.0], n), lambda: np.full(1, 2.0)),
}


@pytest.mark.parametrize("name", SAME)
def test_numpys_integers_are_integers(name):
    act, expected = SAME[name]
    np.testing.assert_allclose(act(ONE).numpy(), expected(), rtol=1e-6)
    np.testing.assert_allclose(act(1).numpy(), expected(), rtol=1e-6)


def test_numpys_integers_as_lengths_of_random_numbers_and_variables():
    assert gpunn.random.normal(np.int64(3)).shape == (3,)
    assert gpunn.Variable(gpunn.initializers.Zeros(), shape=np.int64(3)).shape == (3,)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda n: layers.Equalization(bins=n), "bins"),
        (lambda n: layers.RandAugment(num_ops=n), "num_ops"),
        (lambda n: layers.GroupNormalization(groups=n), "groups"),
        (lambda n: layers.MultiHeadAttention(n, 3), "num_heads"),
        (lambda n: layers.HashedCrossing(n), "num_bins"),
        (lambda n: layers.RepeatVector(n), "n"),
        (lambda n: gpunn.metrics.TopKCategoricalAccuracy(n), "k"),
        (lambda n: gpunn.metrics.PrecisionAtRecall(0.5, n), "num_thresholds"),
    ],
)
def test_numpys_integers_are_pythons_in_configs(make, name):
    value = make(np.int64(2)).get_config()[name]
    assert type(value) is int and value == 2
    for wrong in (True, 0, 2.0):
        with pytest.raises((TypeError, ValueError), match=f"{name} must be .*received {wrong}"):
            make(wrong)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: ops.sum(X, axis="a"), TypeError, "sum: an axis is an integer, received 'a'"),
        (lambda: ops.sum(X, axis=1.0), TypeError, "sum: an axis is an integer, received 1.0"),
        (lambda: ops.sum(1.0, axis=0), ShapeError, "axis 0 .*A single number has no axes"),
        (lambda: ops.transpose(X, 1), ShapeError, r"axes \(1,\) are not a permutation of 2 axes"),
        (lambda: ops.reshape(X, None), TypeError, "reshape: a shape is an integer"),
        (lambda: ops.reshape(X, (-2, 6)), ShapeError, "reshape: a length cannot be below -1"),
        (lambda: ops.zeros((2, -1)), ShapeError, "zeros: a length cannot be below 0"),
        (lambda: ops.ones("a"), TypeError, "ones: a shape is an integer or a tuple"),
        (lambda: ops.empty(2.5), TypeError, "empty: a shape is an integer or a tuple"),
        (lambda: ops.full(None, 1), TypeError, "full: a shape is an integer or a tuple"),
        (lambda: ops.full(None, [1.0]), TypeError, "full: a shape is an integer or a tuple"),
        (lambda: ops.broadcast_to(X, "a"), TypeError, "broadcast_to: a shape is an integer"),
        (lambda: ops.one_hot([1], "3"), ValueError, "one_hot: num_classes must be .* received '3'"),
        (lambda: gpunn.layers.Reshape("a"), TypeError, "Reshape: target_shape: a shape is an int"),
        (lambda: gpunn.layers.Reshape((-2, 3)), ShapeError, "a length cannot be below -1"),
        (lambda: ops.repeat(X, -1), ValueError, "repeat: repeats must be .* received -1"),
        (lambda: ops.tile(X, "a"), ValueError, "tile: repeats must be an integer .* received 'a'"),
        (lambda: gpunn.random.beta("a", 1, 1), TypeError, "random.beta: a shape is an integer"),
        (lambda: gpunn.Variable(max, shape="a"), TypeError, "Variable: a shape is an integer"),
        (lambda: gpunn.Variable([1.0], name=3), ValueError, "Variable: name must be a string, re"),
    ],
)
def test_shapes_and_axes_that_are_none(act, error, message):
    with pytest.raises(error, match=message):
        act()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gpunn.losses.Huber(delta="a"), "Huber: delta must be a number, received 'a'"),
        (
            lambda: gpunn.losses.BinaryCrossentropy(from_logits="no"),
            "BinaryCrossentropy: from_logits must be True or False, received 'no'",
        ),
        (
            lambda: gpunn.metrics.CategoricalCrossentropy(label_smoothing=True),
            "CategoricalCrossentropy: label_smoothing must be a number, received True",
        ),
        (
            lambda: gpunn.callbacks.EarlyStopping(patience="3"),
            "EarlyStopping: patience must be a number, received '3'",
        ),
        (
            lambda: gpunn.callbacks.ReduceLROnPlateau(factor="0.1"),
            "ReduceLROnPlateau: factor must be a number, received '0.1'",
        ),
        (
            lambda: gpunn.callbacks.LearningRateScheduler(0.1),
            "LearningRateScheduler: schedule must be a function, received 0.1",
        ),
        (
            lambda: gpunn.callbacks.LambdaCallback(on_epoch_end=3),
            "LambdaCallback: on_epoch_end must be a function, received 3",
        ),
    ],
)
def test_options_of_losses_metrics_and_callbacks(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
