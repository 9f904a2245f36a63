"""Every workload has the data and weights it says, and is the same network on every side."""

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import memory
from benchmarks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Embedding,
    Flatten,
    GlobalPool,
    MaxPool,
    Recurrent,
    Residual,
    Separable,
    StepMean,
    orthogonal,
    same_padding,
)
from benchmarks.sides import SIDES, load
from benchmarks.workloads import WORKLOADS, Workload, goals

IMAGES = (
    Conv(3, 3, relu=True, padding="valid"), Depthwise(3), MaxPool(2), Separable(4, 3),
    Conv(5, 1), Flatten(), Dense(6, relu=True), Dense(3),
)  # fmt: skip
#: Strides meet even and odd lengths: their paddings differ between the frameworks.
RESIDUAL = (
    Conv(4, 3, stride=2, bias=False), BatchNorm(relu=True),
    Residual(
        (Conv(5, 3, stride=2, bias=False), BatchNorm(relu=True), Conv(5, 3), BatchNorm()),
        (Conv(5, 1, stride=2, bias=False), BatchNorm()),
    ),
    Residual((Conv(5, 3, bias=False), BatchNorm())),
    Depthwise(3, stride=2, bias=False), BatchNorm(relu=True), GlobalPool(), Dense(3),
)  # fmt: skip
#: Small, uneven and with every layer: where axes or weights change places, losses differ.
NETWORKS = {
    "image": ((9, 6, 2), IMAGES),
    "residual": ((18, 15, 2), RESIDUAL),
    "sequence": ((9, 3), (Conv(4, 5, relu=True), Conv(3, 3, padding="valid"), Flatten(), Dense(3))),
    "volume": ((4, 5, 3, 2), (Conv(3, 3, relu=True), Conv(2, 1), Flatten(), Dense(3))),
    "positions": ((5, 4, 3), (Conv(4, 3), Conv(2, 3))),
    "steps": (
        (5, 3),
        (
            Recurrent("lstm", 4, sequences=True),
            Recurrent("gru", 5, sequences=True, both=True),
            Recurrent("lstm", 3, sequences=True, both=True),
            Recurrent("gru", 4),
            Dense(3),
        ),
    ),
    "tokens": (
        (5,),
        (
            Embedding(11, 4),
            Recurrent("gru", 3, sequences=True),
            Recurrent("lstm", 4, both=True),
            Dense(3),
        ),
    ),
    "bag": ((5,), (Embedding(11, 4), StepMean(), Dense(3))),
}
#: By which the optimizers of small networks differ from Adam, which magnifies rounding.
OPTIMIZERS = {"residual": "sgd", "steps": "sgd", "tokens": "sgd", "bag": "descent"}  # fmt: skip


def small(name):
    shape, layers = NETWORKS[name]
    loss = "mse" if name == "positions" else "crossentropy"
    optimizer = OPTIMIZERS.get(name, "adam")
    rate = 0.1 if name in ("steps", "tokens", "bag") else 1e-2
    tokens = 11 if isinstance(layers[0], Embedding) else 0
    return Workload(
        name, "", shape, layers, 4, loss, optimizer, steps=3, learning_rate=rate, tokens=tokens
    )


