"""Kernels and their loaders: the registry, dispatch, sources."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn.backend import cuda, devices
from gpunn.backend import kernel as kernels
from gpunn.backend.kernel import Kernel, kernel


@pytest.fixture
def registry():
    before = dict(kernels.registry)
    yield kernels.registry
    kernels.registry.clear()
    kernels.registry.update(before)


def no_examples(rng, dtype):
    return []


def test_a_kernel_registers_under_its_name(registry):
    @kernel(examples=no_examples)
    def doubled_for_a_test(xp, x, out):
        """out = 2 x"""
        xp.multiply(x, 2, out=out)

    assert registry["doubled_for_a_test"] is doubled_for_a_test
    assert (
        doubled_for_a_test.parameters == ("x", "out") and doubled_for_a_test.__doc__ == "out = 2 x"
    )
    assert repr(doubled_for_a_test) == "<Kernel doubled_for_a_test>"
    out = np.empty(2)
    doubled_for_a_test(np.array([1.0, 2.0]), out)
    assert out.tolist() == [2, 4]
    with pytest.raises(ValueError, match="A kernel named 'doubled_for_a_test' exists already"):
        Kernel(doubled_for_a_test.reference, None, no_examples, ("float32",))


def test_dispatch_is_by_the_data(registry, simulated_gpu):
    calls = []

    def launch(this, arrays, options):
        calls.append("cuda")
        return NotImplemented if options.get("refuse") else None

    @kernel(examples=no_examples, cuda=launch)
    def traced_for_a_test(xp, x, out, refuse=False):
        calls.append(xp.__name__.rpartition(".")[2])

    gpu = devices.gpu()
    on_cpu, on_gpu = np.zeros(2), gpu.zeros((2,), "float32")
    traced_for_a_test(on_cpu, on_cpu)
    traced_for_a_test(on_gpu, on_gpu)
    traced_for_a_test(on_gpu, on_gpu, refuse=True)
    traced_for_a_test(2.0, None, refuse=False)
    assert calls == ["numpy", "cuda", "cuda", "cupy", "numpy"]


def test_sources_have_their_includes_pasted_once():
    source = cuda.read_source("losses.cu")
    assert '#include "' not in source and "#include <cuda_fp16.h>" in source
    assert source.count("block_reduce(C value") == 1
    assert (cuda.source_folder() / "common.cuh").is_file()


def test_cuda_names():
    names = {
        "float16": "__half",
        "float32": "float",
        "int64": "long long",
        "uint8": "unsigned char",
    }
    assert {dtype: cuda.cuda_type(dtype) for dtype in names} == names


def test_blocks_cover_and_are_capped():
    assert [cuda.blocks(n) for n in (0, 1, 256, 257)] == [1, 1, 1, 2]
    assert cuda.blocks(10**9) == 65535 and cuda.blocks(64, 32) == 2


def test_contiguity():
    x = np.zeros((3, 4))
    assert cuda.contiguous(x, x[1:]) and not cuda.contiguous(x, x.T)
