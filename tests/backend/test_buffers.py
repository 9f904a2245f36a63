"""The NumPy backend's buffer pool: reuse, statistics, limits."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from gpunn.backend.buffers import BufferPool
from gpunn.backend.numpy import NumpyBackend

LARGE = 100_000  # bytes, above BufferPool.smallest


@pytest.fixture
def backend():
    return NumpyBackend()


def address(array):
    return array.__array_interface__["data"][0]


def test_small_arrays_are_numpys(backend):
    array = backend.empty((10, 3), "float32")
    assert (array.shape, array.dtype, type(array)) == ((10, 3), np.float32, np.ndarray)
    assert backend.memory_stats() == {"used": 0, "cached": 0, "peak": 0}


def test_large_arrays_are_reused(backend):
    array = backend.empty((LARGE,), "uint8")
    place = address(array)
    del array
    again = backend.empty((LARGE // 4,), "float32")
    assert address(again) == place
    assert again.flags.writeable and again.flags.c_contiguous and type(again) is np.ndarray


def test_a_buffer_lives_as_long_as_any_view(backend):
    array = backend.empty((LARGE // 8,), "float64")
    array[:] = 7
    view, place = array[10:20].reshape(2, 5).T, address(array)
    del array
    other = backend.empty((LARGE // 8,), "float64")
    other[:] = -1
    assert address(other) != place and (view == 7).all()
    del view
    assert address(backend.empty((LARGE // 8,), "float64")) == place


def test_views_through_the_buffer_protocol_count(backend):
    array = backend.empty((LARGE,), "uint8")
    place, memory = address(array), memoryview(array)
    del array
    assert address(backend.empty((LARGE,), "uint8")) != place
    memory.release()


def test_statistics(backend):
    a = backend.empty((LARGE,), "uint8")
    used = backend.memory_stats()["used"]
    assert LARGE <= used <= LARGE * 1.13
    b = backend.empty((LARGE,), "uint8")
    assert backend.memory_stats() == {"used": 2 * used, "cached": 0, "peak": 2 * used}
    del a
    assert backend.memory_stats() == {"used": used, "cached": used, "peak": 2 * used}
    del b
    assert backend.memory_stats() == {"used": 0, "cached": 2 * used, "peak": 2 * used}
    backend.release_cache()
    assert backend.memory_stats() == {"used": 0, "cached": 0, "peak": 2 * used}


def test_the_cache_has_a_limit(backend):
    backend.pool.limit = LARGE + LARGE // 2
    arrays = [backend.empty((LARGE,), "uint8") for _ in range(4)]
    del arrays
    stats = backend.memory_stats()
    assert stats["used"] == 0 and 0 < stats["cached"] <= backend.pool.limit


def test_sizes_are_rounded_so_that_batches_share_buffers():
    pool = BufferPool()
    sizes = set()
    for nbytes in range(1 << 20, (1 << 20) + 60_000, 7_000):
        pool.lend((nbytes,), np.dtype("uint8"), nbytes)
        sizes |= set(pool.shelves)
    assert len(sizes) <= 2


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((333, 77), "float64"),
        ((5, 0, 10_000), "float32"),
        ((100_003,), "float16"),
        ((1 << 17,), "bool"),
    ],
)
def test_shapes_and_dtypes(backend, shape, dtype):
    array = backend.empty(shape, dtype)
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    array.fill(1)
    assert (array == 1).all()


def test_zeros_are_zero_also_after_a_reuse(backend):
    array = backend.empty((LARGE,), "float32")
    array.fill(5)
    del array
    assert not backend.zeros((LARGE,), "float32").any()


def test_many_threads_share_the_pool(backend):
    errors = []

    def work(mark):
        for _ in range(200):
            array = backend.empty((LARGE // 4,), "int32")
            array.fill(mark)
            if (array != mark).any():
                errors.append(mark)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not errors and backend.memory_stats()["used"] == 0


def test_a_pool_takes_from_the_shelves_of_its_source_and_keeps_what_it_took():
    source = BufferPool()
    pool = BufferPool(smallest=0, source=source)
    array = source.lend((1 << 16,), np.dtype("float32"), 1 << 18)
    place = array.ctypes.data
    del array
    taken = pool.lend((1 << 16,), np.dtype("float32"), 1 << 18)
    assert taken.ctypes.data == place
    assert source.cached == 0 and source.used == 0 and pool.used == 1 << 18
    del taken
    assert pool.cached == 1 << 18 and source.cached == 0
    other = source.lend(
        (1 << 16,), np.dtype("float32"), 1 << 18
    )  # what the pool keeps is not lent by its source
    assert other.ctypes.data != place
