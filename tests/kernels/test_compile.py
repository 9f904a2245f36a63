"""Every CUDA source, raw and CuPy-generated, compiles for real GPUs: NVRTC, no driver needed.

The elementwise kernels of one header and dtype, and the template instances of one `.cu` file, go
into one program: the headers are parsed once.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from gpunn import check
from gpunn.backend.cuda import elementwise, raw, read_source
from gpunn.backend.routes import routes_of
from tests.simulated_gpu import compile_check
from tests.simulated_gpu.compile_check import ARCHITECTURES

pytestmark = pytest.mark.skipif(
    not compile_check.available()[0], reason=compile_check.available()[1]
)

KERNELS = check.all_kernels()


def examples(kernel, dtype):
    return kernel.examples(np.random.default_rng(0), dtype)


def elementwise_groups() -> dict[tuple[str, str], list]:
    """{(header, dtype): [(kernel, arguments)]}"""
    groups = defaultdict(list)
    for kernel in KERNELS.values():
        if isinstance(kernel.cuda, elementwise):
            for dtype in kernel.dtypes:
                arrays, options = next(iter(examples(kernel, dtype)))
                arguments = kernel.cuda.arguments(kernel, arrays, options)
                groups[kernel.cuda.include or "", dtype].append((kernel, arguments))
    return groups


def program(header: str, dtype: str) -> str:
    """The CUDA C++ of all kernels of a group, with the header once."""
    import cupy

    preamble, parts = read_source(header) if header else "", []
    for number, (kernel, arguments) in enumerate(elementwise_groups()[header, dtype]):
        dtypes = [a.dtype.name if isinstance(a, np.ndarray) else float for a in arguments]
        compiled = kernel.cuda.build(cupy, f"{kernel.name}_{dtype}")
        source = compile_check.elementwise_source(compiled, dtypes)
        assert preamble in source
        parts.append(source.replace(preamble, "", 1) if number else source)
        kernel.cuda._compiled.clear()
    # Each kernel has its own T, which is the same in all of them, as they are of one dtype.
    return "\n".join(parts)


def raw_kernels() -> list[tuple]:
    """(kernel, raw): what each kernel, or each of its routes, launches"""
    pairs = [(k, cuda) for k in KERNELS.values() for cuda in (k.cuda, *routes_of(k))]
    return [(kernel, cuda) for kernel, cuda in pairs if isinstance(cuda, raw)]


def raw_groups() -> dict[str, list[str]]:
    """{file: template instances}, of the examples that are not left to the reference."""
    groups: dict[str, set] = defaultdict(set)
    for kernel, cuda in raw_kernels():
        for dtype in kernel.dtypes:
            for arrays, options in examples(kernel, dtype):
                if cuda.launch(*arrays, **options) is not NotImplemented:
                    groups[cuda.file].add(cuda.expression(arrays, options))
    return {file: sorted(instances) for file, instances in groups.items()}


@pytest.mark.parametrize(("header", "dtype"), sorted(elementwise_groups()))
def test_elementwise_kernels_compile(header, dtype):
    source = program(header, dtype)
    for architecture in ARCHITECTURES:
        code = compile_check.compile_source(source, architecture)
        for kernel, _ in elementwise_groups()[header, dtype]:
            assert f"gpunn_{kernel.name}".encode() in code


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("file", sorted(raw_groups()))
def test_raw_kernels_compile(file, architecture):
    code = compile_check.compile_source(
        read_source(file), architecture, ("-std=c++17",), raw_groups()[file]
    )
    assert code.startswith(b"\x7fELF")


def test_every_cuda_file_is_used_by_a_kernel():
    from gpunn.backend.cuda import source_folder

    used = {cuda.file for _, cuda in raw_kernels()}
    assert used == {path.name for path in source_folder().glob("*.cu")}


def test_the_preamble_is_the_header_with_its_includes():
    source = read_source("activations.cuh")
    assert '#include "' not in source and source.count("struct compute {") == 1
