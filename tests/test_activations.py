"""Activations against Keras, their derivatives against differences, and their names."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from gpunn import activations, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tape import grad
from gpunn.errors import ShapeError

GRID = np.array(
    [-1e4, -100, -20, -9, -6, -3.5, -3, -2, -1, -0.5, -0.1, -1e-4, 0, 1e-4, 0.1, 0.5, 1, 2, 3, 3.5,
     6, 9, 20, 100, 1e4],
    np.float32,
)  # fmt: skip
# None of these is a kink of a function below.
SMOOTH = np.array([[-7.3, -3.4, -2.6], [-1.7, -0.8, -0.3], [0.2, 0.7, 1.4], [2.3, 3.6, 8.2]])

ELEMENTWISE = (
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid",
    "silu", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus",
    "swish", "tanh", "tanh_shrink",
)  # fmt: skip
ALONG_AN_AXIS = ("glu", "log_softmax", "softmax", "sparsemax")
CASES: list[tuple[str, dict]] = [(name, {}) for name in ELEMENTWISE] + [
    ("threshold", {"threshold": 0.45, "default_value": -2}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 6}),
    ("relu", {"max_value": 2.5}),
    ("relu", {"threshold": 0.45}),
    ("relu", {"threshold": -0.45}),
    ("relu", {"negative_slope": 0.1, "max_value": 5, "threshold": 1.1}),
    ("relu", {"negative_slope": 0.3, "max_value": 5}),
    ("gelu", {"approximate": True}),
    ("elu", {"alpha": 0.5}),
    ("celu", {"alpha": 0.5}),
    ("squareplus", {"b": 1}),
    ("leaky_relu", {"negative_slope": 0.5}),
    ("hard_shrink", {"threshold": 1.1}),
    ("soft_shrink", {"threshold": 1.1}),
]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


def compare(name, options, x, keras):
    y = getattr(activations, name)(x, **options)
    expected = np.asarray(getattr(keras.activations, name)(x, **options))
    assert np.asarray(y).dtype == np.float32
    np.testing.assert_allclose(np.asarray(y), expected, rtol=2e-6, atol=6e-7)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_values_are_those_of_keras(name, options, keras):
    x = GRID[GRID < 50] if name == "exponential" else GRID
    compare(name, options, x, keras)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES} - {"threshold"}))
def test_nan_stays_nan(name):
    assert np.isnan(np.asarray(getattr(activations, name)(np.float32([np.nan])))).all()


# Not sparsemax: Keras 3.15 adds up several partial sums for τ, so that its y does not sum to 1.
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("name", ["glu", "log_softmax", "softmax"])
def test_values_along_an_axis_are_those_of_keras(name, axis, keras):
    x = np.random.default_rng(0).normal(0, 2, (4, 6, 8)).astype(np.float32)
    compare(name, {"axis": axis}, x, keras)


@pytest.mark.parametrize("name", ["glu", "log_softmax", "softmax"])
def test_extremes_along_an_axis_are_those_of_keras(name, keras):
    x = np.stack([GRID[:24], GRID[1:], np.full(24, 1e4, np.float32)])
    compare(name, {}, x, keras)


@pytest.mark.parametrize("axis", [(1, 2), (-1, 0), [0, 1, 2]])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_over_several_axes(name, axis):
    x = np.random.default_rng(1).normal(0, 30, (3, 4, 5))
    y = np.asarray(getattr(activations, name)(x, axis=axis))
    e = np.exp(x - x.max(tuple(axis), keepdims=True))
    p = e / e.sum(tuple(axis), keepdims=True)
    np.testing.assert_allclose(
        np.exp(y) if name == "log_softmax" else y, p, rtol=1e-10, atol=1e-300
    )


def by_differences(function, x, weights, h=1e-6):
    """The derivative of Σ weights · f(x), element by element."""
    slope = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        slope[i] = (weights * (np.asarray(function(up)) - np.asarray(function(down)))).sum() / (
            2 * h
        )
    return slope


@pytest.mark.parametrize(
    ("name", "options"),
    CASES
    + [(name, {"axis": axis}) for name in ALONG_AN_AXIS for axis in (0, -1)]
    + [("softmax", {"axis": (0, 1)}), ("log_softmax", {"axis": (0, 1)})],
)
def test_derivatives_are_those_of_differences(name, options):
    x = SMOOTH[:, :2] if name == "glu" else SMOOTH

    def function(x):
        return getattr(activations, name)(x, **options)

    weights = np.random.default_rng(2).normal(size=np.asarray(function(x)).shape)
    found = grad(lambda x: ops.sum(ops.multiply(function(x), weights)))(x)
    np.testing.assert_allclose(
        found.numpy(), by_differences(function, x, weights), rtol=2e-6, atol=2e-8
    )


@pytest.mark.parametrize(("name", "options"), [c for c in CASES if c[0] != "exponential"])
def test_slopes_far_out_are_those_of_the_asymptotes(name, options):
    """Between ±1e4 and ±2e4 every function is a line, but for terms below 1e-3."""

    def slope(a, b):
        y = np.asarray(getattr(activations, name)(np.array([a, b]), **options))
        return (y[1] - y[0]) / (b - a)

    x = np.float32([-1e4, 1e4])
    found = grad(lambda x: ops.sum(getattr(activations, name)(x, **options)))(x).numpy()
    np.testing.assert_allclose(found, [slope(-2e4, -1e4), slope(1e4, 2e4)], atol=1e-6)


def test_sparsemax_is_the_projection_onto_the_simplex():
    """By bisection for τ; with -inf (a masked logit), ties and large numbers."""
    rng = np.random.default_rng(3)
    rows = [rng.normal(0, 0.3, (20, 7)), np.full((1, 7), 1e4), rng.normal(0, 5, (3, 7))]
    x = np.concatenate(rows)
    x[0, 2] = -np.inf
    low, high = x.max(-1, keepdims=True) - 1, x.max(-1, keepdims=True)
    for _ in range(60):
        tau = (low + high) / 2
        too_low = np.maximum(x - tau, 0).sum(-1, keepdims=True) > 1
        low, high = np.where(too_low, tau, low), np.where(too_low, high, tau)
    y = np.asarray(activations.sparsemax(x))
    np.testing.assert_allclose(y, np.maximum(x - low, 0), atol=1e-11)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-12)
    assert (y == 0).any()


def test_sparsemax_on_the_simulated_gpu(simulated_gpu):
    x = np.random.default_rng(4).normal(0, 2, (3, 70, 5)).astype(np.float32)
    weights = np.random.default_rng(5).normal(size=x.shape).astype(np.float32)
    with_gradient = grad(lambda x, w: ops.sum(ops.multiply(activations.sparsemax(x, axis=1), w)))
    expected = activations.sparsemax(x, axis=1).numpy(), with_gradient(x, weights).numpy()
    from gpunn.backend.devices import device

    with device("gpu:0"):
        on_gpu = activations.sparsemax(ops.convert_to_tensor(x), axis=1)
        gradient = with_gradient(ops.convert_to_tensor(x), ops.convert_to_tensor(weights))
    assert on_gpu.device == "gpu:0"
    np.testing.assert_allclose(on_gpu.numpy(), expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient.numpy(), expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"), [*CASES, ("softmax", {"axis": (1, 2)}), ("sparsemax", {})]
)
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_dtype_and_symbolic_shape(name, options, dtype):
    function = getattr(activations, name)
    assert function(ops.convert_to_tensor(SMOOTH.reshape(2, 3, 2), dtype), **options).dtype == dtype
    y = function(SymbolicTensor((None, 3, 2), dtype), **options)
    assert (y.shape, y.dtype) == ((None, 3, 2), dtype)


def test_glu_halves_the_axis():
    assert activations.glu(SymbolicTensor((None, 5, 8), "float32")).shape == (None, 5, 4)
    assert activations.glu(np.ones((4, 3), np.float32), axis=0).shape == (2, 3)


def test_numbers_and_lists_are_taken():
    np.testing.assert_array_equal(activations.relu([-1, 2.0]).numpy(), np.float32([0, 2]))
    assert activations.sigmoid([0]).numpy() == 0.5
    assert activations.linear("anything") == "anything"


# --- by name -------------------------------------------------------------------------------------


def test_the_module_has_what_keras_has(keras):
    names = {n for n in dir(keras.activations) if not n.startswith("_")}
    assert names <= set(dir(activations))
    for name in names - {"serialize"}:
        theirs = inspect.signature(getattr(keras.activations, name))
        ours = inspect.signature(getattr(activations, name))
        assert list(ours.parameters) == list(theirs.parameters), name
        for parameter in theirs.parameters.values():
            assert ours.parameters[parameter.name].default == parameter.default, name


@pytest.mark.parametrize("name", [*ELEMENTWISE, *ALONG_AN_AXIS, "threshold"])
def test_get_returns_the_function_and_serialize_its_name(name):
    function = getattr(activations, name)
    assert activations.get(name) is function
    assert activations.get(function) is function
    assert activations.deserialize(activations.serialize(function)) is function


def test_get_takes_none_and_callables():
    assert activations.get(None) is activations.linear
    assert activations.get(abs) is abs
    assert activations.serialize(activations.swish) == "silu"


def test_own_functions_come_back_by_custom_objects():
    def cube(x):
        return x**3

    assert activations.serialize(cube) == "cube"
    assert activations.deserialize("cube", {"cube": cube}) is cube
    with pytest.raises(ValueError, match="Unknown activation: 'cube'"):
        activations.deserialize("cube")


def test_functions_that_cannot_be_found_again_are_not_serialized():
    def relu(x):
        return x

    for function in (relu, lambda x: x):
        with pytest.raises(
            ValueError, match=r"cannot be found again by this name\. Define it with"
        ):
            activations.serialize(function)


def test_errors():
    with pytest.raises(ValueError, match=r"Unknown activation: 'rleu'\. Did you mean 'relu'\?"):
        activations.get("rleu")
    with pytest.raises(ValueError, match="Cannot interpret 3 as activation"):
        activations.get(3)
    with pytest.raises(ValueError, match="relu: max_value must not be negative, received -1"):
        activations.relu([1.0], max_value=-1)
    with pytest.raises(
        ShapeError, match=r"glu: x must have an even length along axis -1 \(x \(2, 3\)"
    ):
        activations.glu(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="glu: axis 2 does not exist in 2 dimension"):
        activations.glu(np.ones((2, 3)), axis=2)
    with pytest.raises(ShapeError, match="sparsemax: axis -3 does not exist in 2 dimension"):
        activations.sparsemax(np.ones((2, 3)), axis=-3)
    with pytest.raises(ShapeError, match="softmax: axis 4 does not exist"):
        activations.softmax(np.ones((2, 3)), axis=4)
