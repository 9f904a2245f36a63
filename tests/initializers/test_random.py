"""Random initializers: their distributions against the formulas, seeds, configs, errors."""

from __future__ import annotations

from math import erf, pi, sqrt

import numpy as np
import pytest

from gpunn import initializers, seeding
from gpunn.errors import DTypeError, ShapeError
from gpunn.initializers.scaling import compute_fans
from gpunn.random import SeedGenerator

N = (400, 300)  # many numbers, with fans that differ
RANDOM = (
    "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform",
    "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
)  # fmt: skip


def values(initializer, shape=N, dtype="float32"):
    w = initializer(shape, dtype)
    assert (w.shape, w.dtype) == (shape, dtype)
    return w.numpy().astype(np.float64)


def normal_cdf(x):
    return 0.5 * (1 + np.vectorize(erf)(x / sqrt(2)))


def distance(sample, cdf):
    """Kolmogorov and Smirnov's: the largest distance of the empirical distribution from `cdf`."""
    x = np.sort(sample.ravel())
    steps = np.arange(x.size + 1) / x.size
    expected = cdf(x)
    return max(np.abs(expected - steps[:-1]).max(), np.abs(expected - steps[1:]).max())


CRITICAL = 1.95 / sqrt(np.prod(N))  # a true distribution exceeds it once in a thousand


# --- distributions -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_normal(dtype):
    w = values(initializers.RandomNormal(2.0, 0.5, seed=1), dtype=dtype)
    assert distance(w, lambda x: normal_cdf((x - 2) / 0.5)) < CRITICAL
    assert w.std() == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_uniform(dtype):
    w = values(initializers.RandomUniform(-1.0, 3.0, seed=2), dtype=dtype)
    assert -1 <= w.min() < -0.999 and 2.999 < w.max() <= 3
    assert distance(w, lambda x: (x + 1) / 4) < CRITICAL


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truncated_normal(dtype):
    w = values(initializers.TruncatedNormal(1.0, 0.5, seed=3), dtype=dtype)
    assert 0 <= w.min() < 0.01 and 1.99 < w.max() <= 2
    low, high = normal_cdf(np.array([-2.0, 2.0]))
    assert distance(w, lambda x: (normal_cdf((x - 1) / 0.5) - low) / (high - low)) < CRITICAL


# fan in 400, fan out 300
@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("GlorotNormal", 2 / 700), ("GlorotUniform", 2 / 700), ("HeNormal", 2 / 400),
        ("HeUniform", 2 / 400), ("LecunNormal", 1 / 400), ("LecunUniform", 1 / 400),
    ],
)  # fmt: skip
def test_presets_have_their_variance_and_limits(name, variance):
    w = values(getattr(initializers, name)(seed=4))
    assert w.mean() == pytest.approx(0, abs=4 * sqrt(variance / w.size))
    assert w.var() == pytest.approx(variance, rel=0.02)
    if name.endswith("Uniform"):
        limit = sqrt(3 * variance)
        assert distance(w, lambda x: (x / limit + 1) / 2) < CRITICAL
    else:  # cut at two standard deviations of the normal distribution before the cut
        limit = 2 * sqrt(variance) / 0.8796256610342398
    assert 0.999 * limit < np.abs(w).max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
@pytest.mark.parametrize(("mode", "n"), [("fan_in", 400), ("fan_out", 300), ("fan_avg", 350)])
def test_variance_scaling(mode, n, distribution):
    w = values(initializers.VarianceScaling(3.0, mode, distribution, seed=5))
    assert w.var() == pytest.approx(3 / n, rel=0.02)
    cut = 2 * sqrt(3 / n) / 0.8796256610342398
    beyond_the_cut = (np.abs(w) > cut * (1 + 1e-6)).mean()
    if distribution == "untruncated_normal":
        assert beyond_the_cut == pytest.approx(1 - erf(2 / 0.8796256610342398 / sqrt(2)), rel=0.2)
    else:
        assert beyond_the_cut == 0


