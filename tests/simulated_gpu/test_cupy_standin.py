"""The stand-in for `cupy` behaves as CuPy does where gpunn depends on it."""

import gc

import numpy as np
import pytest

from tests.simulated_gpu import EmulatorError, simulated_cupy
from tests.simulated_gpu.emulator import available

cp = simulated_cupy
needs_compiler = pytest.mark.skipif(not available()[0], reason=available()[1])


@pytest.fixture
def x():
    return cp.asarray(np.arange(6, dtype="f4").reshape(2, 3))


@pytest.fixture(autouse=True)
def fresh_statistics():
    cp.reset_statistics()


def assert_equal(array, expected):
    assert isinstance(array, cp.ndarray)
    np.testing.assert_array_equal(array.get(), expected)


# ---- arrays -------------------------------------------------------------------------------
def test_arithmetic_matches_numpy_and_keeps_the_dtype(x):
    n = x.get()
    for result, expected in [
        (2 * x + 1, 2 * n + 1),
        (x / (x + 1), n / (n + 1)),
        (1 - x**2, 1 - n**2),
        (-x > -3, -n > -3),
        (x @ x.T, n @ n.T),
        (abs(x - 3) // 2, abs(n - 3) // 2),
    ]:
        assert_equal(result, expected)
        assert result.dtype == expected.dtype


def test_in_place_operators_write_into_the_same_memory(x):
    address, view = x.data.ptr, x[1]
    x += 1
    x *= 2
    assert x.data.ptr == address
    assert_equal(view, [8, 10, 12])


def test_full_reductions_stay_on_the_device(x):
    for total in (x.sum(), cp.sum(x), x.max(), cp.mean(x), x[1, 2], cp.allclose(x, x)):
        assert isinstance(total, cp.ndarray) and total.shape == ()
    assert float(x.sum()) == 15 and int(x.argmax()) == 5 and bool(x.any())


def test_views_share_memory_and_copies_do_not(x):
    for view in (
        x[0],
        x.T,
        x.reshape(3, 2),
        x.ravel(),
        x[:, None],
        x.squeeze(),
        x[0, 0],
        x.view("i4"),
    ):
        assert view.base is x
    for copy in (x.copy(), x.T.ravel(), x.astype("f8"), x[[0, 1]], cp.ascontiguousarray(x.T)):
        assert copy.base is None
    x[0, 1:] = x[1, :2]
    assert_equal(x, [[0, 3, 4], [3, 4, 5]])
    assert x[1].data.ptr == x.data.ptr + 12


def test_attributes(x):
    assert (x.shape, x.dtype, x.ndim, x.size) == ((2, 3), np.float32, 2, 6)
    assert (x.nbytes, x.itemsize, x.strides) == (24, 4, (12, 4))
    assert x.flags.c_contiguous and x.T.flags.f_contiguous and x.device.id == 0
    assert x.__cuda_array_interface__["data"] == (x.data.ptr, False)
    assert len(x) == 2 and [row.shape for row in x] == [(3,), (3,)]


def test_host_and_device(x):
    n = np.ones((2, 3), "f4")
    x.set(n)
    assert_equal(x, n)
    with pytest.raises(TypeError, match="float64 array cannot be set to float32"):
        x.set(n.astype(float))
    assert cp.asnumpy(x).tolist() == x.tolist() == n.tolist()
    assert cp.asarray(x) is x and cp.from_dlpack(x).data.ptr == x.data.ptr
    counts = cp.statistics()
    assert (counts.host_to_device, counts.device_to_host) == (2, 3)


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, n: x + n,
        lambda x, n: n + x,
        lambda x, n: cp.maximum(x, n),
        lambda x, n: np.maximum(n, x),
        lambda x, n: cp.concatenate([x, n]),
        lambda x, n: x.__setitem__(0, n[0]),
    ],
)
def test_numpy_arrays_do_not_mix(x, mix):
    with pytest.raises(TypeError, match="Unsupported type <class 'numpy\\.ndarray'>"):
        mix(x, np.ones((2, 3), "f4"))


def test_no_implicit_conversion(x):
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(x)


