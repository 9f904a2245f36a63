"""Functions made of other ops, and the ones that make tensors, against loops and `math`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpunn import GradientTape, grad, ops
from gpunn.errors import ShapeError

X = np.random.default_rng(0).normal(size=(3, 4))


def close(received, expected, tolerance=1e-12):
    np.testing.assert_allclose(np.asarray(received), expected, rtol=tolerance, atol=tolerance)


def differences(function, x, h=1e-6):
    out = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        out[index] = (float(function(up)) - float(function(down))) / (2 * h)
    return out


def column(x, j):
    return [row[j] for row in x.tolist()]


def variance(values):
    mean = math.fsum(values) / len(values)
    return math.fsum((v - mean) ** 2 for v in values) / len(values)


def log_sum_exp(values):
    top = max(values)
    return top + math.log(math.fsum(math.exp(v - top) for v in values))


STATISTICS = {
    "var": variance,
    "std": lambda v: math.sqrt(variance(v)),
    "logsumexp": log_sum_exp,
    "norm": math.hypot,
}


def applied(name, values):
    return math.hypot(*values) if name == "norm" else STATISTICS[name](values)


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics(name):
    function = getattr(ops, name)
    close(function(X, axis=0), [applied(name, column(X, j)) for j in range(4)])
    close(function(X, axis=1), [applied(name, row) for row in X.tolist()])
    close(function(X), applied(name, X.ravel().tolist()))
    assert function(X, axis=-1, keepdims=True).shape == (3, 1)
    assert function(X, keepdims=True).shape == (1, 1)
    close(function(X[None], axis=(0, 2)), [applied(name, row) for row in X.tolist()])


@pytest.mark.parametrize("name", STATISTICS)
def test_gradients_of_statistics(name):
    weights = np.array([0.3, -1.0, 2.0])

    def function(x):
        return ops.sum(getattr(ops, name)(x, axis=1) * weights)

    close(grad(function)(X), differences(function, X), 1e-6)


def test_logsumexp_does_not_overflow():
    close(ops.logsumexp(np.array([1000.0, 1000.0])), 1000 + math.log(2))


@pytest.mark.parametrize(
    ("order", "function"),
    [
        (1, lambda v: math.fsum(map(abs, v))),
        (2, lambda v: math.hypot(*v)),
        (math.inf, lambda v: max(map(abs, v))),
        (3, lambda v: math.fsum(abs(a) ** 3 for a in v) ** (1 / 3)),
    ],
)
def test_norms(order, function):
    close(ops.norm(X, order, axis=1), [function(row) for row in X.tolist()])
    norms = np.array([function(row) for row in X.tolist()])
    close(ops.normalize(X, axis=1, order=order), X / norms[:, None])


def test_normalize_keeps_zeros_and_their_gradient_finite():
    zeros = np.zeros((2, 3), "float32")
    close(ops.normalize(zeros), zeros)
    assert np.isfinite(grad(lambda x: ops.sum(ops.normalize(x)))(zeros).numpy()).all()


@pytest.mark.parametrize(
    ("order", "function"),
    [
        (None, lambda x: math.hypot(*x.ravel())),
        ("fro", lambda x: math.hypot(*x.ravel())),
        (1, lambda x: max(math.fsum(map(abs, column(x, j))) for j in range(4))),
        (-1, lambda x: min(math.fsum(map(abs, column(x, j))) for j in range(4))),
        (math.inf, lambda x: max(math.fsum(map(abs, row)) for row in x.tolist())),
        (-math.inf, lambda x: min(math.fsum(map(abs, row)) for row in x.tolist())),
        (2, lambda x: math.sqrt(max(np.roots(np.poly(x @ x.T)).real))),
        (-2, lambda x: math.sqrt(min(np.roots(np.poly(x @ x.T)).real))),
        ("nuc", lambda x: math.fsum(map(math.sqrt, np.roots(np.poly(x @ x.T)).real))),
    ],
)
def test_norms_of_matrices(order, function):
    close(ops.norm(X, order), function(X), 1e-9)
    close(ops.norm(X.T, order, axis=(1, 0)), function(X), 1e-9)
    stacked = np.stack([X, 2 * X], axis=1)
    close(ops.norm(stacked, order, axis=(0, 2)), [function(X), 2 * function(X)], 1e-9)
    assert ops.norm(stacked, order, axis=(2, 0), keepdims=True).shape == (1, 2, 1)
    weights = np.array([0.3, -1.0])

    def weighed(x):
        return ops.sum(ops.norm(x, order, axis=(0, 2)) * weights)

    close(grad(weighed)(stacked), differences(weighed, stacked), 1e-6)


@pytest.mark.parametrize(("order", "function"), [
    (0, lambda v: sum(a != 0 for a in v)),
    (-math.inf, lambda v: min(map(abs, v))),
    (-1, lambda v: 1 / math.fsum(1 / abs(a) for a in v)),
])  # fmt: skip
def test_further_norms_of_vectors(order, function):
    close(ops.norm(X, order, axis=1), [function(row) for row in X.tolist()])
    assert ops.norm(np.arange(1, 4), order).dtype == "float32"


def test_norm_refuses_what_has_none():
    with pytest.raises(ValueError, match="norm: ord of a vector must be a number.*received 'fro'"):
        ops.norm(X[0], "fro")
    with pytest.raises(ValueError, match="norm: ord of a matrix must be None, 'fro'.*received 3"):
        ops.norm(X, 3)
    for axis in (None, (0, 1, 2), (1, 1)):
        with pytest.raises(ShapeError, match="norm: axis must name one axis for vectors or two"):
            ops.norm(X[None], 1, axis=axis)


def test_any_and_all():
    x = np.array([[0, 0, 1], [2, 3, 4]])
    assert ops.any(x, axis=0).tolist() == [True, True, True]
    assert ops.all(x, axis=0).tolist() == [False, False, True]
    assert ops.all(x, axis=1, keepdims=True).tolist() == [[False], [True]]
    assert bool(ops.any(x)) and not bool(ops.all(x))
    assert ops.any(np.zeros(3)).dtype == "bool"


def test_moveaxis_and_swapaxes():
    x = np.arange(24).reshape(2, 3, 4)
    for source, destination in ((0, 2), (-1, 0), ((0, 1), (-1, 0)), ([2, 0], [0, 1])):
        moved = ops.moveaxis(x, source, destination)
        assert moved.shape == np.moveaxis(x, source, destination).shape
        np.testing.assert_array_equal(moved, np.moveaxis(x, source, destination))
    np.testing.assert_array_equal(ops.swapaxes(x, 0, -1), np.swapaxes(x, 0, -1))
    with pytest.raises(ShapeError, match=r"swapaxes: axis 3 does not exist in 3 dimension"):
        ops.swapaxes(x, 0, 3)
    with pytest.raises(ShapeError, match=r"moveaxis: source .* different numbers of axes"):
        ops.moveaxis(x, (0, 1), (0,))


def test_split_and_unstack():
    x = np.arange(12.0).reshape(2, 6)
    parts = ops.split(x, 3, axis=1)
    assert [p.tolist() for p in parts] == [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]]
    assert [p.shape for p in ops.split(x, [1, 4], axis=-1)] == [(2, 1), (2, 3), (2, 2)]
    assert [p.tolist() for p in ops.unstack(x[:, :2])] == [[0, 1], [6, 7]]
    assert [p.tolist() for p in ops.unstack(x[:, :2], axis=1)] == [[0, 6], [1, 7]]
    with pytest.raises(ShapeError, match=r"split: axis 1 of length 6 does not divide into 4"):
        ops.split(x, 4, axis=1)


def test_split_parts_give_their_gradients_back():
    x = ops.convert_to_tensor(np.arange(6.0))
    with GradientTape() as tape:
        tape.watch(x)
        a, _b, c = ops.split(x, 3)
        y = ops.sum(a * 2) + ops.sum(c * c)
    assert tape.gradient(y, x).tolist() == [2, 2, 0, 0, 8, 10]


# --- making tensors ---


def test_filled_tensors():
    assert ops.zeros((2, 2)).tolist() == [[0, 0], [0, 0]]
    assert ops.ones(3, "int32").tolist() == [1, 1, 1]
    assert ops.full((2,), 7.5).tolist() == [7.5, 7.5]
    assert ops.zeros(()).shape == () and ops.zeros((0, 2)).shape == (0, 2)
    assert (ops.zeros(2).dtype, ops.ones(3, "int32").dtype) == ("float32", "int32")
    assert ops.zeros_like(np.ones((2, 1), "int8")).dtype == "int8"
    assert ops.ones_like(X, dtype="float16").tolist() == [[1] * 4] * 3
    assert ops.full_like(X, 3).dtype == "float64"


def test_ranges():
    assert ops.arange(3).tolist() == [0, 1, 2] and ops.arange(3).dtype == "int32"
    assert ops.arange(1, 2, 0.25).tolist() == [1, 1.25, 1.5, 1.75]
    assert ops.arange(3.0).dtype == "float32" and ops.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert ops.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert ops.eye(2, 3, 1).tolist() == [[0, 1, 0], [0, 0, 1]]


def test_conversions():
    x = ops.convert_to_tensor([1, 2], dtype="float16")
    assert ops.convert_to_tensor(x) is x and ops.cast(x, "float16") is x
    copy = ops.convert_to_numpy(x)
    copy[0] = 9
    assert x.tolist() == [1, 2]
    assert ops.shape(np.zeros((2, 3))) == (2, 3)
    assert ops.convert_to_tensor([1.5], "int32").dtype == "int32"


def test_stop_gradient():
    x = ops.convert_to_tensor([2.0, 3.0])
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.sum(x * ops.stop_gradient(x))
    assert tape.gradient(y, x).tolist() == [2, 3]


def test_one_hot_of_floats_that_are_integers():
    assert ops.one_hot([0.0, 1.0], 2).tolist() == [[1, 0], [0, 1]]
