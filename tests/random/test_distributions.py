"""truncated_normal, gamma, beta, binomial, randint, shuffle: moments, distribution, streams."""

import math

import numpy as np
import pytest

import gpunn
from gpunn import random

N = 20_000
KS = 1.95 / math.sqrt(N)  # Kolmogorov and Smirnov's distance, exceeded once in a thousand times


def distance(y, cdf):
    """The largest distance of the samples' distribution function from the given one."""
    y = np.sort(y)
    expected = np.array([cdf(float(v)) for v in y])
    steps = np.arange(len(y) + 1) / len(y)
    return max((steps[1:] - expected).max(), (expected - steps[:-1]).max())


def integral(density, low, high, n=4000):
    """The distribution function of a density: a table by the midpoint rule, read linearly."""
    at = np.linspace(low, high, n + 1)
    middle = (at[1:] + at[:-1]) / 2
    total = np.concatenate([[0], np.cumsum([density(float(m)) for m in middle])]) * (high - low) / n
    return lambda v: np.interp(v, at, total)


def phi(v):
    return (1 + math.erf(v / math.sqrt(2))) / 2


def test_truncated_normal():
    y = random.truncated_normal((N,), 3.0, 0.5, seed=1).numpy()
    assert y.min() >= 2 and y.max() <= 4
    inside = phi(2) - phi(-2)
    assert distance(y, lambda v: (phi((v - 3) / 0.5) - phi(-2)) / inside) < KS


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.5])
def test_gamma(alpha):
    y = random.gamma((N,), alpha, seed=2).numpy()
    assert y.mean() == pytest.approx(alpha, abs=4 * math.sqrt(alpha / N))
    # with t = y^alpha the density has no pole at 0
    density = lambda t: math.exp(-(t ** (1 / alpha))) / math.gamma(alpha + 1)
    cdf = integral(density, 0.0, 40.0**alpha)
    if alpha < 2:  # the table is fine enough
        assert distance(y.astype("float64") ** alpha, cdf) < KS
    assert y.var() == pytest.approx(alpha, rel=4 * math.sqrt((2 + 6 / alpha) / N))


@pytest.mark.parametrize(("a", "b"), [(2.0, 5.0), (1.0, 1.0), (3.0, 1.5)])
def test_beta(a, b):
    y = random.beta((N,), a, b, seed=3).numpy()
    scale = math.gamma(a + b) / math.gamma(a) / math.gamma(b)
    cdf = integral(lambda v: scale * v ** (a - 1) * (1 - v) ** (b - 1), 0.0, 1.0)
    assert distance(y, cdf) < KS


@pytest.mark.parametrize(
    ("n", "p"), [(1, 0.3), (16, 0.9), (20, 0.5), (40, 0.5), (60, 0.7), (500, 0.01)]
)
def test_binomial(n, p):
    """χ² of the counts, whose bounds come from the 3.1-fold of its standard deviation."""
    y = random.binomial((N,), n, p, seed=4).numpy()
    assert y.dtype == np.float32 and (y == np.round(y)).all() and y.min() >= 0 and y.max() <= n
    found = np.bincount(y.astype(int), minlength=n + 1)
    wanted = np.array([N * math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])
    often = wanted > 10
    df = often.sum() - 1
    chi2 = ((found - wanted)[often] ** 2 / wanted[often]).sum()
    assert chi2 < df + 3.1 * math.sqrt(2 * df) + 5
    assert found[~often].sum() < 2 * wanted[~often].sum() + 20


@pytest.mark.parametrize(("n", "p"), [(10_000, 0.3), (10**7, 0.9)])
def test_binomial_of_many(n, p):
    y = random.binomial((N,), n, p, "float64", seed=5).numpy()
    z = (y - n * p) / math.sqrt(n * p * (1 - p))
    assert distance(z, phi) < KS + 1 / math.sqrt(2 * math.pi * n * p * (1 - p))


def test_parameters_broadcast():
    y = random.binomial((2, 3), [[50.0], [3.0]], np.array([0.0, 1.0, 0.5]), seed=1).numpy()
    assert y[:, 0].tolist() == [0, 0] and y[:, 1].tolist() == [50, 3] and 10 < y[0, 2] < 40
    y = random.gamma((2, 1000), np.array([[1.0], [100.0]]), seed=1).numpy()
    np.testing.assert_allclose(y.mean(axis=1), [1, 100], rtol=0.15)
    y = random.beta((2, 1000), [[1.0], [9.0]], 1.0, seed=1).numpy()
    np.testing.assert_allclose(y.mean(axis=1), [0.5, 0.9], atol=0.05)