def test_the_truncated_deviation_is_the_integral():
    """Var z of z ~ N(0, 1) given |z| ≤ 2 is 1 - 2 · 2 φ(2) / (2 Φ(2) - 1)."""
    from gpunn.initializers.scaling import TRUNCATED_STDDEV

    density = np.exp(-2) / sqrt(2 * pi)
    assert sqrt(1 - 4 * density / erf(sqrt(2))) == pytest.approx(TRUNCATED_STDDEV, rel=1e-12)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((3, 5), (3, 5)),  # Dense
        ((4, 3, 5), (12, 20)),  # Conv1D
        ((3, 3, 8, 16), (72, 144)),  # Conv2D
        ((2, 3, 4, 5, 6), (120, 144)),  # Conv3D
    ],
)
def test_fans(shape, fans):
    assert compute_fans(shape) == fans
    # The limit of a uniform distribution shows which fan the initializer took.
    for mode, n in (("fan_in", fans[0]), ("fan_out", fans[1]), ("fan_avg", sum(fans) / 2)):
        scaled = initializers.VarianceScaling(1.0, mode, "uniform", seed=6)(
            shape, "float64"
        ).numpy()
        unit = initializers.RandomUniform(-1.0, 1.0, seed=6)(shape, "float64").numpy()
        np.testing.assert_allclose(scaled, unit * sqrt(3 / n), rtol=1e-12)


def test_fans_of_named_axes():
    """An einsum kernel (heads, inputs, width) with inputs on axis 1."""
    assert compute_fans((4, 32, 8), input_axes=[1], output_axes=[0, 2]) == (32, 32)
    w = values(initializers.HeNormal(1, input_axes=[1], output_axes=[0, 2]), (50, 40, 30))
    assert w.var() == pytest.approx(2 / 40, rel=0.02)


def test_empty_weights():
    assert values(initializers.GlorotUniform(1), (0, 3)).size == 0


@pytest.mark.parametrize("shape", [(6, 6), (8, 3), (3, 8), (2, 3, 4, 5), (2, 2, 3, 40)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal(shape, dtype):
    w = values(initializers.Orthogonal(gain=1.5, seed=7), shape, dtype).reshape(-1, shape[-1])
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(gram, 1.5**2 * np.eye(len(gram)), atol=tolerance)


def test_orthogonal_is_uniform():
    """Without its signs mended, the QR factorization would bias Q: E trace Q would not be 0."""
    traces = [np.trace(values(initializers.Orthogonal(seed=s), (3, 3))) for s in range(400)]
    assert np.mean(traces) == pytest.approx(0, abs=4 * np.std(traces) / sqrt(len(traces)))
    assert np.var(traces) == pytest.approx(1, rel=0.25)  # of a uniform orthogonal matrix


# --- seeds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RANDOM)
def test_same_seed_same_bits_other_seed_other_bits(name):
    cls = getattr(initializers, name)
    w = values(cls(seed=11), (5, 4))
    assert (values(cls(seed=11), (5, 4)) == w).all()
    assert (values(cls(seed=np.int64(11)), (5, 4)) == w).all()
    assert (values(cls(seed=12), (5, 4)) != w).any()


@pytest.mark.parametrize("name", RANDOM)
def test_an_unseeded_initializer_repeats_itself_and_no_other(name):
    first, second = getattr(initializers, name)(), getattr(initializers, name)()
    assert (values(first, (5, 4)) == values(first, (5, 4))).all()
    assert (values(first, (5, 4)) != values(second, (5, 4))).any()
    assert (values(first.clone(), (5, 4)) != values(first, (5, 4))).any()
    assert (values(initializers.get(name), (5, 4)) != values(initializers.get(name), (5, 4))).any()


def test_a_seed_generator_gives_others_at_each_call():
    initializer = initializers.RandomNormal(seed=SeedGenerator(3))
    first, second = values(initializer, (5,)), values(initializer, (5,))
    assert (first != second).all()
    again = initializers.RandomNormal(seed=SeedGenerator(3))
    assert (values(again, (5,)) == first).all() and (values(again, (5,)) == second).all()


def test_the_bits_do_not_change_between_releases():
    """NumPy keeps Philox' bits for ever, and Generator.random's in practice."""
    bits = np.random.Philox(key=[5, 0], counter=[0, 1 << 32, 0, 0])
    expected = np.random.Generator(bits).random(4, np.float64)
    w = initializers.RandomUniform(0.0, 1.0, seed=5)((4,), "float64").numpy()
    assert (w == expected).all()


def test_smaller_floats_are_rounded_from_float32():
    wide = initializers.RandomNormal(seed=1)((50,), "float32").numpy()
    half = initializers.RandomNormal(seed=1)((50,), "float16").numpy()
    assert (half == wide.astype(np.float16)).all()


def test_the_same_bits_on_the_simulated_gpu(simulated_gpu):
    from gpunn.backend.devices import device

    expected = initializers.GlorotNormal(9)((3, 4)).numpy()
    with device("gpu:0"):
        w = initializers.GlorotNormal(9)((3, 4))
    assert w.device == "gpu:0"
    assert (w.numpy() == expected).all()


def test_the_global_sequence():
    def draw():
        return [seeding.next_seed() for _ in range(5)]

    seeding.set_seed(1)
    first = draw()
    unseeded = values(initializers.GlorotUniform(), (3, 3))
    seeding.set_seed(1)
    assert draw() == first and len(set(first)) == 5
    assert (values(initializers.GlorotUniform(), (3, 3)) == unseeded).all()
    assert all(isinstance(s, int) and 0 <= s < 2**32 for s in first)
    seeding.set_seed(2)
    assert draw() != first
    seeding.set_seed(None)
    entropy = draw()
    seeding.set_seed(None)
    assert draw() != entropy


# --- configs and errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {"seed": seed}) for name in RANDOM for seed in (None, 3)]
    + [
        ("RandomNormal", {"mean": 1.0, "stddev": 2.0, "seed": 3}),
        ("RandomUniform", {"minval": 1.0, "maxval": 2.0, "seed": 3}),
        ("TruncatedNormal", {"mean": 1.0, "stddev": 2.0}),
        ("Orthogonal", {"gain": 2.0}),
        ("HeNormal", {"input_axes": [0], "output_axes": (1, 2)}),
        ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "normal"}),
    ],
)
def test_configs_round_trip_and_are_those_of_keras(name, options):
    keras = pytest.importorskip("keras")
    initializer = getattr(initializers, name)(**options)
    config = initializer.get_config()
    assert config == getattr(keras.initializers, name)(**options).get_config()
    copy = initializers.deserialize(initializers.serialize(initializer))
    assert type(copy) is type(initializer) and copy == initializer
    if options.get("seed") is not None:
        shape = (3, 4, 5)
        assert (copy(shape).numpy() == initializer(shape).numpy()).all()


