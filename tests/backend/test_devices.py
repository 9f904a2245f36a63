"""Where arrays live: contexts, threads, mixed devices, GPUNN_BACKEND; on the simulated GPU."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from gpunn import GradientTape, Variable, ops
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.cupy import CupyBackend
from gpunn.backend.devices import device
from gpunn.errors import DeviceError, DTypeError


def test_contexts_nest(simulated_gpu):
    assert devices.current().device == "cpu"
    with device("gpu:0"):
        assert ops.zeros(2).device == "gpu:0"
        with device("cpu"):
            assert ops.zeros(2).device == "cpu"
        assert ops.zeros(2).device == "gpu:0"
    assert ops.zeros(2).device == "cpu"


def test_one_context_object_may_be_entered_twice(simulated_gpu):
    gpu = device("gpu")
    with gpu, device("cpu"), gpu:
        assert devices.current().device == "gpu:0"
    assert devices.current().device == "cpu"


def test_an_exception_leaves_the_device(simulated_gpu):
    with pytest.raises(ZeroDivisionError), device("gpu"):
        raise ZeroDivisionError
    assert devices.current().device == "cpu"


def test_use_lasts(simulated_gpu):
    device("gpu").use()
    assert ops.ones(1).device == "gpu:0"
    device("cpu").use()
    assert ops.ones(1).device == "cpu"


def test_devices_belong_to_threads(simulated_gpu):
    seen = []
    with device("gpu"):
        thread = threading.Thread(target=lambda: seen.append(ops.ones(1).device))
        thread.start()
        thread.join()
    assert seen == ["cpu"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cpu", "cpu"),
        ("CPU:0", "cpu"),
        ("gpu", "gpu:0"),
        ("cuda:0", "gpu:0"),
        ("GPU:0", "gpu:0"),
    ],
)
def test_names(simulated_gpu, name, expected):
    assert devices.by_name(name).device == expected


@pytest.mark.parametrize("name", ["gpux", "cpu:1", "tpu", "gpu:", "gpu:-1", "", None])
def test_unknown_names(simulated_gpu, name):
    with pytest.raises(ValueError, match="Unknown device: .*Known: cpu, gpu, gpu:0"):
        device(name)


def test_a_gpu_that_does_not_exist(simulated_gpu):
    with pytest.raises(DeviceError, match=r"no device 'gpu:3': this machine has 1 NVIDIA GPU"):
        device("gpu:3")


def test_no_gpu_at_all():
    devices.use_cupy(None, "the reason")
    with pytest.raises(DeviceError, match=r"no GPU to use: the reason. Use gpunn.device\('cpu'\)"):
        device("gpu")


# --- GPUNN_BACKEND ---


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("numpy", "cpu"),
        ("auto", "gpu:0"),
        ("cupy", "gpu:0"),
        ("CuPy", "gpu:0"),
    ],
)
def test_modes(simulated_gpu, monkeypatch, mode, expected):
    monkeypatch.setenv("GPUNN_BACKEND", mode)
    devices.use_cupy(simulated_gpu)
    assert ops.zeros(1).device == expected


def test_auto_is_the_default(simulated_gpu, monkeypatch):
    monkeypatch.delenv("GPUNN_BACKEND")
    devices.use_cupy(simulated_gpu)
    assert ops.zeros(1).device == "gpu:0"


def test_unknown_modes(simulated_gpu, monkeypatch):
    monkeypatch.setenv("GPUNN_BACKEND", "cuppy")
    devices.use_cupy(simulated_gpu)
    with pytest.raises(ValueError, match="Unknown GPUNN_BACKEND: 'cuppy'. Did you mean 'cupy'"):
        ops.zeros(1)


def test_cupy_is_asked_for_but_missing(simulated_gpu, monkeypatch):
    monkeypatch.setenv("GPUNN_BACKEND", "cupy")
    devices.use_cupy(None, "the driver is too old")
    with pytest.raises(DeviceError, match="GPUNN_BACKEND=cupy, but .* the driver is too old"):
        ops.zeros(1)


# --- arrays of two devices ---


def test_mixed_devices(simulated_gpu):
    x, y = ops.ones((2, 3)), Tensor(devices.gpu().asarray(np.ones(3, "float32")))
    for a, b in ((x, y), (y, x)):
        with pytest.raises(DeviceError, match=r"add_forward: its arrays live on different devices"):
            ops.add(a, b)
    with pytest.raises(DeviceError, match=r"cpu \(2, 3\), gpu:0 \(3,\).*under one gpunn.device"):
        ops.add(x, y)


def test_numpy_arrays_and_lists_are_uploaded_to_gpu_tensors(simulated_gpu):
    x = Tensor(devices.gpu().asarray(np.ones(3, "float32")))
    for other in (np.array([1, 2, 3], "float32"), [1.0, 2.0, 3.0], 2.0, np.float32(2)):
        for y in (x + other, other + x, x * other, ops.maximum(other, x)):
            assert y.device == "gpu:0" and y.dtype == "float32"
    assert (x @ np.ones((3, 2), "float32")).device == "gpu:0"
    assert ops.where(np.array([True, False, True]), x, 0.0).device == "gpu:0"
    assert ops.concatenate([x, np.zeros(2, "float32")]).device == "gpu:0"


def test_tensors_stay_on_their_device(simulated_gpu):
    with device("gpu"):
        x = Variable(np.arange(6.0, dtype="float32").reshape(2, 3))
    with GradientTape() as tape:  # the current device is the CPU again
        y = ops.sum(ops.softmax(x[:, ::-1] * 2) * ops.one_hot(ops.argmax(x, axis=1), 3))
    gradient = tape.gradient(y, x)
    assert {x.device, y.device, gradient.device} == {"gpu:0"}
    x.assign([[1, 2, 3], [4, 5, 6]])
    x.assign_add(np.ones((2, 3)))
    assert x.device == "gpu:0" and x.tolist() == [[2, 3, 4], [5, 6, 7]]
    assert ops.zeros_like(x).device == ops.cast(x, "int32").device == "gpu:0"


def test_to_and_from_the_gpu(simulated_gpu):
    gpu = devices.gpu()
    x = gpu.asarray([1.0, 2.0])
    assert isinstance(x, simulated_gpu.ndarray) and devices.backend_of(x) is gpu
    assert gpu.asarray(x) is x
    back = devices.cpu.asarray(x)
    assert type(back) is np.ndarray and back.tolist() == [1, 2]
    assert Tensor(x).numpy().tolist() == [1, 2] and np.asarray(Tensor(x)).tolist() == [1, 2]
    with device("gpu"):
        assert ops.convert_to_tensor(np.ones(2)).device == "gpu:0"
    assert devices.empty_like(x).shape == (2,) and devices.backend_of(devices.empty_like(x)) is gpu


@pytest.mark.parametrize("value", [["a"], [None], np.array(["2020"], "datetime64[D]")])
def test_both_backends_refuse_the_same(simulated_gpu, value):
    for backend in (devices.cpu, devices.gpu()):
        with pytest.raises(
            DTypeError, match="gpunn computes with numbers, received an array of dtype"
        ):
            backend.asarray(value)


def test_gpu_descriptions(simulated_gpu):
    gpu = devices.gpu()
    described = gpu.describe()
    assert described["device"] == "gpu:0" and described["name"] == "Simulated GPU"
    assert described["compute capability"] == "9.0" and "GiB free of" in described["memory"]
    assert devices.cpu.describe()["device"] == "cpu"
    gpu.synchronize()
    devices.cpu.synchronize()


def test_gpu_memory_stats(simulated_gpu):
    gpu = devices.gpu()
    before = gpu.memory_stats()["used"]
    array = gpu.zeros((1000,), "float64")
    assert gpu.memory_stats()["used"] - before >= 8000
    del array
    stats = gpu.memory_stats()
    assert stats["used"] == before and stats["cached"] >= 8000 and stats["peak"] == -1
    gpu.release_cache()
    assert gpu.memory_stats()["cached"] == 0


def test_zero_devices():
    class Nothing:
        class cuda:  # noqa: N801
            class runtime:  # noqa: N801
                getDeviceCount = staticmethod(lambda: 0)  # noqa: N815

    with pytest.raises(DeviceError, match="no device 'gpu:0': this machine has 0 NVIDIA GPU"):
        CupyBackend(Nothing)