def test_numpy_functions_dispatch_to_the_device(x):
    assert_equal(np.exp(x), np.exp(x.get()))
    assert_equal(np.concatenate([x, x]), np.concatenate([x.get()] * 2))
    out = cp.empty((2, 3), "f4")
    assert np.add(x, 1, out=out) is out
    assert_equal(cp.subtract(out, x, out), np.ones((2, 3)))
    assert_equal(cp.add.reduce(x, axis=0), [3, 5, 7])


def test_only_names_that_cupy_has():
    assert cp.float32 is np.float32 and cp.newaxis is None
    assert_equal(cp.arange(3), [0, 1, 2])
    for name in ("asmatrix", "vecdot", "no_such_function"):
        with pytest.raises(AttributeError, match=f"'cupy' has no attribute '{name}'"):
            getattr(cp, name)


def test_names_file_is_that_of_the_installed_cupy():
    real = pytest.importorskip("cupy")
    if not real.__version__.startswith("14."):
        pytest.skip("cupy_names.txt is of CuPy 14")
    missing = [name for name in cp._NAMES if not hasattr(real, name)]
    assert missing == []


def test_functions_with_several_results(x):
    quotient, remainder = cp.divmod(x.sum(), 4)
    assert_equal(quotient, 3)
    assert_equal(remainder, 3)
    upper, lower = cp.split(x, 2)
    assert_equal(lower, [[3, 4, 5]])
    assert upper.base is x


def test_functions_that_write_into_their_first_argument(x):
    target = cp.zeros((2, 3), "f4")
    assert cp.copyto(target, x) is None
    assert_equal(target, x.get())
    target.scatter_add(cp.zeros(2, int), 1)
    assert_equal(target[0], [2, 3, 4])


def test_empty_shows_that_nobody_wrote_it():
    assert np.isnan(cp.empty(3, "f4").get()).all()
    assert (cp.empty_like(cp.zeros(2, "i4")).get() == -1).all()


def test_memory_is_counted_while_it_lives():
    gc.collect()
    pool = cp.get_default_memory_pool()
    before = pool.used_bytes()
    a = cp.zeros(1000, "f4")
    view = a[10:]
    assert pool.used_bytes() == before + 4000
    del a
    assert pool.used_bytes() == before + 4000
    del view
    assert pool.used_bytes() == before
    private = cp.cuda.MemoryPool()
    with cp.cuda.using_allocator(private.malloc):
        b = cp.ones(10, "f8")
        block = cp.cuda.alloc(512)
    assert private.used_bytes() == b.nbytes + 512 and block.ptr
    assert pool.used_bytes() == before


def test_array_in_given_memory():
    flat = cp.zeros(8, "f4")
    part = cp.ndarray((2, 2), "f4", flat.data)
    part.fill(3)
    assert_equal(flat, [3, 3, 3, 3, 0, 0, 0, 0])


def test_device_and_runtime():
    assert cp.cuda.is_available() and cp.cuda.runtime.getDeviceCount() == 1
    assert cp.cuda.runtime.getDeviceProperties(0)["name"] == b"Simulated GPU"
    with cp.cuda.Device(0) as device:
        device.synchronize()
        assert device.compute_capability == "90"
        free, total = device.mem_info
        assert 0 < free <= total
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="invalid device"):
        cp.cuda.Device(1)


