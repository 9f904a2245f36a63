"""The compile check accepts good kernels on every architecture and names what is wrong."""

import pytest

from tests.simulated_gpu import compile_check
from tests.simulated_gpu.compile_check import (
    ARCHITECTURES,
    CompileError,
    compile_everywhere,
    compile_source,
    elementwise_source,
)

pytestmark = pytest.mark.skipif(
    not compile_check.available()[0], reason=compile_check.available()[1]
)

SOURCE = """
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#include "scale.cuh"
template <class T> __global__ void scale(const T* x, T* y, float factor) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = scaled(x[i], factor);
}
"""


def test_raw_module_compiles_for_every_architecture(tmp_path):
    (tmp_path / "scale.cuh").write_text(
        "template <class T> __device__ T scaled(T x, float factor) { return T(float(x) * factor); }"
    )
    names = ["scale<float>", "scale<__half>", "scale<__nv_bfloat16>"]
    codes = compile_everywhere(SOURCE, (f"-I{tmp_path}",), names)
    assert tuple(codes) == ARCHITECTURES
    assert all(code.startswith(b"\x7fELF") for code in codes.values())
    assert len(set(codes.values())) == len(ARCHITECTURES)


def test_bad_kernel_fails_with_the_compilers_message():
    with pytest.raises(CompileError, match=r'sm_75: .*identifier "nonsense" is undefined'):
        compile_source('extern "C" __global__ void k() { nonsense; }', "75")


def test_what_only_newer_architectures_have_fails_on_older_ones():
    source = 'extern "C" __global__ void k() { asm volatile("cp.async.wait_all;"); }'
    assert compile_source(source, "80")
    with pytest.raises(CompileError, match="sm_80 or higher"):
        compile_source(source, "75")


@pytest.fixture
def leaky_relu():
    import cupy

    return cupy.ElementwiseKernel(
        "T x, raw T b, float32 slope",
        "T y",
        "T v = x + b[i]; y = v > T(0) ? v : T(slope * v)",
        "leaky_relu",
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_elementwise_kernel_as_cupy_generates_it(leaky_relu, dtype):
    source = elementwise_source(leaky_relu, [dtype, dtype, float, dtype])
    assert "leaky_relu" in source and "_ind.size()" in source
    for architecture in ("75", "100"):
        assert compile_source(source, architecture)


def test_elementwise_kernel_of_strided_arrays_differs(leaky_relu):
    types = ["float32", "float32", float, "float32"]
    strided = elementwise_source(leaky_relu, types, ndim=2, contiguous=False)
    assert strided != elementwise_source(leaky_relu, types)
    assert compile_source(strided, "90")


def test_elementwise_kernel_with_a_mistake_fails():
    import cupy

    kernel = cupy.ElementwiseKernel("T x", "T y", "y = unknown(x)", "mistaken")
    with pytest.raises(CompileError, match='identifier "unknown" is undefined'):
        compile_source(elementwise_source(kernel, ["float32", "float32"]), "80")
