"""The parity check notices wrong values, unwritten outputs, missing examples and errors."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import check
from gpunn.backend import devices
from gpunn.backend import kernel as kernels
from gpunn.backend.cuda import elementwise
from gpunn.backend.kernel import Kernel


def examples(rng, dtype):
    yield (rng.standard_normal(50).astype(dtype), np.full(50, np.nan, dtype)), {}


def double(xp, x, out):
    xp.multiply(x, 2, out=out)


@pytest.fixture
def result(simulated_gpu):
    """The result of checking a kernel with this reference, CUDA expression and examples."""
    before = dict(kernels.registry)
    devices.gpu()

    def run(reference=double, cuda="out = T(2) * x", examples=examples, dtype="float32"):
        launch = elementwise("T x -> T out", cuda) if isinstance(cuda, str) else cuda
        return check.parity(Kernel(reference, launch, examples, (dtype,)), dtype, simulated_gpu)

    yield run
    kernels.registry.clear()
    kernels.registry.update(before)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_right_kernel(result, dtype):
    received = result(dtype=dtype)
    assert received.ok and received.cases == 1 and received.message == ""
    assert received.max_error < check.TOLERANCES[dtype]


def test_a_wrong_value(result):
    received = result(cuda="out = T(2.001) * x")
    assert not received.ok and received.max_error > 1e-4
    assert received.message.startswith("example 1 ((50,), (50,); {}): 'out' differs by ")


def test_a_changed_input(result):
    def careless(this, arrays, options):
        arrays[0][...] = 0
        arrays[1][...] = 0

    assert "'x' differs" in result(cuda=careless).message


def test_unwritten_outputs(result):
    assert (
        "the GPU left elements of 'out' unwritten" in result(cuda="if (i != 7) out = 2 * x").message
    )
    assert "the reference left elements of 'out' unwritten" in result(reference=double_some).message


def double_some(xp, x, out):
    out[:49] = 2 * x[:49]


def test_errors_are_reported_and_do_not_stop_the_check(result):
    assert "EmulatorError" in result(cuda="out = nonsense").message


def test_a_kernel_needs_examples(result):
    received = result(examples=lambda rng, dtype: [])
    assert not received.ok and received.message == "it has no examples in this dtype"


def test_differences():
    a = np.array([1.0, np.nan, np.inf])
    assert check.difference(a, a.copy()) == 0
    assert check.difference(a, np.array([2.0, np.nan, np.inf])) == 0.5
    for other in ([np.nan, np.nan, np.inf], [1, 1, np.inf], [1, np.nan, -np.inf], [1, np.nan, 5]):
        assert check.difference(a, np.array(other)) == np.inf
    assert check.difference(a, a.astype("float32")) == check.difference(a, a[:2]) == np.inf
    assert check.difference(np.array([1, 2]), np.array([1, 3])) == np.inf
    assert check.difference(np.zeros((0, 3)), np.zeros((0, 3))) == 0


def test_run_goes_through_the_whole_registry(simulated_gpu, monkeypatch):
    chosen = {name: check.all_kernels()[name] for name in ("relu_forward", "advance")}
    monkeypatch.setattr(check, "all_kernels", lambda: chosen)
    rows = list(check.run())
    assert [(r.kernel, r.dtype) for r in rows] == [
        ("relu_forward", "float32"), ("relu_forward", "float64"), ("relu_forward", "float16"),
        ("advance", "uint32"),
    ]  # fmt: skip
    assert all(r.ok for r in rows)
