"""gpunn.random: distributions, streams, seeds."""

import numpy as np
import pytest

import gpunn
from gpunn import random

N = (400, 250)


def test_moments():
    u = random.uniform(N, -1, 3, seed=1).numpy()
    assert u.min() >= -1 and u.max() < 3
    assert u.mean() == pytest.approx(1, abs=0.02) and u.var() == pytest.approx(16 / 12, abs=0.02)
    n = random.normal(N, 2, 0.5, seed=1).numpy()
    assert n.mean() == pytest.approx(2, abs=0.01) and n.std() == pytest.approx(0.5, abs=0.01)
    assert (np.abs(n - 2) < 0.5).mean() == pytest.approx(0.6827, abs=0.01)
    i = random.randint(N, 3, 7, seed=1).numpy()
    assert i.dtype == np.int32
    np.testing.assert_allclose(np.bincount(i.ravel())[3:] / i.size, 0.25, atol=0.01)
    d = random.dropout(np.ones(N, "float32"), 0.25, seed=1).numpy()
    assert set(np.unique(d)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (d == 0).mean() == pytest.approx(0.25, abs=0.01)


DRAWS = {
    "uniform": lambda seed: random.uniform((5, 3), seed=seed),
    "normal": lambda seed: random.normal((5, 3), seed=seed),
    "randint": lambda seed: random.randint((5, 3), 0, 1000, seed=seed),
    "dropout": lambda seed: random.dropout(np.ones((50, 3), "float32"), 0.5, seed=seed),
}


@pytest.mark.parametrize("name", DRAWS)
def test_seeds(name):
    """A number gives the same each time, a generator something new, None the next seed."""
    draw = lambda seed: DRAWS[name](seed).numpy()
    np.testing.assert_array_equal(draw(3), draw(3))
    assert not np.array_equal(draw(3), draw(4))
    generator, again = random.SeedGenerator(3), random.SeedGenerator(3)
    first, second = draw(generator), draw(generator)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(draw(again), first)
    np.testing.assert_array_equal(draw(again), second)
    gpunn.utils.set_random_seed(5)
    first = draw(None)
    assert not np.array_equal(draw(None), first)
    gpunn.utils.set_random_seed(5)
    np.testing.assert_array_equal(draw(None), first)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes(dtype):
    assert random.uniform((2,), dtype=dtype).dtype == dtype
    assert random.normal((2,), dtype=dtype).dtype == dtype
    assert random.randint((2,), 0, 5, dtype="int64").dtype == "int64"


def test_the_state_of_a_generator_can_be_kept_and_set():
    generator = random.SeedGenerator(8)
    random.normal((3,), seed=generator)
    kept = generator.state.numpy()
    first = random.normal((3,), seed=generator).numpy()
    generator.state.assign(kept)
    np.testing.assert_array_equal(random.normal((3,), seed=generator).numpy(), first)


def test_config_and_path():
    generator = random.SeedGenerator(8, name="mine")
    assert random.SeedGenerator.from_config(generator.get_config()) == generator
    assert generator.state.path == "mine/seed_generator_state"
    assert generator.next_seed() != generator.next_seed()


@pytest.mark.parametrize("seed", [-1, 1.5, "1"])
def test_wrong_seeds(seed):
    with pytest.raises(ValueError, match="seed must be a non-negative integer or None"):
        random.SeedGenerator(seed)


def test_the_same_bits_on_the_gpu(simulated_gpu):
    for name, draw in DRAWS.items():
        cpu = draw(3).numpy()
        with gpunn.device("gpu:0"):
            y = gpunn.ops.convert_to_tensor(draw(3))
        if name == "normal":  # log and cos differ by an ulp
            np.testing.assert_allclose(y.numpy(), cpu, rtol=1e-6, atol=1e-7)
        else:
            assert y.numpy().tobytes() == cpu.tobytes(), name
