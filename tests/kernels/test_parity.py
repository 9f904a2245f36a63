"""Every kernel in every dtype: CUDA, emulated or on a real card (-m gpu), equals the reference."""

from __future__ import annotations

import pytest

from gpunn import check
from gpunn.backend import devices

KERNELS = check.all_kernels()
CASES = [(name, dtype) for name, kernel in KERNELS.items() for dtype in kernel.dtypes]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_simulated_gpu_equals_the_reference(simulated_gpu, name, dtype):
    devices.gpu()
    result = check.parity(KERNELS[name], dtype, simulated_gpu)
    assert result.ok, result.message
    assert result.cases > 0


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_real_gpu_equals_the_reference(real_gpu, name, dtype):
    result = check.parity(KERNELS[name], dtype, real_gpu)
    assert result.ok, result.message
