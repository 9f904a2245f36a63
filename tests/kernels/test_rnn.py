"""Sequences that run in one launch: when they do, and what their barrier is for."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

import gpunn
from gpunn.backend import cublaslt, devices
from gpunn.backend.cuda import read_source
from gpunn.ops.rnn import gru_sequence
from gpunn.ops.rnn_lstm import lstm_backward, lstm_forward
from tests.simulated_gpu.device import statistics
from tests.simulated_gpu.emulator import EmulatedModule, EmulatorError


def sequence(steps=3, rows=5, units=10, seed=0):
    rng = np.random.default_rng(seed)
    gates = rng.standard_normal((steps, rows, 4 * units)).astype("float32")
    U = (rng.standard_normal((units, 4 * units)) / units**0.5).astype("float32")
    hs, cs = rng.standard_normal((2, steps + 1, rows, units)).astype("float32")
    return gates, U, hs, cs


def by_loops(gates, U, hs, cs):
    """The states of a float64 loop."""
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    h, c, found = hs[0].astype(float), cs[0].astype(float), []
    for z in gates.astype(float):
        i, f, g, o = np.split(z + h @ U, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        found.append((h, c))
    return [np.stack(part) for part in zip(*found)]


def launches(before):
    return {
        k: v - before.get(k, 0) for k, v in statistics().launches.items() if v > before.get(k, 0)
    }


@pytest.mark.parametrize(
    ("units", "rows", "is_one_launch"),
    [(10, 5, True), (16, 64, True), (17, 5, False), (10, 65, False)],
)
def test_one_launch_where_all_blocks_are_resident(simulated_gpu, units, rows, is_one_launch):
    """The simulated device has four multiprocessors, so four blocks of four units."""
    gpu = devices.gpu()
    gates, U, hs, cs = sequence(2, rows, units)
    expected = by_loops(gates, U, hs, cs)
    arrays = [gpu.asarray(a) for a in (gates, U)], [gpu.asarray(a) for a in (hs, cs)]
    before = dict(statistics().launches)
    lstm_forward(*arrays[0], None, *arrays[1])
    found = launches(before)
    assert any("lstm_persistent" in name for name in found) == is_one_launch
    assert any("lstm_cell_forward" in name for name in found) != is_one_launch
    for received, wanted in zip(arrays[1], expected, strict=True):
        np.testing.assert_allclose(received.get()[1:], wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("units", "is_one_launch"), [(10, True), (17, False)])
@pytest.mark.parametrize("masked", [False, True])
def test_the_way_back(simulated_gpu, units, is_one_launch, masked):
    gpu = devices.gpu()
    arrays = gradients_of(units, masked)
    expected = [None if a is None else a.copy() for a in arrays]
    lstm_backward.reference(np, *expected)
    on_gpu = [None if a is None else gpu.asarray(a) for a in arrays]
    before = dict(statistics().launches)
    lstm_backward(*on_gpu)
    found = launches(before)
    assert any("lstm_persistent_backward" in name for name in found) == is_one_launch
    assert any("lstm_cell_backward" in name for name in found) != is_one_launch
    for received, wanted in zip(on_gpu[-3:], expected[-3:], strict=True):
        np.testing.assert_allclose(received.get(), wanted, rtol=1e-5, atol=1e-5)


def gradients_of(units=10, masked=False, steps=3, rows=5):
    """gates, cs, U, mask, dy, dh, dc, dz"""
    rng = np.random.default_rng(1)
    gates = rng.uniform(0, 1, (steps, rows, 4 * units)).astype("float32")
    cs = rng.standard_normal((steps + 1, rows, units)).astype("float32")
    U = (rng.standard_normal((units, 4 * units)) / units**0.5).astype("float32")
    mask = rng.uniform(size=(steps, rows)) < 0.6 if masked else None
    dy = rng.standard_normal((steps, rows, units)).astype("float32")
    dh, dc = rng.standard_normal((2, rows, units)).astype("float32")
    return gates, cs, U, mask, dy, dh, dc, np.full(gates.shape, np.nan, "float32")


def test_without_cublaslt_the_reference_computes(simulated_gpu):
    cublaslt.use_library(None)
    gpu = devices.gpu()
    gates, U, hs, cs = sequence(2, 65, 5)
    expected = by_loops(gates, U, hs, cs)
    on_gpu = [gpu.asarray(a) for a in (gates, U, hs, cs)]
    lstm_forward(*on_gpu[:2], None, *on_gpu[2:])
    np.testing.assert_allclose(on_gpu[2].get()[1:], expected[0], rtol=1e-5, atol=1e-6)


def persistent(arrays, *options, order=0):
    gates, U, hs, cs = arrays
    steps, rows, units = len(gates), *hs.shape[1:]
    name = "lstm_persistent<float>"
    module = EmulatedModule(read_source("rnn_lstm.cu"), options, [name])
    numbers = map(np.int32, (steps, steps + 1, steps + 1, rows, units))
    arguments = gates, U, np.uint64(0), hs, cs, np.zeros(1, np.uint32), *numbers
    shared = 4 * (16 * (units + 1) + 64 * 33)
    module.get_function(name)(
        (-(-units // 4),), (256,), arguments, shared, cooperative=True, order=order
    )


@pytest.mark.parametrize("order", [0, 1, 5])
def test_persistent_in_any_order_of_blocks(simulated_gpu, order):
    arrays = sequence()
    expected = by_loops(*arrays)
    persistent(arrays, order=order)
    np.testing.assert_allclose(arrays[2][1:], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(arrays[3][1:], expected[1], rtol=1e-5, atol=1e-6)


def test_the_barrier_is_needed(simulated_gpu):
    with pytest.raises(EmulatorError, match="race on arg3"):
        persistent(sequence(), "-DWITHOUT_BARRIER")


def persistent_backward(arrays, *options, order=0):
    gates, cs, U, _, dy, dh, dc, dz = arrays
    steps, rows, units = len(gates), *dh.shape
    name = "lstm_persistent_backward<float>"
    module = EmulatedModule(read_source("rnn_lstm.cu"), options, [name])
    numbers = map(np.int32, (steps, rows, units))
    arguments = gates, cs, U, np.uint64(0), dy, dh, dc, dz, np.zeros(1, np.uint32), *numbers
    shared = 4 * (4 * (4 * units + 1) + 64 * 33)
    module.get_function(name)(
        (-(-units // 4),), (256,), arguments, shared, cooperative=True, order=order
    )


@pytest.mark.parametrize("order", [0, 1, 5])
def test_the_way_back_in_any_order_of_blocks(simulated_gpu, order):
    arrays = gradients_of()
    expected = [None if a is None else a.copy() for a in arrays]
    lstm_backward.reference(np, *expected)
    persistent_backward(arrays, order=order)
    for received, wanted in zip(arrays[-3:], expected[-3:], strict=True):
        np.testing.assert_allclose(received, wanted, rtol=1e-5, atol=1e-5)


def test_the_barrier_is_needed_on_the_way_back(simulated_gpu):
    with pytest.raises(EmulatorError, match="race on arg7"):
        persistent_backward(gradients_of(), "-DWITHOUT_BARRIER")


@pytest.mark.parametrize(("rows", "is_one_launch"), [(5, True), (65, False)])
def test_a_gru_in_one_launch(simulated_gpu, rows, is_one_launch):
    """There and back, equal to the CPU."""

    def run():
        rng = np.random.default_rng(2)
        x, w, u, b = (
            gpunn.Variable(rng.standard_normal(s).astype("float32") / 2)
            for s in ((rows, 3, 4), (4, 30), (10, 30), (2, 30))
        )
        with gpunn.GradientTape() as tape:
            y, h = gru_sequence(x, w, u, b, return_sequences=True)
            loss = gpunn.ops.sum(y * y) + gpunn.ops.sum(h)
        return [y.numpy(), *(g.numpy() for g in tape.gradient(loss, [x, w, u, b]))]

    expected, before = run(), dict(statistics().launches)
    with gpunn.device("gpu:0"):
        received = run()
    found = launches(before)
    for way in ("", "_backward"):
        assert any(f"gru_persistent{way}<" in name for name in found) == is_one_launch
        step = f"gru_cell{way or '_forward'}<"
        assert any(step in name for name in found) != is_one_launch
    for a, b in zip(received, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_barrier_of_a_gru_is_needed(simulated_gpu):
    rng = np.random.default_rng(0)
    gates = rng.standard_normal((3, 5, 30)).astype("float32")
    U = rng.standard_normal((10, 30)).astype("float32")
    n, hs = np.zeros((3, 5, 10), "float32"), np.zeros((4, 5, 10), "float32")
    name, null = "gru_persistent<float>", np.uint64(0)
    numbers = [np.int32(v) for v in (3, 3, 4, 5, 10)]
    arguments = gates, U, null, null, n, hs, np.zeros(1, np.uint32), *numbers
    shared = 4 * (12 * 11 + 64 * 33)
    for options, refused in (((), False), (("-DWITHOUT_BARRIER",), True)):
        module = EmulatedModule(read_source("rnn_gru.cu"), options, [name])
        with pytest.raises(EmulatorError, match="race on arg5") if refused else nullcontext():
            module.get_function(name)((3,), (256,), arguments, shared, cooperative=True)