# ---- kernels ------------------------------------------------------------------------------
@needs_compiler
class TestElementwiseKernel:
    axpy = cp.ElementwiseKernel("T x, T y, float32 a", "T z", "z = T(a) * x + y", "axpy")

    @pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i4"])
    def test_placeholder_follows_the_arrays(self, x, dtype):
        x = x.astype(dtype)
        z = self.axpy(x, x[1], 2.0)
        assert z.dtype == np.dtype(dtype)
        assert_equal(z, 2 * x.get() + x.get()[1])
        assert_equal(self.axpy(x, 1, 2.0), 2 * x.get() + 1)

    def test_writes_into_strided_outputs(self, x):
        out = cp.zeros((3, 4), "f4")
        assert self.axpy(x.T, 1, 1.0, out[:, 1:3]) is not None
        assert_equal(out[:, 1:3], x.get().T + 1)
        assert_equal(out[:, ::3], np.zeros((3, 2)))

    def test_raw_arguments_and_size(self, x):
        kernel = cp.ElementwiseKernel(
            "raw T x, int32 n", "raw T y", "y[n - 1 - i] = x[i]", "reverse", no_return=True
        )
        y = cp.zeros(6, "f4")
        assert kernel(x, 6, y, size=6) is None
        assert_equal(y, x.get().ravel()[::-1])
        assert_equal(x.T, x.get().T)

    def test_updates_in_place_and_several_outputs(self, x):
        kernel = cp.ElementwiseKernel("T g", "T p, T m", "m += g; p -= m", "momentum")
        p, m = x.copy(), cp.ones((2, 3), "f4")
        kernel(x, p, m)
        assert_equal(m, x.get() + 1)
        assert_equal(p, np.full((2, 3), -1))
        low, high = cp.ElementwiseKernel("T x", "T a, T b", "a = x - 1; b = x + 1", "both")(x)
        assert_equal(high - low, np.full((2, 3), 2))

    def test_includes_and_preamble(self, x, tmp_path):
        (tmp_path / "square.cuh").write_text(
            "template <class T> __device__ T square(T v) { return v * v; }\n"
        )
        kernel = cp.ElementwiseKernel(
            "T x", "T y", "y = square(x)", "squared",
            preamble='#include "square.cuh"', options=(f"-I{tmp_path}",),
        )  # fmt: skip
        assert_equal(kernel(x), x.get() ** 2)

    @pytest.mark.parametrize(
        ("args", "error", "message"),
        [
            (lambda x: (x,), TypeError, "Wrong number of arguments for 'axpy'"),
            (lambda x: (x, x.astype("f8"), 1.0), TypeError, "Type is mismatched"),
            (lambda x: (x, x, x.astype("f8")), TypeError, "Type is mismatched"),
            (lambda x: (x, np.ones((2, 3), "f4"), 1.0), TypeError, "Unsupported type"),
            (lambda x: (x, x, 1.0, cp.empty(3, "f4")), ValueError, "Out shape is mismatched"),
            (lambda x: (1.0, 1.0, 1.0), TypeError, "Cannot decide the type"),
        ],
    )
    def test_refuses(self, x, args, error, message):
        with pytest.raises(error, match=message):
            self.axpy(*args(x))

    def test_bounds_are_checked(self, x):
        kernel = cp.ElementwiseKernel("raw T x", "T y", "y = x[i + 1]", "beyond")
        with pytest.raises(EmulatorError, match=r"read of 4 bytes: x, element 6 of 6.*operation:1"):
            kernel(x, cp.empty(6, "f4"))


@needs_compiler
class TestRawModule:
    SOURCE = """
    extern "C" __global__ void scale(const float* x, float* y, float factor, int n) {
      int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) y[i] = x[i] * factor;
    }
    template <class T> __global__ void fill(T* y, T value) { y[threadIdx.x] = value; }
    """

    def test_functions(self, x):
        module = cp.RawModule(code=self.SOURCE, name_expressions=("fill<double>", "fill<int>"))
        y = cp.empty_like(x)
        module.get_function("scale")((1,), (32,), (x, y, np.float32(2), np.int32(6)))
        assert_equal(y, 2 * x.get())
        z = cp.empty(4, "f8")
        module.get_function("fill<double>")((1,), (4,), (z, 1.5))
        assert_equal(z, [1.5] * 4)
        assert cp.statistics().launches["scale"] == 1

    @pytest.mark.parametrize(("factor", "n"), [(2.0, np.int32(6)), (np.float32(2), 6)])
    def test_python_numbers_are_64_bits_wide(self, x, factor, n):
        kernel = cp.RawKernel(self.SOURCE, "scale")
        with pytest.raises(EmulatorError, match=r"argument [23] is (float|int)64, the kernel"):
            kernel((1,), (32,), (x, cp.empty_like(x), factor, n))

    def test_large_shared_memory_must_be_asked_for(self):
        kernel = cp.RawKernel('extern "C" __global__ void k() {}', "k")
        with pytest.raises(EmulatorError, match="max_dynamic_shared_size_bytes"):
            kernel((1,), (1,), (), shared_mem=50000)
        kernel.max_dynamic_shared_size_bytes = 50000
        kernel((1,), (1,), (), shared_mem=50000)
