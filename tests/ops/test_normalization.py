"""Normalization beyond the op suite: many parts, numbers far from zero, symbols, messages."""

import numpy as np
import pytest

import gpunn
from gpunn import GradientTape, config, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import ShapeError
from gpunn.ops import normalization
from gpunn.ops.normalization_statistics import part_count, together

RNG = np.random.default_rng(5)


def gradients(call, arrays, dy):
    inputs = [ops.convert_to_tensor(a) for a in arrays]
    with GradientTape() as tape:
        tape.watch(inputs)
        y = call(*inputs)
    return y.numpy(), [g.numpy() for g in tape.gradient(y, inputs, output_gradients=dy)]


def by_chain_rule(x, gamma, dy, axis, epsilon):
    """(dx, dγ, dβ) of (x - μ) / √(σ² + ε) · γ + β, by way of dμ and dσ², over an axis."""
    n = x.shape[axis]
    centered = x - x.mean(axis, keepdims=True)
    root = np.sqrt((centered**2).mean(axis, keepdims=True) + epsilon)
    g = dy * gamma
    dvariance = -0.5 * (g * centered).sum(axis, keepdims=True) / root**3
    dmean = -(g / root).sum(axis, keepdims=True)
    dx = g / root + 2 * dvariance * centered / n + dmean / n
    return dx, (dy * centered / root).sum(0), dy.sum(0)


@pytest.mark.parametrize("shape", [(5000, 40), (2999, 3), (70000, 1), (40, 3000), (1, 5)])
@pytest.mark.parametrize("axis", [0, 1])
def test_many_parts(shape, axis):
    """Shapes of one and of several parts, and of rows that are taken together or cannot be."""
    x, dy = RNG.normal(3, 2, shape), RNG.standard_normal(shape)
    gamma, beta = RNG.uniform(0.5, 2, (2, shape[1]))
    call = {
        0: lambda x, g, b: normalization.normalize_batch(x, 1, g, b, 1e-2)[0],
        1: lambda x, g, b: ops.layer_normalization(x, g, b, epsilon=1e-2),
    }[axis]
    y, found = gradients(call, (x, gamma, beta), dy)
    root = np.sqrt(x.var(axis, keepdims=True) + 1e-2)
    expected = (x - x.mean(axis, keepdims=True)) / root * gamma + beta
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-10)
    for mine, other in zip(found, by_chain_rule(x, gamma, dy, axis, 1e-2), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-7, atol=1e-8)


def test_rows_are_taken_together():
    assert together(5000, 40) == 25
    assert together(2999, 3) == 1  # a prime
    assert together(70000, 1) == 1000
    assert together(0, 5) == together(7, 0) == 1
    assert part_count(5000, 1000) > 1


def test_moments_far_from_zero():
    x = (RNG.standard_normal((20000, 6)) + 3000).astype("float32")
    mean, variance = ops.moments(x, 0)
    np.testing.assert_allclose(mean.numpy(), x.astype("float64").mean(0), rtol=2e-7)
    np.testing.assert_allclose(variance.numpy(), x.astype("float64").var(0), rtol=1e-4)


def test_moments_of_integers_and_of_nothing_reduced():
    mean, variance = ops.moments(np.array([[1, 2], [3, 6]], "int32"), [0, 1], keepdims=True)
    assert mean.dtype == variance.dtype == "float32"
    assert (mean.numpy(), variance.numpy()) == ([[3.0]], [[3.5]])
    mean, variance = ops.moments(np.ones((2, 3), "float32"), [])
    np.testing.assert_array_equal(mean.numpy(), np.ones((2, 3)))
    np.testing.assert_array_equal(variance.numpy(), np.zeros((2, 3)))


def test_the_result_is_the_same_each_time():
    x, dy = RNG.standard_normal((2, 6000, 24)).astype("float32")
    ones = np.ones(24, "float32")
    runs = [
        gradients(
            lambda *a: normalization.normalize_batch(a[0], 1, *a[1:], 1e-3)[0], (x, ones, ones), dy
        )
        for _ in range(2)
    ]
    for first, second in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_default_epsilon_is_that_of_the_settings():
    x = np.zeros((1, 4), "float32") + np.float32([0, 0, 1, 1])
    config.set_epsilon(0.75)
    np.testing.assert_allclose(ops.layer_normalization(x).numpy(), [[-0.5, -0.5, 0.5, 0.5]])
    config.set_epsilon(0.5)
    np.testing.assert_allclose(ops.rms_normalization(x).numpy(), [[0, 0, 1, 1]])


def test_unknown_lengths():
    x = SymbolicTensor((None, None, 6), "float32")
    vector = np.ones(6, "float32")
    for y in (
        ops.layer_normalization(x, vector),
        ops.rms_normalization(x),
        ops.batch_normalization(x, vector, vector, -1),
        normalization.normalize_batch(x, 2, None, None, 1e-3)[0],
        normalization.group_normalization(x, 3, 2, vector, None, 1e-3),
    ):
        assert (y.shape, y.dtype) == ((None, None, 6), "float32")
    mean, variance = ops.moments(x, [0], keepdims=True)
    assert mean.shape == variance.shape == (1, None, 6)


def test_averages_move_in_place():
    average = gpunn.Variable([1.0, 2.0])
    normalization.update_average(average, ops.convert_to_tensor([3.0, 0.0]), 0.75)
    np.testing.assert_allclose(average.numpy(), [1.5, 1.5])
    normalization.update_average(average, SymbolicTensor((2,)), 0.75)
    np.testing.assert_allclose(average.numpy(), [1.5, 1.5])


X = np.ones((2, 3, 4), "float32")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.moments(X, 3), r"moments: axis 3 does not exist in 3 dim"),
        (lambda: ops.moments(X, 0, synchronized=True), "synchronized=True needs training on sev"),
        (
            lambda: ops.batch_normalization(X, np.ones(3), np.ones(4), -1),
            r"one element for each of 4 channels, received shapes \[\(3,\), \(4,\)\]. Check `axis`",
        ),
        (lambda: ops.batch_normalization(X, np.ones(4), np.ones(4), 5), "axis 5 does not exist"),
        (
            lambda: ops.layer_normalization(X, np.ones(3)),
            r"gamma needs one element for each place of the axes \(2,\) \(gamma \(3,\), x "
            r"\(2, 3, 4\)\). Give it shape \(4,\)",
        ),
        (lambda: ops.layer_normalization(X, None, np.ones(3)), "beta needs one element"),
        (lambda: ops.rms_normalization(X, np.ones(3)), "rms_normalization: scale needs one"),
        (lambda: ops.layer_normalization(X, axis=(1, 1)), "an axis is named twice"),
        (
            lambda: ops.layer_normalization(X, None, np.ones(4), rms_scaling=True),
            "rms_scaling=True has no beta",
        ),
        (
            lambda: ops.layer_normalization(SymbolicTensor((2, None)), axis=-1),
            r"the normalized axes \(1,\) must be known \(x \(2, None\)\)",
        ),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "synchronized" in message or "rms_scaling" in message or caught.type is ShapeError