@pytest.mark.parametrize("name", WORKLOADS)
def test_data_and_weights_fit_the_workload(name):
    workload = WORKLOADS[name].quick()
    x, y = workload.data()
    n, output = workload.steps * workload.batch, workload.output()
    assert x.shape == (n, *workload.shape)
    assert x.dtype == ("int32" if workload.tokens else "float32")
    if workload.tokens:
        assert x.min() >= 0 and 0.99 * workload.tokens < x.max() < workload.tokens
    if workload.loss == "crossentropy":
        assert y.shape == (n,) and set(np.unique(y)) <= set(range(output[-1]))
        assert len(np.unique(y)) > min(n, output[-1]) / 3
    else:
        assert y.shape == (n, *output) and y.dtype == "float32" and y.std() > 0.1
    if workload.ones:
        ones = (x == 1).sum(axis=1)
        assert ((x == 0) | (x == 1)).all() and 0.9 * workload.ones < ones.mean() <= workload.ones
    for w in workload.weights():
        assert w.dtype == "float32"
        bias = w.ndim == 1 or (w.ndim == 2 and len(w) == 2)  # a GRU has two
        if not bias:
            assert w.std() > 0
        else:  # 0, of batch norms 0 or 1, of an LSTM 1 in a quarter: the forget gate
            assert set(np.unique(w)) <= {0, 1} and w.mean() in (0, 0.25, 1)
    assert len(workload.trained()) == len(workload.weights())


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("mlp", [(784, 512), (512,), (512, 512), (512,), (512, 10), (10,)]),
        ("mnist_cnn", [(3, 3, 1, 32), (32,), (3, 3, 32, 64), (64,), (1600, 10), (10,)]),
        ("layer_conv1x1", [(1, 1, 64, 128), (128,), (1, 1, 128, 64), (64,)]),
        ("layer_depthwise", [(3, 3, 64, 1), (64,)] * 2),
        ("layer_separable", [(3, 3, 64, 1), (1, 1, 64, 64), (64,)] * 2),
        ("layer_conv1d", [(9, 16, 32), (32,), (9, 32, 16), (16,)]),
        ("lstm_128", [(64, 512), (128, 512), (512,), (128, 10), (10,)]),
        ("gru_128", [(64, 384), (128, 384), (2, 384), (128, 10), (10,)]),
        (
            "bilstm_text",
            [(20000, 32), *[(32, 128), (32, 128), (128,)] * 2]
            + [*[(64, 128), (32, 128), (128,)] * 2, (64, 1), (1,)],
        ),
        ("embedding_100k", [(100_000, 64), (64, 1), (1,)]),
        ("layer_conv3d", [(3, 3, 3, 8, 16), (16,), (3, 3, 3, 16, 8), (8,)]),
    ],
)
def test_the_shapes_of_the_weights(name, shapes):
    assert [w.shape for w in WORKLOADS[name].weights()] == shapes


def test_kernels_are_glorot_uniform():
    kernel, _ = Conv(32, 3).weights(np.random.default_rng(0), (8, 8, 16))
    limit = math.sqrt(6 / (9 * (16 + 32)))
    assert 0.99 * limit < np.abs(kernel).max() <= limit and abs(kernel.mean()) < 0.05 * limit
    kernel, _ = Depthwise(3).weights(np.random.default_rng(0), (8, 8, 64))
    limit = math.sqrt(6 / 18)  # each channel for itself
    assert 0.98 * limit < np.abs(kernel).max() <= limit


def test_recurrent_kernels_are_orthogonal():
    found = orthogonal(np.random.default_rng(0), 4, 12)
    assert found.shape == (4, 12) and found.dtype == "float32"
    np.testing.assert_allclose(found @ found.T, np.eye(4), atol=1e-6)


def test_resnet_and_mobilenet_are_as_large_as_published():
    resnet, mobilenet = (WORKLOADS[name] for name in ("resnet_32", "mobilenet_64"))
    sizes = [
        sum(w.size for w, used in zip(found.weights(), found.trained(), strict=True) if used)
        for found in (resnet, mobilenet)
    ]
    # ResNet-18 for CIFAR-10; keras.applications.MobileNet(alpha=0.5), without its top
    assert sizes == [11_173_962, 818_592 + 512 * 10 + 10]
    averages = sum(not trained for trained in resnet.trained())
    assert averages == 2 * 20  # of 17 convolutions and 3 projections
    assert {shape[0] for _, shape in resnet.walk() if len(shape) == 3} == {32, 16, 8, 4}
    assert {shape[0] for _, shape in mobilenet.walk() if len(shape) == 3} == {64, 32, 16, 8, 4, 2}


