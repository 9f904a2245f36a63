"""Loops and choices by functions of the user, against Python's own; custom_gradient and jvp."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import gpunn
from gpunn import GradientTape, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import DTypeError, ShapeError
from gpunn.structure import leaves, map_structure
from gpunn.training.recording import RecordedStep

X = np.random.default_rng(0).normal(size=(4, 3))


def tensor(x):
    return Tensor(np.asarray(x, "float64"))


def gradients(function, *xs):
    """Of the sum of the result."""
    xs = [tensor(x) for x in xs]
    with GradientTape() as tape:
        tape.watch(xs)
        y = ops.sum(function(*xs))
    return [None if g is None else g.data for g in tape.gradient(y, xs)]


def values_of(symbols, given):
    """What symbolic tensors become: their calls, run for the values of the inputs."""

    def value(x):
        if not isinstance(x, SymbolicTensor):
            return x
        if id(x) not in given:
            args, kwargs = map_structure(value, x.node.args), map_structure(value, x.node.kwargs)
            found = leaves(x.node.call(*args, **kwargs))
            given.update({id(y): v for y, v in zip(x.node.outputs, found, strict=True)})
        return given[id(x)]

    return map_structure(value, symbols)


# --- cond ---


def test_cond_runs_one_branch():
    x = tensor([1.0, -2.0])
    for pred, expected in ((True, [2, -4]), (x[0] > 3, [1, 4]), (np.array(False), [1, 4])):
        assert ops.cond(pred, lambda: x * 2, lambda: x**2).tolist() == expected
    assert ops.cond(False, lambda: 1 / 0, lambda: None) is None
    chosen = lambda x: ops.cond(x[0] > 0, lambda: x * 2, lambda: x)
    assert gradients(chosen, [1.0, 5.0])[0].tolist() == [2, 2]


def test_cond_of_a_symbolic_value():
    p, x = SymbolicTensor((), "bool"), SymbolicTensor((None, 3), "float64")
    y = ops.cond(p, lambda: {"a": x * 2, "b": (x + 1,)}, lambda: {"a": x, "b": (x,)})
    for pred, expected in ((True, (2 * X, X + 1)), (False, (X, X))):
        found = values_of(y, {id(p): tensor(pred) > 0, id(x): tensor(X)})
        np.testing.assert_array_equal(found["a"].data, expected[0])
        np.testing.assert_array_equal(found["b"][0].data, expected[1])


def test_cond_refuses():
    p = SymbolicTensor((), "bool")
    for other in (lambda: ops.ones((3,)), lambda: ops.ones((2,), "int32"), lambda: None):
        with pytest.raises(ValueError, match="cond: true_fn and false_fn must return the same"):
            ops.cond(p, lambda: ops.ones((2,)), other)
    with pytest.raises(ShapeError, match=r"cond: pred must be one value, received shape \(2,\)"):
        ops.cond(ops.ones((2,)) > 0, lambda: 1, lambda: 2)
    with pytest.raises(TypeError, match="cond: false_fn must be a function, received 3"):
        ops.cond(True, lambda: 1, 3)


# --- loops ---


def test_while_loop():
    i, x = ops.while_loop(lambda i, x: i < 3, lambda i, x: [i + 1, x * 2], (0, 1.0))
    assert (int(i), float(x), i.dtype, x.dtype) == (3, 8.0, "int32", "float32")
    assert float(ops.while_loop(lambda x: x < 100, lambda x: x * 3, 1.0)) == 243
    assert float(ops.while_loop(lambda x: True, lambda x: x + 1, 0.0, maximum_iterations=4)) == 4
    found = ops.while_loop(lambda d: d["n"] < 2, lambda d: {"n": d["n"] + 1}, {"n": 0})
    assert int(found["n"]) == 2
    double = lambda x: ops.while_loop(lambda x: ops.sum(x) < 20, lambda x: x * 2, x)
    assert gradients(double, [1.0, 2.0])[0].tolist() == [8, 8]


def test_fori_loop():
    assert int(ops.fori_loop(0, 10, lambda i, s: s + i, 0)) == 45
    assert ops.fori_loop(3, 1, lambda i, s: s * 0, tensor([2.0])).tolist() == [2]
    power = lambda x: ops.fori_loop(
        ops.array(0), ops.array(3), lambda i, s: (s[0] * x, s[1]), (x, x)
    )
    assert gradients(lambda x: power(x)[0], 2.0)[0] == 32


def test_loops_of_symbolic_tensors():
    x = SymbolicTensor((None, 3), "float64")
    for y, expected in (
        (ops.while_loop(lambda v: ops.max(v) < 50, lambda v: v * 2, x), None),
        (ops.fori_loop(0, 3, lambda i, v: v * 2 + i, x), ((X * 2) * 2 + 1) * 2 + 2),
    ):
        assert (y.shape, y.dtype) == ((None, 3), "float64")
        found = values_of(y, {id(x): tensor(X)}).data
        if expected is None:
            expected = X.copy()
            while expected.max() < 50:
                expected = expected * 2
        np.testing.assert_allclose(found, expected)


def test_loops_refuse():
    x = tensor([1.0, 2.0])
    with pytest.raises(
        ShapeError, match=r"while_loop: loop_vars must keep .* went from float64\(2,\)"
    ):
        ops.while_loop(lambda x: True, lambda x: ops.ones((3,)), x)
    with pytest.raises(ShapeError, match="while_loop: loop_vars must keep structure"):
        ops.while_loop(lambda x: True, lambda x: x, (x,))
    with pytest.raises(ShapeError, match="fori_loop: val must keep structure"):
        ops.fori_loop(0, 2, lambda i, v: {"b": v["a"]}, {"a": x})
    with pytest.raises(TypeError, match="while_loop: body must be a function"):
        ops.while_loop(lambda x: True, None, x)


def test_a_recorded_step_with_a_loop_over_numbers_replays_and_one_over_values_does_not():
    steps = {
        True: lambda x: ops.fori_loop(0, 3, lambda i, v: v * x, x),
        False: lambda x: ops.while_loop(lambda v: ops.sum(v) < 9, lambda v: v * 2, x),
    }
    for replays, step in steps.items():
        recorded = RecordedStep()
        for turn in range(1, 6):
            received = recorded(step, (np.full(3, turn, "float32"),))
            np.testing.assert_array_equal(received, step(Tensor(np.full(3, turn, "float32"))))
        assert (recorded.program is not None) == replays
        assert replays or "a value is read on the host" in recorded.problem


# --- scan, map ---


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse):
    carry, ys = ops.scan(
        lambda c, x: (c + x["a"] * x["b"], {"sum": c, "two": (x["a"], None)}),
        tensor(np.zeros(3)),
        {"a": tensor(X), "b": tensor(X[:, 0])},
        reverse=reverse,
    )
    total, sums = np.zeros(3), [None] * 4
    for i in reversed(range(4)) if reverse else range(4):
        sums[i] = total
        total = total + X[i] * X[i, 0]
    np.testing.assert_allclose(carry, total)
    np.testing.assert_allclose(ys["sum"], sums)
    np.testing.assert_allclose(ys["two"][0], X)
    assert ys["two"][1] is None


def test_scan_without_xs_and_of_no_steps():
    carry, ys = ops.scan(lambda c, _: (c + 1, c), 0, length=3, unroll=True)
    assert (int(carry), ys.tolist()) == (3, [0, 1, 2])
    carry, ys = ops.scan(lambda c, x: (c, x * 2), 1.0, np.ones((0, 2), "float32"))
    assert (float(carry), ys.shape) == (1.0, (0, 2))
    assert ops.map(lambda x: ops.sum(x), np.ones((0, 2))).shape == (0,)


def test_gradients_through_scan_and_map():
    product = lambda x: ops.scan(lambda c, x: (c * x, c), tensor(1.0), x)[0]
    assert gradients(product, [2.0, 3, 4])[0].tolist() == [12, 8, 6]
    assert gradients(lambda x: ops.map(lambda r: ops.sum(r * r), x), X)[0] == pytest.approx(2 * X)


def test_map_and_vectorized_map():
    found = ops.map(lambda r: {"sum": ops.sum(r), "row": [r]}, X)
    np.testing.assert_allclose(found["sum"], X.sum(axis=1))
    np.testing.assert_array_equal(found["row"][0], X)
    sums = ops.vectorized_map(lambda pair: pair[0] + pair[1][0], [X[:, 0], X])
    np.testing.assert_allclose(sums, 2 * X[:, 0])


def test_scan_and_map_of_symbolic_tensors():
    x, four = SymbolicTensor((None, 3), "float64"), SymbolicTensor((4, 3), "float64")
    carry, ys = ops.scan(lambda c, v: (c + v, ops.sum(v)), np.zeros(3), x)
    assert (carry.shape, ys.shape) == ((3,), (None,))
    assert ops.scan(lambda c, v: (c + v, v), np.zeros(3), four)[1].shape == (4, 3)
    found = values_of((carry, ys), {id(x): tensor(X)})
    np.testing.assert_allclose(found[0], X.sum(axis=0))
    np.testing.assert_allclose(found[1], X.sum(axis=1))
    y = ops.map(lambda r: {"a": ops.sum(r)}, x)
    assert y["a"].shape == (None,)
    np.testing.assert_allclose(values_of(y, {id(x): tensor(X)})["a"], X.sum(axis=1))
    outside = ops.scan(lambda c, v: (c + v * four[0], v), np.zeros(3), x)[0]
    with pytest.raises(ValueError, match="scan: its function uses a symbolic tensor from outside"):
        values_of(outside, {id(x): tensor(X)})


def test_scan_refuses():
    f = lambda c, x: (c, x)
    x = ops.ones((3,))
    with pytest.raises(ValueError, match="scan: without xs, give the length"):
        ops.scan(f, x)
    with pytest.raises(ValueError, match=r"scan: .* shapes \[\(3,\)\] and length=2"):
        ops.scan(f, x, x, length=2)
    with pytest.raises(ValueError, match=r"map: .* shapes \[\(3,\), \(2,\)\]"):
        ops.map(lambda x: x[0], [x, ops.ones((2,))])
    with pytest.raises(ValueError, match="map: xs must have an axis to go along"):
        ops.map(lambda x: x, 1.0)
    with pytest.raises(ValueError, match="unroll must be a bool or a positive integer, received 0"):
        ops.scan(f, x, x, unroll=0)
    with pytest.raises(ValueError, match="scan: the carry must keep structure"):
        ops.scan(lambda c, x: (ops.ones((2,)), x), x, x)
    with pytest.raises(TypeError, match="scan: f must be a function, received 4"):
        ops.scan(4, x, x)


@pytest.mark.parametrize(("n", "reverse"), [*itertools.product((1, 2, 5, 8), (False, True))])
def test_associative_scan(n, reverse):
    """Of matrix products, whose order matters."""
    xs = np.random.default_rng(n).normal(size=(2, n, 2, 2))
    ys = ops.associative_scan(ops.matmul, tensor(xs), reverse=reverse, axis=1)
    order = range(n - 1, -1, -1) if reverse else range(n)
    total = None
    for i in order:
        total = xs[:, i] if total is None else total @ xs[:, i]
        np.testing.assert_allclose(ys[:, i], total, rtol=1e-10)


def test_associative_scan_of_structures_and_symbolic_tensors():
    add = lambda a, b: [a[0] + b[0], a[1] * b[1]]
    sums, products = ops.associative_scan(add, [tensor([1, 2, 3]), tensor([1, 2, 3])])
    assert (sums.tolist(), products.tolist()) == ([1, 3, 6], [1, 2, 6])
    x = SymbolicTensor((None, 3), "float64")
    y = ops.associative_scan(lambda a, b: a + b, x)
    np.testing.assert_allclose(values_of(y, {id(x): tensor(X)}), X.cumsum(axis=0))
    with pytest.raises(ValueError, match="associative_scan: all elems must have one length"):
        ops.associative_scan(add, [ops.ones((3,)), ops.ones((2,))])


# --- vectorize ---


def test_vectorize():
    assert ops.vectorize(lambda a, b: a + b)([1, 2, 3], 2).tolist() == [3, 4, 5]
    smaller = ops.vectorize(lambda a, b: ops.cond(a > b, lambda: b, lambda: a))
    y = np.array([0.1, -0.2, 0.3])
    np.testing.assert_array_equal(smaller(X, y), np.minimum(X, y))
    product = ops.vectorize(ops.matmul, signature="(m,n),(n)->(m)")
    m = np.random.default_rng(1).normal(size=(5, 1, 2, 3))
    np.testing.assert_allclose(product(m, X), (m @ X[..., None])[..., 0])
    shifted = ops.vectorize(lambda a, by, *, times=1: a * times + len(by), excluded={1})
    np.testing.assert_allclose(shifted(X, "abc", times=2), 2 * X + 3)
    x = SymbolicTensor((None, 3), "float64")
    found = ops.vectorize(ops.sum, signature="(n)->()")(x)
    assert found.shape == (None,)
    np.testing.assert_allclose(values_of(found, {id(x): tensor(X)}), X.sum(axis=1))


def test_vectorize_refuses():
    product = ops.vectorize(ops.matmul, signature="(m,n),(n)->(m)")
    with pytest.raises(ValueError, match="axis 'n' of signature .* has lengths 3 and 2"):
        product(np.ones((2, 3)), np.ones(2))
    with pytest.raises(ValueError, match=r"shape \(3,\) has too few axes for \('m', 'n'\)"):
        product(np.ones(3), np.ones(3))
    with pytest.raises(TypeError, match=r"names 2 input\(s\), received 1"):
        product(X)
    with pytest.raises(ValueError, match="'m->n' is not a signature. Write it as"):
        ops.vectorize(abs, signature="m->n")
    with pytest.raises(TypeError, match="excluded must be positions"):
        ops.vectorize(abs, excluded={"a"})
    with pytest.raises(TypeError, match="pyfunc must be a function"):
        ops.vectorize(3)
    with pytest.raises(TypeError, match="no argument to go along"):
        ops.vectorize(lambda a: a, excluded={0})(1)


# --- custom_gradient, jvp ---


@ops.custom_gradient
def log1pexp(x):
    e = ops.exp(x)

    def grad(*args, upstream=None):
        if upstream is None:
            (upstream,) = args
        return ops.multiply(upstream, 1 - 1 / ops.add(1, e))

    return ops.log(1 + e), grad


def test_custom_gradient_of_the_documentation():
    found = gradients(lambda x: log1pexp(2 * x) * 3, [0.0, 1.0, 50.0])[0]
    np.testing.assert_allclose(found, [6 / (1 + math.exp(-2 * v)) for v in (0, 1, 50)])
    np.testing.assert_allclose(log1pexp(tensor([1.0])), [math.log1p(math.e)])
    x = SymbolicTensor((None,), "float64")
    np.testing.assert_allclose(values_of(log1pexp(x), {id(x): tensor([0.0])}), [math.log(2)])


def test_custom_gradient_of_several_arguments_and_results():
    seen = []

    def as_jax(dys):
        seen.append([dy.tolist() for dy in dys])
        return 7 * dys[0], {"k": 5 * dys[1]}, None

    def as_tensorflow(da, db):
        return 7 * da, 5 * db, None

    def as_torch(*args, upstream):
        assert len(args) == 3
        return 7 * upstream[0], 5 * upstream[1], None

    def check(grad):
        f = ops.custom_gradient(lambda x, d, n: ((x * 1, d["k"] * 2), grad))
        total = lambda a, b: sum(ops.sum(y) for y in f(a, {"k": b}, 3))
        assert [g.tolist() for g in gradients(total, [1.0, 2.0], [3.0])] == [[7, 7], [5]]
        last = lambda a, b: f(a, {"k": b}, 3)[1]
        assert [g.tolist() for g in gradients(last, [1.0, 2.0], [3.0])] == [[0, 0], [5]]

    for grad in (as_jax, as_tensorflow, as_torch):
        check(grad)
    assert seen == [[[1, 1], [1]], [[0, 0], [1]]]


def test_custom_gradient_refuses():
    x = tensor([1.0])
    with pytest.raises(ValueError, match=r"custom_gradient: 'double' must return \(output, grad\)"):
        ops.custom_gradient(double)(x)
    wrong = ops.custom_gradient(lambda x: (x * 2, lambda dy: ops.ones((3,))))
    with pytest.raises(
        ShapeError, match=r"grad returned shape \(3,\) for an input of shape \(1,\)"
    ):
        gradients(wrong, [1.0])
    wrong = ops.custom_gradient(lambda x: (x * 2, lambda dy: (dy, dy)))
    with pytest.raises(ValueError, match=r"one gradient for each of 1 input\(s\), received 2"):
        gradients(wrong, [1.0])
    with pytest.raises(TypeError, match="custom_gradient: f must be a function"):
        ops.custom_gradient(3)


def double(x):
    return x * 2


def test_jvp():
    y, dy = ops.jvp(lambda a, b: {"y": a * b, "z": [ops.sum(a)]}, (X, 2.0), (X * 3, 1.0))
    np.testing.assert_allclose(y["y"], 2 * X)
    np.testing.assert_allclose(dy["y"], 6 * X + X, rtol=1e-6)
    np.testing.assert_allclose(dy["z"][0], 3 * X.sum())
    y, dy, aux = ops.jvp(lambda x: (ops.sin(x), "more"), (tensor(0.1),), (0.2,), has_aux=True)
    assert float(y) == pytest.approx(math.sin(0.1))
    assert float(dy) == pytest.approx(0.2 * math.cos(0.1))
    assert aux == "more"
    same = tensor([2.0, 3.0])
    assert ops.jvp(ops.multiply, (same, same), (same, same * 0))[1].tolist() == [4, 9]
    assert ops.jvp(lambda x: ops.ones((2,)), (same,), (same,))[1].tolist() == [0, 0]


def test_the_value_of_jvp_is_on_record():
    both = lambda x: ops.jvp(lambda q: q**2, (x,), (tensor([1.0, 1]),))[0]
    assert gradients(both, [3.0, 4.0])[0].tolist() == [6, 8]


def test_jvp_of_symbolic_tensors():
    x = SymbolicTensor((None, 3), "float64")
    y = ops.jvp(lambda q: q * q, (x,), (x,))
    assert [v.shape for v in y] == [(None, 3)] * 2
    np.testing.assert_allclose(values_of(y, {id(x): tensor(X)})[1], 2 * X * X)


def test_jvp_refuses():
    x = ops.ones((3,))
    with pytest.raises(ShapeError, match=r"shape of its primal, received \(2,\) for \(3,\)"):
        ops.jvp(lambda a: a, (x,), (ops.ones((2,)),))
    with pytest.raises(DTypeError, match="jvp: primals must be floats, received dtype int32"):
        ops.jvp(lambda a: a, (ops.ones((3,), "int32"),), (x,))
    with pytest.raises(ValueError, match="one structure, received 1 and 2 tensors"):
        ops.jvp(lambda a: a, (x,), (x, x))
    with pytest.raises(TypeError, match="must be tuples or lists"):
        ops.jvp(lambda a: a, x, x)


def test_symbolic_loops_inside_a_layer():
    class Power(gpunn.layers.Layer):
        def call(self, x):
            return ops.fori_loop(0, 2, lambda i, y: y * x, x)

    model = gpunn.Sequential([gpunn.Input((3,)), Power()])
    np.testing.assert_allclose(model(X.astype("float32")), X**3, rtol=1e-5)