def test_shuffle():
    x = np.arange(24).reshape(2, 3, 4)
    y = random.shuffle(x, axis=1, seed=7).numpy()
    order = y[0, :, 0] // 4
    assert sorted(order.tolist()) == [0, 1, 2]
    np.testing.assert_array_equal(y, x[:, order])  # whole parts move
    orders = [tuple(random.shuffle(np.arange(3), seed=s).numpy().tolist()) for s in range(300)]
    counts = [orders.count(o) for o in sorted(set(orders))]
    assert len(counts) == 6 and sum((c - 50) ** 2 / 50 for c in counts) < 20.5  # 5 degrees
    with pytest.raises(gpunn.errors.ShapeError, match="shuffle"):
        random.shuffle(x, axis=3)


DRAWS = {
    "randint": lambda seed: random.randint((40, 3), -5, 1000, seed=seed),
    "truncated_normal": lambda seed: random.truncated_normal((40, 3), seed=seed),
    "gamma": lambda seed: random.gamma((40, 3), 0.7, seed=seed),
    "beta": lambda seed: random.beta((40, 3), 2.0, 0.5, seed=seed),
    "binomial": lambda seed: random.binomial((40, 3), [5.0, 50.0, 5000.0], 0.3, seed=seed),
    "shuffle": lambda seed: random.shuffle(np.arange(100), seed=seed),
}


@pytest.mark.parametrize("name", DRAWS)
def test_seeds(name):
    draw = lambda seed: DRAWS[name](seed).numpy().tolist()
    assert draw(3) == draw(3) != draw(4)
    generator = random.SeedGenerator(3)
    assert draw(generator) == draw(3) != draw(generator)


@pytest.mark.parametrize("name", DRAWS)
def test_the_same_numbers_on_the_gpu(name, simulated_gpu):
    cpu = DRAWS[name](3).numpy()
    with gpunn.device("gpu:0"):
        y = DRAWS[name](3)
        assert name == "shuffle" or "gpu" in str(y.device)
    np.testing.assert_allclose(y.numpy(), cpu, rtol=1e-5)


@pytest.mark.parametrize("name", DRAWS)
def test_recorded(name):
    """A replayed step draws what an eager one would."""
    own = {
        "binomial": lambda seed: random.binomial((4,), 50, 0.3, seed=seed),
        "shuffle": lambda seed: random.shuffle(gpunn.ops.arange(10), seed=seed),
    }  # without arrays, which each step would copy anew
    draw = own.get(name, DRAWS[name])
    recorded, eager = random.SeedGenerator(9), random.SeedGenerator(9)
    step = gpunn.function(lambda x: x + gpunn.ops.cast(draw(recorded), "float32"))
    x = gpunn.ops.zeros(draw(0).shape)
    found = [step(x).numpy() for _ in range(5)]
    wanted = [draw(eager).numpy() for _ in range(5)]
    np.testing.assert_array_equal(found, np.asarray(wanted, "float32"))
    assert len({w.tobytes() for w in wanted}) == 5
    (recording,) = step.recordings.steps.values()
    assert recording.program is not None, recording.problem


@pytest.mark.parametrize("name", ["uniform", "normal", "truncated_normal", "gamma", "beta"])
def test_dtypes(name):
    arguments = {"gamma": (2.0,), "beta": (2.0, 3.0)}.get(name, ())
    draw = getattr(random, name)
    for dtype in ("float16", "float32", "float64"):
        assert draw((3,), *arguments, dtype=dtype, seed=1).dtype == dtype
    assert draw((3,), *arguments, seed=1).dtype == "float32"
    if name != "uniform":
        with pytest.raises(
            ValueError, match=f"random.{name}: dtype must be a float, received 'int32'"
        ):
            draw((3,), *arguments, dtype="int32")


def test_integers():
    assert random.uniform((50,), 3, 6, dtype="int32", seed=1).dtype == "int32"
    assert set(random.uniform((99,), 3, 6, dtype="int32", seed=1).numpy().tolist()) == {3, 4, 5}
    assert random.randint((3,), 0, 200, "uint8", seed=1).dtype == "uint8"
    with pytest.raises(
        ValueError, match="no integers from minval=3 to maxval - 1, received maxval=3"
    ):
        random.randint((2,), 3, 3)
    with pytest.raises(ValueError, match="dtype must be an integer, received 'float32'"):
        random.randint((2,), 0, 3, dtype="float32")
