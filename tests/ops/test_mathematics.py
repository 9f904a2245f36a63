"""Rare mathematics, bits, NaN, quantiles, sequences: gradients, edges, operators, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpunn import GradientTape, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import DTypeError, ShapeError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
MISSING = RNG.random((3, 4)) < 0.3
ROW = RNG.normal(size=(6,))
INTEGERS = np.arange(-6, 6, dtype="int32").reshape(3, 4)


def gaps(x):
    return ops.where(MISSING, np.nan, x)


#: Functions of float64 arrays that are smooth there.
SMOOTH = {
    "deg2rad": (lambda x: ops.deg2rad(x) + ops.rad2deg(x), X),
    "fabs": (ops.fabs, X),
    "sinc": (ops.sinc, X),
    "logaddexp2": (lambda x: ops.logaddexp2(x, Y) + ops.logaddexp2(1.0, x), X),
    "ldexp": (lambda x: ops.ldexp(x, INTEGERS), X),
    "heaviside": (lambda x: ops.heaviside(np.where(X > 0, 0.0, X), x), X),
    "fmax": (lambda x: ops.fmax(x, Y) - ops.fmin(0.1, x), X),
    "nan_to_num": (lambda x: ops.nan_to_num(gaps(x)), X),
    "clip": (lambda x: ops.clip(x, Y - 1, 0.5) + ops.clip(x, None, 0.3), X),
    "max": (lambda x: ops.max(x, axis=1, initial=0.5) + ops.min(x, axis=1, initial=-0.5), X),
    "prod": (lambda x: ops.prod(x, axis=0), X),
    "ptp": (lambda x: ops.ptp(x, axis=1), X),
    "average": (lambda x: ops.average(x, axis=0, weights=x[:, 0] + 5), X),
    "corrcoef": (ops.corrcoef, X),
    "nanmean": (lambda x: ops.nanmean(gaps(x), axis=1), X),
    "nanvar": (lambda x: ops.nanvar(gaps(x)) + ops.nanstd(gaps(x)), X),
    "nanprod": (lambda x: ops.nanprod(gaps(x)) + ops.nansum(gaps(x)), X),
    "nanmax": (lambda x: ops.nanmax(gaps(x), axis=0) - ops.nanmin(gaps(x), axis=0), X),
    "nancumprod": (lambda x: ops.nancumprod(gaps(x), axis=1) + ops.nancumsum(gaps(x), 0), X),
    "diff": (lambda x: ops.diff(x, n=2), X),
    "trapezoid": (lambda x: ops.trapezoid(x, x[0] ** 2), X),
    "correlate": (lambda x: ops.correlate(x, x[:4], mode="same"), ROW),
    "quantile": (lambda x: ops.quantile(x, [0.2, 0.77], axis=1), X),
    "midpoint": (lambda x: ops.quantile(x, 0.4, method="midpoint"), X),
    "nanmedian": (lambda x: ops.nanmedian(gaps(x), axis=1), X),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_of_composites(name):
    function, start = SMOOTH[name]
    x = ops.convert_to_tensor(start)
    with GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    dy = np.random.default_rng(1).normal(size=y.shape)
    received, h = tape.gradient(y, x, output_gradients=dy), 1e-6
    expected = np.zeros(start.shape)
    for index in np.ndindex(start.shape):
        values = []
        for sign in (1, -1):
            moved = start.copy()
            moved[index] += sign * h
            values.append(np.asarray(function(ops.convert_to_tensor(moved))))
        expected[index] = np.nansum((values[0] - values[1]) * dy) / (2 * h)
    np.testing.assert_allclose(received, expected, rtol=1e-6, atol=1e-7)


def gradient(function, *values):
    xs = [ops.convert_to_tensor(np.array(v)) for v in values]
    with GradientTape() as tape:
        tape.watch(xs)
        y = function(*xs)
    return [np.asarray(g).tolist() for g in tape.gradient(y, xs)]


def test_gradients_at_the_edges_are_finite():
    assert gradient(ops.hypot, 0.0, 0.0) == [0, 0] == gradient(ops.arctan2, 0.0, 0.0)
    assert gradient(ops.sinc, 0.0) == [0]
    assert gradient(ops.logaddexp, -math.inf, -math.inf) == [0.5, 0.5]
    assert gradient(ops.logaddexp, -math.inf, 1.0) == [0, 1]
    assert gradient(ops.fmax, math.nan, 2.0) == [0, 1]
    assert gradient(lambda x: ops.nanmean(x), [1.0, math.nan, 3.0]) == [[0.5, 0, 0.5]]
    assert gradient(lambda x: ops.prod(x), [0.0, 2.0, 3.0]) == [[6, 0, 0]]
    assert gradient(lambda x: ops.prod(x), [0.0, 2.0, 0.0]) == [[0, 0, 0]]


def test_special_functions_far_out():
    x = [0.3, 3.9, 4.1, 8.0, 26.0, -5.0, -30.0, 40.0]
    expected = [math.erfc(v) for v in x]
    np.testing.assert_allclose(ops.erfc(np.array(x)), expected, rtol=2e-15)
    y = np.array([-4.0, -0.01, 1e-9, 0.7, 2.5, 5.0])
    shares = np.array([math.erf(v) for v in y])
    np.testing.assert_allclose(ops.erfinv(shares), y, rtol=1e-4)  # erf is flat at 5
    np.testing.assert_allclose(ops.erfinv(shares[1:4]), y[1:4], rtol=1e-14)
    assert ops.erfinv(np.array([1.0, -1.0])).tolist() == [math.inf, -math.inf]
    assert np.isnan(ops.erfinv(np.array([1.1, math.nan])).numpy()).all()
    total = math.fsum((15.0) ** (2 * k) / math.factorial(k) ** 2 for k in range(80))
    np.testing.assert_allclose(ops.i0(np.array([30.0, -30.0])), total, rtol=1e-14)


def test_nextafter_in_float16():
    values = np.array([0.0, 1.0, -1.0, 6e-8, math.nan, 65504.0, math.inf, -0.0], "float16")
    for y in (math.inf, -math.inf, 1.0):
        received = ops.nextafter(values, np.full(8, y, "float16"))
        with np.errstate(over="ignore"):
            expected = np.nextafter(values, np.float16(y))
        np.testing.assert_array_equal(received, expected)


def test_copies_do_not_share_memory():
    x = ops.convert_to_tensor(np.ones(3))
    y = ops.copy(x)
    x.data[0] = 7
    assert y.tolist() == [1, 1, 1]


def test_numbers_stay_weak_and_lists_are_taken():
    half = np.ones(2, "float16")
    for function in (ops.fmax, ops.logaddexp2, ops.heaviside, ops.arctan2, ops.hypot):
        assert function(half, 2.5).dtype == function(2.5, half).dtype == "float16"
    assert ops.logaddexp2([1.0, 2.0], [1, 2]).tolist() == [2, 3]
    assert ops.gcd(12, 18).tolist() == 6
    assert bool(ops.allclose(1.0, 1.0 + 1e-9)) and not bool(ops.isclose(1, 2))


def symbol(*shape, dtype="float32"):
    return SymbolicTensor(shape, dtype)


OPERATORS = {
    "floordiv": (lambda x: x // 2, lambda v: v // 2),
    "rfloordiv": (lambda x: 7 // x, lambda v: 7 // v),
    "mod": (lambda x: x % 4, lambda v: v % 4),
    "rmod": (lambda x: 7 % x, lambda v: 7 % v),
    "pow": (lambda x: x**2, lambda v: v**2),
    "rpow": (lambda x: 2**x, lambda v: 2**v),
    "and": (lambda x: x & 6, lambda v: v & 6),
    "rand": (lambda x: 6 & x, lambda v: 6 & v),
    "or": (lambda x: x | 8, lambda v: v | 8),
    "xor": (lambda x: x ^ 5, lambda v: v ^ 5),
    "invert": (lambda x: ~x, lambda v: ~v),
    "lshift": (lambda x: x << 2, lambda v: v << 2),
    "rlshift": (lambda x: 1 << x, lambda v: 1 << v),
    "rshift": (lambda x: x >> 1, lambda v: v >> 1),
    "abs": (lambda x: abs(x - 4), lambda v: abs(v - 4)),
    "round": (lambda x: round(x, -1), lambda v: round(v, -1)),
    "neg": (lambda x: +(-x), lambda v: -v),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_integers(name):
    function, oracle = OPERATORS[name]
    values = [1, 2, 3, 5, 6, 15]
    y = function(ops.convert_to_tensor(values))
    assert y.tolist() == [oracle(v) for v in values]
    x = function(symbol(None, dtype="int32"))
    assert (x.shape, x.dtype) == ((None,), y.dtype)


def test_operators_of_bool_and_floats():
    x, y = ops.convert_to_tensor([True, True, False]), ops.convert_to_tensor([True, False, False])
    assert [(x & y).tolist(), (x | y).tolist()] == [[True, False, False], [True, True, False]]
    assert [(x ^ y).tolist(), (~x).tolist()] == [[False, True, False], [False, False, True]]
    floats = ops.convert_to_tensor([0.0, 2.5])
    assert (floats & True).tolist() == [False, True] and (~floats).tolist() == [True, False]
    assert round(floats).tolist() == [0, 2] and round(ops.convert_to_tensor(1.26), 1) == 1.3
    assert len(floats) == 2 and [float(v) for v in floats] == [0, 2.5]
    with pytest.raises(TypeError, match="is symbolic"):
        iter(symbol(None, 2))


def test_bincount_and_histogram():
    rows = ops.bincount([[1, 2], [2, 2]], weights=[[0.5, 1.0], [1.0, 1.0]])
    assert rows.tolist() == [[0, 0.5, 1], [0, 0, 2]]
    assert ops.bincount(np.zeros(0, "int32")).shape == (0,)
    assert ops.bincount(symbol(None, 3, dtype="int32")).shape == (None, None)
    counts, edges = ops.histogram([1.0, 2.0, 2.5, 4.0, 9.0], bins=3, range=(1, 4))
    assert (counts.tolist(), edges.tolist()) == ([1, 2, 1], [1, 2, 3, 4])


def ones(*shape):
    return np.ones(shape, "float32")


ERRORS = [
    (lambda: ops.bitwise_and(ones(2), 1), DTypeError, "bitwise_and: works on integers and bool"),
    (lambda: ops.left_shift(ones(2), 1), DTypeError, "left_shift: works on integers, received"),
    (lambda: ops.gcd(symbol(2), 1), DTypeError, "gcd: works on integers, received dtype float32"),
    (lambda: ops.bitwise_not(ones(2)), DTypeError, "bitwise_not: works on integers and bool"),
    (lambda: ops.ldexp(1.0, 0.5), DTypeError, "ldexp: the exponents x2 must be integers"),
    (lambda: ops.diff(ones(2), n=-1), ValueError, "diff: n must not be negative, received -1"),
    (lambda: ops.diff(ones(2), axis=1), ShapeError, "diff: axis 1 does not exist"),
    (lambda: ops.trapezoid(ones(2), axis=1), ShapeError, "trapezoid: axis 1 does not exist"),
    (lambda: ops.cumprod(ones(2), axis=1), ShapeError, "cumprod: axis 1 does not exist"),
    (lambda: ops.correlate(ones(2), ones(2), "all"), ValueError, "Unknown mode of correlate"),
    (lambda: ops.correlate(ones(2, 2), ones(2)), ShapeError, r"must be sequences .*x1 \(2, 2\)"),
    (lambda: ops.hanning([1, 2]), TypeError, "only length-1|scalar|int"),
    (lambda: ops.hanning(np.ones(2)), ShapeError, "hanning: the number of points must be one"),
    (lambda: ops.bincount([1], sparse=True), NotImplementedError, "there are no sparse tensors"),
    (lambda: ops.bincount([1.0]), DTypeError, "bincount: x must hold integers, received dtype"),
    (lambda: ops.bincount(1), ShapeError, r"bincount: x must be integers \(n,\) or rows"),
    (lambda: ops.bincount([1, -2]), ValueError, "bincount: x must not be negative, received -2"),
    (lambda: ops.histogram(ones(3), 0), TypeError, "histogram: bins must be a positive integer"),
    (lambda: ops.histogram(ones(3, 2)), ShapeError, "histogram: x must have one axis"),
    (lambda: ops.histogram(ones(3), range=(2, 1)), ValueError, "ends before it begins"),
    (lambda: ops.average(ones(2, 3), weights=ones(3)), ShapeError, "average: weights need the"),
    (lambda: ops.average(ones(2, 3), 0, ones(2, 2)), ShapeError, "average: weights need the"),
    (lambda: ops.quantile(ones(3), 1.5), ValueError, "quantile: q must lie between 0 and 1"),
    (
        lambda: ops.percentile(ones(3), [101]),
        ValueError,
        "percentile: q must lie between 0 and 100",
    ),
    (lambda: ops.quantile(ones(3), [[0.5]]), ShapeError, "quantile: q must be a number or several"),
    (lambda: ops.quantile(ones(3), 0.5, method="low"), ValueError, "Unknown method of quantiles"),
    (lambda: ops.max(ones(3), axis=1, initial=0), ShapeError, "max: axis 1 does not exist"),
]


@pytest.mark.parametrize("number", range(len(ERRORS)))
def test_errors(number):
    call, kind, message = ERRORS[number]
    with pytest.raises(kind, match=message):
        call()
