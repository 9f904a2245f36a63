"""What the fused losses promise beyond the parity suite: bad labels, other dtypes, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import check
from gpunn.backend import devices
from gpunn.ops import losses

KERNELS = check.all_kernels()


@pytest.fixture(params=["cpu", "gpu"])
def backend(request):
    if request.param == "cpu":
        return devices.cpu
    request.getfixturevalue("simulated_gpu")
    return devices.gpu()


def probabilities(rows=4, n=5):
    p = np.random.default_rng(3).uniform(0.1, 1, (rows, n))
    return p / p.sum(1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("label", [-1, 5, 2**31 - 1])
@pytest.mark.parametrize("name", ["sparse_softmax_cross_entropy", "sparse_cross_entropy"])
def test_a_label_out_of_range_gives_nan_and_a_finite_gradient(backend, name, label, dtype):
    """Such a label marks no class: nothing is subtracted anywhere."""
    x, labels = probabilities().astype(dtype), np.array([0, label, 4, 2], np.int32)
    loss, dx = backend.empty((4,), dtype), backend.empty((4, 5), dtype)
    options = {} if "softmax" in name else {"epsilon": 1e-7}
    KERNELS[name](backend.asarray(x), backend.asarray(labels), loss, dx, **options)
    loss, dx = backend.to_numpy(loss), backend.to_numpy(dx)
    assert np.isnan(loss).tolist() == [False, True, False, False]
    assert np.isfinite(dx).all()
    e = np.exp(x[1])
    expected = e / e.sum() if "softmax" in name else np.zeros(5)
    np.testing.assert_allclose(dx[1], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("label_dtype", ["int64", "uint8", "int32", "float32"])
def test_labels_of_any_dtype(backend, label_dtype):
    x = probabilities().astype("float32")
    labels = np.array([0, 3, 4, 2]).astype(label_dtype)
    received = losses.sparse_softmax_cross_entropy_loss(backend.asarray(x), backend.asarray(labels))
    expected = [np.log(np.exp(r).sum()) - r[int(k)] for r, k in zip(x, labels, strict=True)]
    np.testing.assert_allclose(received.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("target_dtype", ["int32", "float64", "float16", "bool"])
def test_targets_of_any_dtype_and_strides(backend, target_dtype):
    x = probabilities().astype("float32")
    target = np.eye(5)[[0, 3, 4, 2]].astype(target_dtype)
    given = backend.asarray(np.asfortranarray(target))
    received = losses.softmax_cross_entropy_loss(backend.asarray(x), given)
    expected = [np.log(np.exp(r).sum()) - r[t > 0][0] for r, t in zip(x, target, strict=True)]
    np.testing.assert_allclose(received.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "reduce_sum", "softmax_forward"])
def test_reductions_are_deterministic(simulated_gpu, name):
    """The same bits each time, in whatever order the blocks run."""
    gpu, kernel = devices.gpu(), KERNELS[name]
    seen = set()
    for _ in range(2):
        for number, (arrays, options) in enumerate(
            kernel.examples(np.random.default_rng(5), "float32")
        ):
            on_gpu = [gpu.asarray(a) for a in arrays]
            kernel(*on_gpu, **options)
            seen.add((number, *(a.get().tobytes() for a in on_gpu)))
    assert len(seen) == number + 1
