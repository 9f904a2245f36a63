"""random.categorical: its distribution, its streams, both backends."""

import numpy as np
import pytest

import gpunn
from gpunn import random
from gpunn.errors import ShapeError

LOGITS = np.array([[0.0, 1.0, -1.0, 2.5], [3.0, 3.0, 3.0, 3.0], [-np.inf, 0, -np.inf, 1]])
CHI2 = 16.3  # of three degrees of freedom, exceeded once in a thousand times


def test_distribution():
    n = 20_000
    y = random.categorical(LOGITS, n, seed=7)
    assert y.dtype == "int32" and y.shape == (3, n)
    for row, logits in zip(y.numpy(), LOGITS, strict=True):
        p = np.exp(logits) / np.exp(logits).sum()
        counts = np.bincount(row, minlength=4)
        possible = p > 0
        assert not counts[~possible].any()
        chi2 = ((counts - n * p)[possible] ** 2 / (n * p)[possible]).sum()
        assert chi2 < CHI2


def test_rows_and_samples_are_independent():
    """χ² of the pairs (draw, next draw) and of (row, row)."""
    y = random.categorical(np.zeros((2, 3)), 9001, seed=3).numpy()
    for a, b in ((y[0, :-1], y[0, 1:]), (y[0, 1:], y[1, 1:])):
        counts = np.bincount(a * 3 + b, minlength=9)
        assert ((counts - 1000) ** 2 / 1000).sum() < 26.1  # eight degrees: once in a thousand


def test_many_classes_and_large_logits():
    logits = np.full((2, 5000), -1e30, "float32")
    logits[0, 4999], logits[1, 1234] = 1e30, 88.0
    y = random.categorical(logits, 50, seed=1).numpy()
    assert (y[0] == 4999).all() and (y[1] == 1234).all()
    wide = random.categorical(np.zeros((1, 5000)), 4000, seed=1).numpy()
    assert abs(wide.mean() - 2499.5) < 5 * 5000 / np.sqrt(12 * 4000) and wide.max() < 5000


def test_seeds_and_dtypes():
    draw = lambda seed, **o: random.categorical(LOGITS, 40, seed=seed, **o).numpy().tolist()
    assert draw(3) == draw(3) != draw(4)
    generator = random.SeedGenerator(3)
    first = draw(generator)
    assert first == draw(3) and draw(generator) != first
    assert random.categorical(LOGITS, 2, "int64", seed=1).dtype == "int64"
    for dtype in ("float16", "float32", "float64", "int32"):
        logits = np.zeros((1, 3), dtype)
        assert set(random.categorical(logits, 200, seed=1).numpy()[0].tolist()) == {0, 1, 2}
    assert random.categorical(LOGITS, 0).shape == (3, 0)


def test_the_same_draws_on_the_gpu(simulated_gpu):
    rng = np.random.default_rng(0)
    for shape, n in (((7, 65), 30), ((1, 3), 500), ((40, 1), 2)):
        logits = rng.normal(size=shape).astype("float32") * 3
        cpu = random.categorical(logits, n, seed=5).numpy()
        with gpunn.device("gpu:0"):
            y = random.categorical(gpunn.ops.convert_to_tensor(logits), n, seed=5)
            assert "gpu" in str(y.device)
            np.testing.assert_array_equal(y.numpy(), cpu)


def test_errors():
    for shape in ((4,), (2, 3, 4), (3, 0)):
        with pytest.raises(ShapeError, match=r"logits must be \(batch, classes\), received"):
            random.categorical(np.zeros(shape), 1)
    for wrong in (1.5, True, "3"):
        with pytest.raises(ValueError, match="num_samples must be an integer, received"):
            random.categorical(LOGITS, wrong)
    with pytest.raises(ValueError, match="num_samples must not be negative, received -1"):
        random.categorical(LOGITS, -1)
