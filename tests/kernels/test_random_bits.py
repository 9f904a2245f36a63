"""The CUDA kernels draw the bits of numpy.random.Philox, so both backends give the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn.backend import devices, random

SEED, DRAWS = 20_231, 7
SHAPES = [(1,), (8,), (9,), (3, 1001)]


def philox(seed: int = SEED, draws: int = DRAWS) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, 0], counter=[0, draws, 0, 0]))


def drawn(kernel, shape, dtype, where, seed=SEED, draws=DRAWS, **options) -> np.ndarray:
    backend = where()
    state = backend.asarray(np.array([seed, draws], np.uint32))
    out = backend.empty(shape, dtype)
    kernel(state, out, **options)
    return devices.to_numpy(out)


@pytest.fixture(params=["cpu", "gpu"])
def where(request):
    if request.param == "cpu":
        return lambda: devices.cpu
    request.getfixturevalue("simulated_gpu")
    return devices.gpu


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_is_numpys(where, shape, dtype):
    expected = philox().random(shape, dtype=dtype)
    np.testing.assert_array_equal(drawn(random.random_uniform, shape, dtype, where), expected)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_extreme_seeds_and_draws(where, seed):
    expected = philox(seed, 2**32 - 1).random(20, dtype="float32")
    received = drawn(random.random_uniform, (20,), "float32", where, seed, 2**32 - 1)
    np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_dropout_mask_has_numpys_zeros(where, dtype):
    mask = drawn(random.dropout_mask, (50, 41), dtype, where, rate=0.3)
    kept = philox().random((50, 41), dtype="float32") >= np.float32(0.3)
    np.testing.assert_array_equal(mask, np.where(kept, 1 / 0.7, 0).astype(dtype))


@pytest.mark.parametrize(("rate", "value"), [(0.0, 1.0), (1.0, 0.0)])
def test_dropout_of_nothing_and_of_everything(where, rate, value):
    assert (drawn(random.dropout_mask, (100,), "float32", where, rate=rate) == value).all()


def test_normal_is_box_muller_of_numpys_uniform(where):
    u, v = np.moveaxis(philox().random((300, 2)), -1, 0)
    expected = np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)
    received = drawn(random.random_normal, (300,), "float64", where)
    np.testing.assert_allclose(received, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kernel", [random.random_uniform, random.random_normal])
def test_empty_draws(where, kernel):
    assert drawn(kernel, (0, 3), "float32", where).shape == (0, 3)


def test_advance_wraps_around(where):
    backend = where()
    state = backend.asarray(np.array([5, 2**32 - 1], np.uint32))
    random.advance(state[1:])
    np.testing.assert_array_equal(devices.to_numpy(state), [5, 0])


def test_the_host_generator_is_at_the_same_place():
    np.testing.assert_array_equal(random.host_generator(SEED, DRAWS).random(9), philox().random(9))