def test_the_config_of_a_seed_generator_comes_back():
    initializer = initializers.RandomNormal(seed=SeedGenerator(3, name="mine"))
    config = initializer.get_config()
    assert config["seed"] == {"class_name": "SeedGenerator", "config": {"seed": 3, "name": "mine"}}
    copy = initializers.RandomNormal.from_config(config)
    assert copy == initializer
    assert (values(copy, (5,)) == values(initializer, (5,))).all()


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_seeds_are_checked(seed):
    for make in (initializers.GlorotUniform, initializers.Orthogonal):
        with pytest.raises(
            ValueError, match="seed must be a non-negative integer, a SeedGenerator"
        ):
            make(seed=seed)
    with pytest.raises(ValueError, match="seed must be a non-negative integer or None, received"):
        seeding.set_seed(seed)


def test_errors():
    with pytest.raises(ValueError, match="VarianceScaling: scale must be positive, received 0"):
        initializers.VarianceScaling(0)
    with pytest.raises(ValueError, match=r"Unknown mode: 'fanin'\. Did you mean 'fan_in'"):
        initializers.VarianceScaling(mode="fanin")
    with pytest.raises(
        ValueError, match=r"Unknown distribution: 'unifrom'\. Did you mean 'uniform'"
    ):
        initializers.VarianceScaling(distribution="unifrom")
    with pytest.raises(
        ValueError, match=r"belong together, received input_axes=\[0\], output_axes=None"
    ):
        initializers.HeNormal(input_axes=[0])
    with pytest.raises(DTypeError, match="RandomNormal makes real numbers, not int32"):
        initializers.RandomNormal()((2,), "int32")
    with pytest.raises(
        ShapeError, match=r"Orthogonal: the weight must have at least 2 axes \(shape \(3,\)"
    ):
        initializers.Orthogonal()((3,))
    with pytest.raises(
        ShapeError, match=r"HeUniform: every length of a weight must be known \(shape \(No"
    ):
        initializers.HeUniform()((None, 3))
    with pytest.raises(ValueError, match="Unknown seed generator: 'SeedMaker'"):
        initializers.RandomNormal(seed={"class_name": "SeedMaker", "config": {}})
