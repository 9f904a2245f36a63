"""The stand-in's streams record and replay, and refuse what CuPy and CUDA refuse meanwhile."""

import ctypes
import gc

import numpy as np
import pytest

from tests.simulated_gpu import simulated_cupy as cp
from tests.simulated_gpu.test_cupy_standin import assert_equal, needs_compiler
from tests.simulated_gpu.test_fake_cublaslt import INVALID_VALUE, Gemm


@pytest.fixture
def x():
    cp.reset_statistics()
    return cp.asarray(np.arange(6, dtype="f4").reshape(2, 3))


@pytest.fixture
def stream():
    return cp.cuda.Stream(non_blocking=True)


def record(stream, work):
    with stream:
        stream.begin_capture()
        try:
            result = work()
        finally:
            graph = stream.end_capture()
    return graph, result


def test_capture_computes_nothing_and_replays_with_present_values(x, stream):
    def work():
        state[...] += 1
        state.__iadd__(x)
        y = (x * 2)[1]
        np.add(y, 1, out=y)
        return y

    state = cp.zeros_like(x)
    work()
    state.fill(0)
    graph, y = record(stream, work)
    assert_equal(state, np.zeros((2, 3)))
    assert np.isnan(y.get()).all()
    graph.upload(stream)
    graph.launch(stream)
    assert_equal(y, [7, 9, 11])
    x.fill(10)
    graph.launch(stream)
    assert_equal(y, [21, 21, 21])
    assert_equal(state, [[12, 13, 14], [15, 16, 17]])
    assert cp.statistics().replays == 2


@needs_compiler
def test_capture_of_kernels(x, stream):
    def work():
        kernel(y, y)
        raw((1,), (6,), (y, np.float32(3)))

    kernel = cp.ElementwiseKernel("T x", "T y", "y = x + 1", "increment")
    source = 'extern "C" __global__ void k(float* y, float v) { y[threadIdx.x] *= v; }'
    raw, y = cp.RawKernel(source, "k"), x.copy()
    work()
    graph, _ = record(stream, work)
    for _ in range(2):
        graph.launch()
    expected = x.get()
    for _ in range(3):
        expected = (expected + 1) * 3
    assert_equal(y, expected)


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (lambda x: x.get(), RuntimeError, "to the host"),
        (lambda x: float(x.sum()), RuntimeError, "to the host"),
        (lambda x: bool(x.any()), RuntimeError, "to the host"),
        (lambda x: x.set(np.zeros((2, 3), "f4")), RuntimeError, "from the host"),
        (lambda x: cp.asarray(np.ones(3)), RuntimeError, "host data"),
        (lambda x: x @ x.T, NotImplementedError, "cuBLAS API during stream capture"),
        (lambda x: cp.tensordot(x, x), NotImplementedError, "cuBLAS API during stream capture"),
        (lambda x: x[x > 1], RuntimeError, "boolean"),
        (lambda x: x[[0]], RuntimeError, "list"),
        (lambda x: cp.nonzero(x), RuntimeError, "nonzero"),
        (lambda x: cp.concatenate([x] * 9), RuntimeError, "more than 8"),
        (lambda x: cp.repeat(x, x.astype(int).ravel()), RuntimeError, "repeat"),
        (lambda x: cp.cuda.get_current_stream().synchronize(), RuntimeError, "synchronize"),
        (lambda x: cp.cuda.Device().synchronize(), RuntimeError, "not permitted"),
        (lambda x: cp.hypot(x, x.astype("f8")), RuntimeError, "first compilation of hypot"),
        (
            lambda x: cp.ElementwiseKernel("T x", "T y", "y = x", "late")(x),
            RuntimeError,
            "first compilation of late",
        ),
        (
            lambda x: cp.RawKernel('extern "C" __global__ void k() {}', "k")((1,), (1,), ()),
            RuntimeError,
            "first compilation of a module",
        ),
    ],
)
def test_capture_refuses(x, stream, work, error, message):
    for warm in (x.sum(), x.any(), x > 1, x.astype(int), x.astype("f8")):
        del warm
    with pytest.raises(error, match=message):
        record(stream, lambda: work(x))
    assert not stream.is_capturing()


def test_default_stream_cannot_capture():
    with pytest.raises(RuntimeError, match="default"):
        cp.cuda.get_current_stream().begin_capture()


def test_memcpy_brings_new_data_to_a_graph(x, stream):
    (x * 2).get()
    graph, y = record(stream, lambda: x * 2)
    batch = np.ones((2, 3), "f4")
    kind = cp.cuda.runtime.memcpyHostToDevice
    cp.cuda.runtime.memcpyAsync(x.data.ptr, batch.ctypes.data, batch.nbytes, kind, stream.ptr)
    graph.launch(stream)
    assert_equal(y, 2 * batch)


@needs_compiler
def test_capture_of_cublaslt(x, stream):
    a, b, d = (np.asfortranarray(np.full((2, 2), v, "f4")) for v in (1, 2, np.nan))
    gemm = Gemm(a, b, d)
    with stream:
        stream.begin_capture()
        assert gemm.run(stream=ctypes.c_void_p(stream.ptr)) == 0
        graph = stream.end_capture()
    assert np.isnan(d).all()
    graph.launch(stream)
    assert (d == 4).all()
    a[...] = 3
    graph.launch(stream)
    assert (d == 12).all()
    assert cp.statistics().launches["cublasLtMatmul"] == 1


@needs_compiler
def test_cublaslt_refuses_a_stream_that_is_gone():
    a, b, d = (np.asfortranarray(np.ones((2, 2), "f4")) for _ in range(3))
    assert Gemm(a, b, d).run(stream=ctypes.c_void_p(12345)) == INVALID_VALUE


def test_the_pool_keeps_what_was_allocated_while_recording(x, stream):
    def work():
        y = (x * 2) * 3
        return y.data.ptr

    work()
    pool = cp.cuda.MemoryPool()
    with cp.cuda.using_allocator(pool.malloc):
        graph, address = record(stream, work)
    gc.collect()
    assert (pool.used_bytes(), pool.total_bytes()) == (0, 2 * x.nbytes)
    graph.launch()
    result = (ctypes.c_float * 6).from_address(address)
    np.testing.assert_array_equal(result, 6 * x.get().ravel())


def test_memory_that_is_freed_in_a_capture_is_lent_again(x, stream):
    """A graph whose result nobody keeps is overwritten by its own later work."""

    def work():
        addresses.append((x * 2).data.ptr)
        y = x * 3
        addresses.append(y.data.ptr)
        return y

    addresses = []
    work()
    with cp.cuda.using_allocator(cp.cuda.MemoryPool().malloc):
        graph, y = record(stream, work)
    assert addresses[2] == addresses[3]
    graph.launch()
    assert_equal(y, 3 * x.get())