@pytest.mark.parametrize(
    ("length", "size", "stride", "expected"),
    [(32, 3, 2, (0, 1)), (33, 3, 2, (1, 1)), (8, 1, 2, (0, 0)), (7, 4, 3, (1, 2))],
)
def test_same_padding_is_tensorflows(length, size, stride, expected):
    assert same_padding(length, size, stride) == expected


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", [name for name in SIDES if name != "gpunn fit"])
def test_all_sides_train_the_same_network(name, network, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    framework = name.split()[0]
    if framework != "gpunn":
        pytest.importorskip(framework)
    workload = small(network)
    series = network in ("steps", "tokens", "bag")
    if name == "torch last" and (series or network == "sequence"):
        with pytest.raises(ValueError, match="channels_last is for images and volumes"):
            load(name)(workload, "cpu")
        return
    if name == "torch time" and not series:
        with pytest.raises(ValueError, match="only sequences can have their time first"):
            load(name)(workload, "cpu")
        return
    losses = []
    for side in ("gpunn fit", name):
        made = load(side)(workload, "cpu")
        made.compile()
        losses.append([loss for _, loss in made.train(3, shuffle=False)])
    assert losses[0] == pytest.approx(losses[1], rel=2e-4)
    assert losses[0][-1] < losses[0][0]


def test_torch_last_has_its_channels_last():
    torch = pytest.importorskip("torch")
    side = load("torch last")(small("image"), "cpu")
    batch = side.gathered(side.x, torch.tensor([2, 0]))
    assert batch.shape == (2, 2, 9, 6)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert side.model[0].weight.is_contiguous(memory_format=torch.channels_last)
    first = load("torch loop")(small("image"), "cpu")
    other = first.gathered(first.x, torch.tensor([2, 0]))
    assert other.is_contiguous() and torch.equal(batch, other)


def test_torch_time_has_its_time_first():
    torch = pytest.importorskip("torch")
    side = load("torch time")(small("steps"), "cpu")
    first = load("torch loop")(small("steps"), "cpu")
    rows = torch.tensor([2, 0])
    batch = side.gathered(side.x, rows)
    assert batch.shape == (5, 2, 3) and side.gathered(side.y, rows).shape == (2,)
    assert torch.equal(batch, first.gathered(first.x, rows).transpose(0, 1))
    assert [m.batch_first for m in (side.model[0].rnn, first.model[0].rnn)] == [False, True]


def test_only_plain_descent_has_sparse_gradients_in_torch():
    pytest.importorskip("torch")
    found = {name: load("torch loop")(small(name), "cpu").model[0] for name in ("bag", "tokens")}
    assert found["bag"].sparse and not found["tokens"].sparse


def test_a_goal_counts_for_all_layouts():
    assert goals(torch=1.4) == {"torch loop": 1.4, "torch last": 1.4, "torch time": 1.4}
    assert goals(torch=0.9, keras=1.0)["keras fit"] == 1.0
    for workload in WORKLOADS.values():
        assert set(workload.goals) <= set(SIDES)


# --- memory ---


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")
def test_resident_memory_grows_with_what_is_held():
    before = memory.resident()
    held = np.ones(64_000_000, "uint8")
    assert 50 < memory.resident() - before < 80
    assert held[-1] == 1


@pytest.mark.skipif(memory.Peak().growth() is None, reason="the system forgets no peaks")
def test_the_peak_is_of_memory_that_was_given_back_too():
    np.ones(128_000_000, "uint8")  # before the start: not counted
    peak = memory.Peak()
    assert peak.growth() < 20
    np.ones(64_000_000, "uint8")
    assert 50 < peak.growth() < 90


def test_no_memory_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROC", tmp_path / "missing")
    assert memory.resident() is None and memory.Peak().growth() is None


def test_no_peak_where_none_can_be_forgotten(monkeypatch, tmp_path):
    (tmp_path / "statm").write_text("100 50 3")
    (tmp_path / "clear_refs").mkdir()  # cannot be written
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert memory.resident() is not None and memory.Peak().growth() is None
