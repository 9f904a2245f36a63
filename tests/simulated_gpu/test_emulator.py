"""The emulator computes what CUDA would, and finds the bugs planted in emulator_kernels.cu."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from tests.simulated_gpu.emulator import EmulatedModule, EmulatorError, available

pytestmark = pytest.mark.skipif(not available()[0], reason=available()[1])

HERE = Path(__file__).resolve().parent
SOURCE = (HERE / "emulator_kernels.cu").read_text()
TEMPLATES = [
    "reverse_rows<half, 64>",
    "reverse_rows<float, 64>",
    "total<float>",
    "total<double>",
    "total<int>",
    "total<unsigned long long>",
]
ORDERS = pytest.mark.parametrize("order", [0, 1, 7])
i32, f32 = np.int32, np.float32


def module(*macros, check=True):
    options = (f"-I{HERE / 'emulator_headers'}", *(f"-D{macro}" for macro in macros))
    return EmulatedModule(SOURCE, options, TEMPLATES, check)


@pytest.fixture(scope="module", params=[True, False], ids=["checked", "unchecked"])
def kernels(request):
    return module(check=request.param)


@pytest.fixture
def normal():
    generator = np.random.default_rng(0)
    return lambda *shape: generator.standard_normal(shape, f32)


@ORDERS
def test_vector_loads(kernels, normal, order):
    x, b = normal(37, 64), normal(64)
    y = np.zeros_like(x)
    args = (x, b, y, i32(x.size // 4), i32(16))
    kernels.get_function("bias_relu")((3,), (128,), args, order=order)
    np.testing.assert_array_equal(y, np.maximum(x + b, 0))


@ORDERS
@pytest.mark.parametrize("classes", [3, 1000])
def test_block_reductions(kernels, normal, classes, order):
    x, target = normal(9, classes), np.arange(9, dtype=i32) % classes
    loss, dx = np.zeros(1, f32), np.zeros_like(x)
    args = (x, target, loss, dx, i32(classes), f32(1 / 9))
    kernels.get_function("cross_entropy")((9,), (128,), args, order=order)
    p = np.exp(x.astype(float))
    p /= p.sum(1, keepdims=True)
    expected = -np.log(p[np.arange(9), target]).mean()
    p[np.arange(9), target] -= 1
    np.testing.assert_allclose(loss[0], expected, rtol=2e-5)
    np.testing.assert_allclose(dx, p / 9, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (33, 40, 50)])
def test_shared_tiles(kernels, normal, m, n, k):
    a, b, c = normal(m, k), normal(k, n), np.full((m, n), np.nan, f32)
    grid = (-(-n // 32), -(-m // 32))
    kernels.get_function("gemm")(grid, (32, 32), (a, b, c, i32(m), i32(n), i32(k)))
    np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "dtype"), [("half", np.float16), ("float", f32)])
def test_template_with_dynamic_shared_memory(kernels, normal, name, dtype):
    x = normal(3, 100).astype(dtype)
    y = np.zeros_like(x)
    kernel = kernels.get_function(f"reverse_rows<{name}, 64>")
    kernel((3,), (64,), (x, y, f32(2), i32(100)), shared_mem=400)
    np.testing.assert_array_equal(y, x[:, ::-1] * dtype(2))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("float", "f4"), ("double", "f8"), ("int", "i4"), ("unsigned long long", "u8")],
)
def test_atomics_and_typed_shared_memory(kernels, name, dtype):
    x, total = np.arange(1000, dtype=dtype), np.zeros(1, dtype)
    kernels.get_function(f"total<{name}>")((4,), (64,), (x, total, i32(1000)))
    assert total[0] == 499500


@ORDERS
def test_cooperative_launch(kernels, normal, order):
    x, partial = normal(1000), np.zeros(4, f32)
    y = np.zeros_like(x)
    kernel = kernels.get_function("normalize")
    kernel((4,), (64,), (x, partial, y, i32(1000)), cooperative=True, order=order)
    np.testing.assert_allclose(y, x / np.linalg.norm(x), rtol=1e-5)


def test_tensor_core(kernels):
    a = np.random.default_rng(0).integers(-9, 9, (16, 8)).astype(f32)  # exact in tf32
    b, d = a[:8].copy(), np.zeros((16, 8), f32)
    kernels.get_function("tensor_core")((1,), (32,), (a, b, d))
    np.testing.assert_array_equal(d, a @ b)


def test_tensor_core_of_halves(kernels):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-9, 9, s).astype(np.float16) for s in ((16, 16), (16, 8)))
    d = np.zeros((16, 8), f32)
    kernels.get_function("tensor_core_half")((1,), (32,), (a, b, d))
    np.testing.assert_array_equal(d, a.astype(f32) @ b.astype(f32))


def test_blocks_that_wait_for_one_another(kernels):
    arrived, order = np.zeros(1, i32), np.full(4, -1, i32)
    kernels.get_function("spin")((4,), (1,), (arrived, order), cooperative=True)
    assert arrived[0] == 4 and sorted(order) == [0, 1, 2, 3]


def test_finds_blocks_that_wait_in_vain(kernels):
    args = (np.zeros(1, i32), np.zeros(4, i32))
    with pytest.raises(EmulatorError, match="deadlock in block 0: 1 threads in a spin loop"):
        kernels.get_function("spin")((4,), (1,), args)


def test_wide_integers(kernels):
    a = np.array([2**64 - 1, 0xD2E7470EE14C6C93, 7], np.uint64)
    b = np.array([2**64 - 1, 0xCA5A826395121157, 9], np.uint64)
    high = np.zeros(3, np.uint64)
    kernels.get_function("high_product")((1,), (32,), (a, b, high, i32(3)))
    assert [int(h) for h in high] == [int(p) * int(q) >> 64 for p, q in zip(a, b)]


def test_maths(kernels):
    x, y, u, v = (np.full(1, 0.7, t) for t in (f32, f32, float, float))
    kernels.get_function("maths")((1,), (1,), (x, y, u, v))
    common = math.log1p(0.7) + math.tanh(0.7) + 1 / math.sqrt(0.7)
    assert y[0] == pytest.approx(1 + math.expm1(0.7) + common, rel=1e-6)
    normal = 0.5 * math.erfc(-0.7 / math.sqrt(2))
    assert v[0] == pytest.approx(math.erf(0.7) + common + normal, rel=1e-14)


def test_sixteen_bit_arithmetic_rounds_each_operation():
    source = """#include <cuda_fp16.h>
    template <class T> __global__ void k(const T* x, T* y) { y[0] = x[0] * x[0] - x[1] / x[2]; }
    """
    x = np.array([1.0009765625, 2.0, 3.0], np.float16)
    y = np.zeros(1, np.float16)
    EmulatedModule(source, (), ["k<half>"]).get_function("k<half>")((1,), (1,), (x, y))
    assert y[0] == x[0] * x[0] - x[1] / x[2]


def test_arguments_that_share_memory(kernels, normal):
    x, b = normal(8, 64), normal(64)
    expected = np.maximum(x + b, 0)
    kernels.get_function("bias_relu")((1,), (128,), (x, b, x, i32(128), i32(16)))
    np.testing.assert_array_equal(x, expected)


# ---- planted bugs -------------------------------------------------------------------------
def run_cross_entropy(kernels):
    x, target = np.ones((4, 200), f32), np.zeros(4, i32)
    args = (x, target, np.zeros(1, f32), np.zeros_like(x), i32(200), f32(1))
    kernels.get_function("cross_entropy")((4,), (128,), args)


def line_of(path, text, after=""):
    """'file:line' of the first line holding `text`, once a line with `after` has passed."""
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if after in line)
    number = next(i for i, line in enumerate(lines) if i >= start and text in line) + 1
    return re.escape(f"{'kernel.cu' if path.suffix == '.cu' else path.name}:{number}")


REDUCTIONS = HERE / "emulator_headers" / "reductions.cuh"
KERNELS = HERE / "emulator_kernels.cu"


def test_finds_missing_barrier():
    where = line_of(REDUCTIONS, "buffer[lane]")
    with pytest.raises(EmulatorError, match=f"uninitialised shared memory.* at {where}"):
        run_cross_entropy(module("BUG_MISSING_SYNC"))


def test_finds_shared_memory_used_again_too_early():
    where = line_of(REDUCTIONS, "buffer[warp]")
    with pytest.raises(EmulatorError, match=f"race on __shared__.* at {where}"):
        run_cross_entropy(module("BUG_EARLY_REUSE"))


def test_finds_index_out_of_bounds():
    a, b, c = np.ones((20, 40), f32), np.ones((40, 20), f32), np.zeros((20, 20), f32)
    where = line_of(KERNELS, "A[row", after="BUG_BOUNDS")
    expected = f"out of bounds read of 4 bytes: arg0, element 800 of 800.* at {where}"
    kernel = module("BUG_BOUNDS").get_function("gemm")
    with pytest.raises(EmulatorError, match=expected):
        kernel((1, 1), (32, 32), (a, b, c, i32(20), i32(20), i32(40)))


def test_out_of_bounds_is_exact_even_when_the_neighbour_is_an_argument_too():
    source = 'extern "C" __global__ void k(float* a, float* b) { a[4] = b[0]; }'
    flat = np.zeros(8, f32)
    with pytest.raises(EmulatorError, match="write of 4 bytes: arg0, element 4 of 4"):
        EmulatedModule(source).get_function("k")((1,), (1,), (flat[:4], flat[4:]))


def test_finds_missing_grid_barrier():
    x, partial = np.ones(1000, f32), np.zeros(4, f32)
    kernel = module("BUG_GRID").get_function("normalize")
    with pytest.raises(EmulatorError, match="race on arg1"):
        kernel((4,), (64,), (x, partial, np.zeros_like(x), i32(1000)), cooperative=True)


def test_finds_wrong_argument_width(kernels):
    x = np.zeros((4, 4), f32)
    with pytest.raises(EmulatorError, match="argument 3 is int64, the kernel wants an integer"):
        kernels.get_function("bias_relu")((1,), (32,), (x, x[0], x, 4, i32(1)))


def test_finds_wrong_argument_count(kernels):
    with pytest.raises(EmulatorError, match="takes 5 arguments, received 1"):
        kernels.get_function("bias_relu")((1,), (32,), (np.zeros(4, f32),))


def run_body(body, threads=32):
    source = f'extern "C" __global__ void k(float* x, const float* c) {{ {body} }}'
    x = np.zeros(64, f32)
    EmulatedModule(source).get_function("k")((1,), (threads,), (x, np.ones(4, f32)))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (
            "float4 v = *reinterpret_cast<float4*>(x + 1); x[0] = v.x + v.w;",
            "misaligned 16-byte access: arg0",
        ),
        ("const_cast<float*>(c)[0] = 1;", "write to arg1, which is const"),
        ("x[0] = threadIdx.x;", r"race on arg0\[0\]: write by this thread, write by block 0"),
        ("x[threadIdx.x] = 1; x[0] = x[threadIdx.x ^ 1];", "race on arg0"),
        (
            "__shared__ float s[9]; s[threadIdx.x / 4 + 1] = 0; x[0] = s[0];",
            "uninitialised shared memory",
        ),
        (
            "if (threadIdx.x < 16) __syncthreads();\n else { x[40] = 1;\n __syncthreads(); }",
            "divergent __syncthreads: other threads of the block wait at line 1.*kernel.cu:3",
        ),
        (
            "if (threadIdx.x >= 16) return;\n x[0] = __shfl_xor_sync(0xffffffffu, x[0], 1);",
            r"exited while lanes of its warp wait for it in a \*_sync.* at kernel.cu:2",
        ),
        ("if (threadIdx.x < 16) __syncwarp(0xfffffffeu);", "leaves it out"),
        (
            "if (threadIdx.x < 16) return;\n x[0] = __shfl_xor_sync(0xffffffffu, x[0], 1);",
            "names lanes that exited or do not exist.* at kernel.cu:2",
        ),
        ("assert(blockDim.x == 1);", "assert: blockDim.x == 1.* at kernel.cu:1"),
    ],
)
def test_finds(body, complaint):
    with pytest.raises(EmulatorError, match=re.compile(complaint, re.DOTALL)):
        run_body(body)


def test_modules_with_the_same_template_do_not_share_its_memory():
    source = """
    template <class T> __global__ void k(T* x) {
      __shared__ T s[32];
      s[threadIdx.x] = OFFSET;
      __syncthreads();
      x[threadIdx.x] = s[31 - threadIdx.x];
    }"""
    modules = [EmulatedModule(source, (f"-DOFFSET={i}",), ["k<float>"]) for i in (1, 2)]
    x = np.zeros(32, f32)
    for i, both in enumerate(modules, 1):
        both.get_function("k<float>")((1,), (32,), (x,))
        assert (x == i).all()


def test_compiler_errors_name_the_line():
    with pytest.raises(EmulatorError, match=r"kernel\.cu:2.*nonsense"):
        EmulatedModule('extern "C" __global__ void k() {\n nonsense; }')


def test_changed_header_is_compiled_again(tmp_path):
    x, header = np.zeros(1, f32), tmp_path / "value.cuh"
    source = '#include "value.cuh"\nextern "C" __global__ void k(float* x) { x[0] = VALUE; }'
    for value in (1, 2):
        header.write_text(f"#define VALUE {value}\n")
        EmulatedModule(source, (f"-I{tmp_path}",)).get_function("k")((1,), (1,), (x,))
        assert x[0] == value
