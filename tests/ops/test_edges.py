"""Numbers as operands, dtypes, empty tensors, special values; and the operators."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpunn import config, grad, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.ops import losses

FLOATS = ("float16", "float32", "float64")


def tensor(values, dtype="float32"):
    return ops.convert_to_tensor(np.array(values, dtype))


# --- numbers and dtypes ---


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "maximum", "minimum", "mod"])
@pytest.mark.parametrize(
    ("dtype", "number", "expected"),
    [
        ("float16", 2, "float16"),
        ("float16", 2.5, "float16"),
        ("float64", 2.5, "float64"),
        ("int32", 2, "int32"),
        ("int32", 2.5, "float32"),
        ("int8", 2, "int8"),
        ("uint8", 3, "uint8"),
        ("int64", 2.5, "float32"),
    ],
)
def test_python_numbers_are_weak(name, dtype, number, expected):
    x, function = tensor([5, 7], dtype), getattr(ops, name)
    assert function(x, number).dtype == function(number, x).dtype == expected
    symbol = SymbolicTensor((2,), dtype)
    assert function(symbol, number).dtype == function(number, symbol).dtype == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("int32", "float16", "float16"),
        ("bool", "float16", "float16"),
        ("int64", "float32", "float32"),
        ("float16", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("int32", "uint8", "int32"),
        ("int8", "uint8", "int16"),
        ("bool", "int8", "int8"),
        ("int64", "uint64", "float32"),
    ],
)
def test_promotion(a, b, expected):
    for x, y in ((a, b), (b, a)):
        received = ops.add(tensor([1], x), tensor([1], y))
        assert received.dtype == expected and received.tolist() == [2]
        assert ops.matmul(tensor([[1]], x), tensor([[1]], y)).dtype == expected
        assert ops.concatenate([tensor([1], x), tensor([1], y)]).dtype == expected
        assert ops.where([True], tensor([1], x), tensor([1], y)).dtype == expected
        assert ops.less(tensor([0], x), tensor([1], y)).tolist() == [True]


def test_integers_where_floats_are_needed():
    x = tensor([1, 2, 3], "int32")
    for function in (ops.exp, ops.mean, ops.sigmoid, ops.softmax, ops.sqrt, ops.silu):
        assert function(x).dtype == "float32"
    assert (x / x).dtype == "float32" and (x / 2).dtype == "float32" and (1 / x).dtype == "float32"
    assert {f(x).dtype for f in (ops.abs, ops.square, ops.negative, ops.relu)} == {"int32"}
    config.set_floatx("float64")
    assert ops.exp(x).dtype == ops.mean(x).dtype == (x * 0.5).dtype == "float64"


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("uint8", "uint32"),
        ("int8", "int32"),
        ("int16", "int32"),
        ("bool", "int32"),
        ("int32", "int32"),
        ("int64", "int64"),
        ("uint64", "uint64"),
        ("float16", "float16"),
    ],
)
def test_sums_of_small_integers_are_wider(dtype, expected):
    x = np.ones((300, 2), dtype)
    total = ops.sum(tensor(x, dtype), axis=0)
    assert total.dtype == expected and total.tolist() == [300, 300]
    assert ops.prod(tensor([1, 1], dtype)).dtype == expected


def test_large_integers_are_summed_exactly(simulated_gpu):
    from gpunn.backend import devices

    values = np.array([2**40, 1, 1], "int64")
    for backend in (devices.cpu, devices.gpu()):
        assert ops.sum(Tensor(backend.asarray(values))).item() == 2**40 + 2
        assert ops.max(Tensor(backend.asarray(values))).item() == 2**40


def test_the_dtype_of_choices():
    assert ops.where([True, False], 1, 2).tolist() == [1, 2]
    assert ops.where([True], 1, 2).dtype == ops.where([True], [1], [2]).dtype == "int32"
    assert ops.where([True], 1, 2.5).dtype == ops.where([True], 1.0, [2]).dtype == "float32"
    assert ops.where([True], tensor([1], "float16"), 2.5).dtype == "float16"
    assert ops.where(True, tensor([1, 2]), 0).tolist() == [1, 2]


def test_index_dtypes():
    assert ops.argmax(tensor([1, 3, 2])).dtype == "int32"


def test_the_mean_of_many_halves_does_not_overflow():
    x = tensor(np.full(70_000, 2), "float16")
    assert ops.mean(x).item() == 2 and ops.mean(x).dtype == "float16"
    assert ops.var(x).item() == 0


def test_numbers_alone_are_tensors():
    for value in (
        ops.square(3.0),
        ops.abs(-9.0),
        ops.sum(9.0),
        ops.cast(9, "float32"),
        ops.add(4.0, 5),
        ops.multiply(3, 3.0),
        ops.maximum(9.0, 1),
    ):
        assert isinstance(value, Tensor) and value.shape == ()
        assert value.dtype == "float32" and value.item() == 9
    assert ops.add(1, 2).dtype == "int32"


def test_lists_arrays_and_tensors_mix():
    assert ops.add([1.0, 2.0], np.array([1, 1], "float32")).tolist() == [2, 3]
    assert (np.array([1.0, 2.0], "float32") * tensor([2, 2])).tolist() == [2, 4]
    assert isinstance(np.ones(2) + tensor([1, 1]), Tensor)
    assert isinstance(np.float32(2) * tensor([1, 1]), Tensor)


# --- empty, special, extreme ---


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_tensors(shape):
    x = tensor(np.zeros(shape))
    for function in (
        ops.exp,
        ops.relu,
        ops.gelu,
        ops.erf,
        lambda v: v * v,
        lambda v: v > 0,
        lambda v: ops.where(v > 0, v, 0),
        lambda v: ops.cumsum(v, axis=0),
        ops.flip,
    ):
        assert function(x).shape == shape
        if function(x).dtype == "float32":
            assert grad(lambda v, f=function: ops.sum(f(v)))(x).shape == shape
    assert ops.sum(x).item() == 0 and ops.prod(x).item() == 1
    assert math.isnan(ops.mean(x).item())
    assert ops.concatenate([x, x]).shape == (2 * shape[0], *shape[1:])
    assert ops.reshape(x, (0,)).shape == (0,)


def test_empty_products():
    assert ops.matmul(tensor(np.zeros((0, 3))), tensor(np.zeros((3, 2)))).shape == (0, 2)
    assert ops.matmul(tensor(np.zeros((2, 0))), tensor(np.zeros((0, 2)))).tolist() == [[0, 0]] * 2
    assert ops.softmax(tensor(np.zeros((0, 3)))).shape == (0, 3)
    y = ops.dense(tensor(np.zeros((0, 3))), tensor(np.ones((3, 2))), tensor([1, 1]))
    assert y.shape == (0, 2)
    loss = losses.squared_error_loss(tensor(np.zeros((0, 3))), tensor(np.zeros((0, 3))))
    assert loss.shape == (0,)


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_extremes_of_nothing(name):
    with pytest.raises(ShapeError, match=rf"{name}: no elements along axis 0 \(\(0, 3\)\)"):
        getattr(ops, name)(tensor(np.zeros((0, 3))), axis=0)
    assert getattr(ops, name)(tensor(np.zeros((0, 3))), axis=1).shape == (0,)


def test_nan_is_never_hidden():
    x = tensor([math.nan, 1.0])
    for function in (
        ops.relu,
        ops.relu6,
        ops.maximum,
        ops.hard_tanh,
        ops.sigmoid,
        ops.gelu,
        ops.elu,
        ops.softplus,
        ops.clip,
    ):
        args = (x, 0.0) if function is ops.maximum else (x, 0, 1) if function is ops.clip else (x,)
        assert np.isnan(function(*args).numpy()).tolist() == [True, False], function
    for function in (ops.max, ops.min, ops.sum, ops.mean):
        assert math.isnan(function(x).item())


def test_extreme_values_stay_finite():
    x = tensor([-1e4, -100.0, 100.0, 1e4])
    for name in (
        "sigmoid",
        "tanh",
        "softplus",
        "log_sigmoid",
        "silu",
        "gelu",
        "mish",
        "elu",
        "selu",
        "softsign",
        "celu",
        "erf",
        "squareplus",
    ):
        function = getattr(ops, name)
        assert np.isfinite(function(x).numpy()).all(), name
        assert np.isfinite(grad(lambda v, f=function: ops.sum(f(v)))(x).numpy()).all(), name


def test_erf_over_its_whole_range():
    x = np.concatenate([np.linspace(-7, 7, 4001), [0.0, 1e-300, math.inf, -math.inf]])
    expected = [math.erf(v) for v in x]
    np.testing.assert_allclose(ops.erf(x).numpy(), expected, rtol=2e-15, atol=1e-300)
    single = ops.erf(x.astype("float32")).numpy()
    np.testing.assert_allclose(single, expected, rtol=4e-7, atol=1e-37)


def test_the_gradient_at_ties_and_kinks():
    x = tensor([1.0, 2.0, 2.0])
    assert grad(ops.max)(x).tolist() == [0, 0.5, 0.5]
    assert grad(lambda v: ops.sum(ops.maximum(v, 2.0)))(x).tolist() == [0, 0.5, 0.5]
    assert grad(lambda v: ops.sum(ops.clip(v, 1.0, 1.5)))(x).tolist() == [1, 0, 0]
    assert grad(lambda v: ops.sum(ops.relu(v)))(tensor([0.0])).tolist() == [0]
    assert grad(lambda v: ops.sum(ops.abs(v)))(tensor([0.0])).tolist() == [0]


def test_powers_of_zero():
    zero = tensor([0.0])
    for exponent, slope in ((0, 0), (1, 1), (2, 0), (3.5, 0)):
        assert grad(lambda v, e=exponent: ops.sum(v**e))(zero).tolist() == [slope], exponent
    assert grad(lambda v: ops.sum(ops.power(0.0, v)))(tensor([2.0])).tolist() == [0]


def test_integer_powers():
    x = tensor([-2, 3], "int32")
    assert (x**2).tolist() == [4, 9] and (x**2).dtype == "int32"
    assert (x**2.0).dtype == "float32"


def symbol(*shape):
    return SymbolicTensor(shape, "float32")


# --- operators ---


def test_operators_are_the_ops():
    a, b = (
        np.array([[1.0, -2.0], [3.0, 4.0]], "float32"),
        np.array([[2.0, 2.0], [-1.0, 3.0]], "float32"),
    )
    x, y = tensor(a), tensor(b)
    pairs = [
        (x + y, a + b),
        (x - y, a - b),
        (x * y, a * b),
        (x / y, a / b),
        (x // y, a // b),
        (x % y, a % b),
        (x**2, a**2),
        (x @ y, a @ b),
        (-x, -a),
        (abs(x), abs(a)),
        (x == y, a == b),
        (x != y, a != b),
        (x < y, a < b),
        (x <= y, a <= b),
        (x > y, a > b),
        (x >= y, a >= b),
        (2 - x, 2 - a),
        (2 / x, 2 / a),
        (2**x, 2**a),
        (1 + x, 1 + a),
        ((x > 0) & (y > 0), (a > 0) & (b > 0)),
        ((x > 0) | (y > 0), (a > 0) | (b > 0)),
        ((x > 0) ^ (y > 0), (a > 0) ^ (b > 0)),
        (~(x > 0), ~(a > 0)),
        (a @ y, a @ b),
        (x.T, a.T),
        (x.reshape(4), a.reshape(4)),
        (x.reshape(1, -1), a.reshape(1, 4)),
        (x.transpose(), a.T),
        (x.transpose(1, 0), a.T),
        (x.transpose((1, 0)), a.T),
        (x.sum(), a.sum()),
        (x.mean(axis=0), a.mean(0)),
        (x.max(axis=1), a.max(1)),
        (x.min(), a.min()),
        (x.argmax(axis=1), a.argmax(1)),
        (x.argmin(), a.argmin()),
        (x.flatten(), a.ravel()),
        (x.ravel(), a.ravel()),
        (x.std(), a.std()),
        (x.var(axis=0), a.var(axis=0)),
        (x.prod(axis=1), a.prod(axis=1)),
        (x.cumsum(axis=1), a.cumsum(axis=1)),
        (x.dot(y), a.dot(b)),
        (x.clip(0, 1), a.clip(0, 1)),
        (x.round(1), a.round(1)),
        (x.swapaxes(0, 1), a.T),
        (x.repeat(2, axis=0), a.repeat(2, axis=0)),
        (x.copy(), a),
        ((x > 0).any(axis=0), (a > 0).any(axis=0)),
        ((x > 0).all(), (a > 0).all()),
        (x.astype("int32"), a.astype("int32")),
        (x[:, None].squeeze(1), a),
    ]
    for received, expected in pairs:
        assert received.shape == expected.shape
        np.testing.assert_allclose(received, expected, rtol=1e-6)


def test_symbolic_tensors_have_the_same_operators():
    x = symbol(None, 4)
    assert (2 * x + 1 - x / 3).shape == (None, 4) and (x @ symbol(4, 2)).shape == (None, 2)
    assert (x > 0).dtype == "bool" and x.T.shape == (4, None) and x.sum(axis=1).shape == (None,)
    with pytest.raises(TypeError, match="is symbolic: it has a shape, but no values yet"):
        bool(x == x)


def test_logsumexp_of_infinities():
    inf = np.inf
    x = np.array([[-inf, -inf], [inf, 1.0], [-inf, 2.0]], "float32")
    np.testing.assert_array_equal(ops.logsumexp(x, axis=1).numpy(), [-inf, inf, 2.0])


def test_any_and_all_of_nothing():
    nothing = np.zeros((0, 3), "float32")
    np.testing.assert_array_equal(ops.all(nothing, axis=0).numpy(), [True] * 3)
    np.testing.assert_array_equal(ops.any(nothing, axis=0).numpy(), [False] * 3)
    assert bool(ops.all(nothing)) and not bool(ops.any(nothing))


@pytest.mark.parametrize("axis", [(0, 2), (-1, 1), (0, 1, 2)])
def test_softmax_along_several_axes(axis):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    e = np.exp(x)
    p = e / e.sum(axis, keepdims=True)
    np.testing.assert_allclose(ops.softmax(x, axis).numpy(), p, rtol=1e-6)
    np.testing.assert_allclose(ops.log_softmax(x, axis).numpy(), np.log(p), rtol=1e-6)
    w = np.random.default_rng(1).standard_normal(x.shape)
    gradient = grad(lambda t: ops.sum(ops.softmax(t, axis) * w))(Tensor(x)).numpy()
    np.testing.assert_allclose(gradient, p * (w - (p * w).sum(axis, keepdims=True)), atol=1e-6)


def test_a_tensor_is_not_a_text():
    assert (ops.ones((2,)) == "zeros") is False
    assert (ops.ones((2,)) != "zeros") is True
