"""model.step.describe(): what was recorded, as text; taking times changes no value."""

import re

import numpy as np
import pytest

import gpunn
from gpunn import layers, ops
from gpunn.backend import devices, kernel

RNG = np.random.default_rng(5)
X = RNG.standard_normal((8, 6)).astype("float32")
Y = RNG.integers(0, 3, 8).astype("int32")
DEVICES = ["cpu", "gpu:0"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    """Rich folds its lines at the width of the terminal."""
    monkeypatch.setenv("COLUMNS", "200")


def trained(steps=4, jit_compile="auto", name=None):
    gpunn.utils.set_random_seed(3)
    model = gpunn.Sequential(
        [
            layers.Dense(5, "tanh"),
            layers.Dropout(0.3),
            layers.Dense(3, "softmax"),
        ],
        name=name,
    )
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=jit_compile)
    for _ in range(steps):
        model.train_on_batch(X, Y)
    return model


def values(model):
    """Weights, slots, metric states and dropout's stream."""
    states = [v for metric in model.metrics for v in metric.variables]
    (stream,) = [la.seed_generator.state for la in model.layers if isinstance(la, layers.Dropout)]
    found = [*model.weights, *model.optimizer.variables, *states, stream]
    assert len(states) == 4 and int(model.optimizer.iterations) > 0
    return [np.array(devices.to_numpy(v.data)) for v in found]


def rows(text):
    """The cells of each row of the table below its head."""
    return [
        [cell.strip() for cell in line.strip("│ ").split("│")]
        for line in text.splitlines()
        if line.startswith("│")
    ]


@pytest.mark.parametrize("device", DEVICES)
def test_the_table_lists_kernels_in_order(simulated_gpu, capsys, device):
    with gpunn.device(device):
        model = trained()
        model.step.describe()
    text = capsys.readouterr().out
    assert text.startswith(f"train, {device}, batch (8, 6) f, (8,) i")
    table = rows(text)
    names = [row[0] for row in table]
    assert set(names) <= set(kernel.registry)
    wanted = ["gemm", "dropout_mask", "gemm", "softmax_forward", "sparse_cross_entropy", "adam"]
    assert [n for n in names if n in wanted][:3] == wanted[:3] and set(wanted) <= set(names)
    positions = [names.index(n) for n in wanted[1:2] + wanted[3:]]
    assert positions == sorted(positions)
    assert all(len(row) == 4 for row in table)
    gemm = table[0]
    assert gemm[1].split(") ")[:2] == ["(8, 6", "(6, 5"] and re.fullmatch(r"\d+ B", gemm[3])
    (softmax,) = [row for row in table if row[0] == "softmax_forward"]
    assert softmax[1:] == ["(8, 3) (8, 3)", "", "192 B"]
    (mask,) = [row for row in table if row[0] == "dropout_mask"]
    assert mask[2] == "rate=0.3"
    caption = re.search(r"(\d+) kernels; [\d.]+ (B|KiB|MiB) of buffers of its own, [\d.]+ "
                        r"(B|KiB) of inputs, weights and states", text)  # fmt: skip
    assert int(caption[1]) == len(table)
    assert "µs" not in text


@pytest.mark.parametrize("device", DEVICES)
def test_times_are_taken_and_nothing_changes(simulated_gpu, capsys, device):
    with gpunn.device(device):
        model, same = trained(), trained()
        model.evaluate(X, Y, verbose=0)
        same.evaluate(X, Y, verbose=0)
        before = values(model)
        model.step.describe(times=True)
        for a, b in zip(before, values(model), strict=True):
            np.testing.assert_array_equal(a, b)
        for _ in range(2):  # the recording still makes the same steps
            assert model.train_on_batch(X, Y) == same.train_on_batch(X, Y)
        for a, b in zip(values(model), values(same), strict=True):
            np.testing.assert_array_equal(a, b)
    text = capsys.readouterr().out
    *table, total = rows(text.split("test, ")[0])
    assert "µs" in text
    times = [float(row[4]) for row in table]
    assert total[0] == "all" and all(t >= 0 for t in times)
    assert float(total[4]) == pytest.approx(sum(times), abs=0.05 * (len(times) + 1))


def test_times_are_taken_on_the_device_of_the_step(simulated_gpu, capsys, monkeypatch):
    with gpunn.device("gpu:0"):
        model = trained()
    waited = []
    gpu = devices.by_name("gpu:0")
    monkeypatch.setattr(type(gpu), "synchronize", lambda self: waited.append(self.device))
    model.step.describe(times=True)
    assert waited.count("gpu:0") >= 2 * len(rows(capsys.readouterr().out)) - 2


def test_each_kind_of_step_and_batch_has_a_part(capsys):
    model = trained(steps=3)
    for rows_used in (8, 8, 8, 5):
        model.test_on_batch(X[:rows_used], Y[:rows_used])
    model.predict_on_batch(X)
    model.step.describe()
    text = capsys.readouterr().out
    parts = re.findall(r"^(train|test|predict), cpu, batch (.*?)(?:: not recorded \((.*)\))?\s*$",
                       text, re.M)  # fmt: skip
    waits = "a step is recorded when it runs the third time"
    assert parts == [
        ("train", "(8, 6) f, (8,) i", ""),
        ("test", "(8, 6) f, (8,) i", ""),
        ("test", "(5, 6) f, (5,) i", waits),
        ("predict", "(8, 6) f", waits),
    ]


def test_before_the_first_step():
    model = gpunn.Sequential([gpunn.Input((6,)), layers.Dense(3)], name="net")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"Model 'net' has made no step yet\. Call fit\(\)"):
            model.step.describe()
        model.compile("sgd", "mse")


def test_eager_steps_say_so(capsys):
    model = trained(jit_compile=False, name="net[a]")
    for times in (False, True):
        model.step.describe(times=times)
    line = "The steps of 'net[a]' are not recorded: they run eagerly.\n"
    assert capsys.readouterr().out == 2 * line


class Reads(gpunn.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(x) * (2.0 if float(ops.sum(x)) > 0 else 3.0)  # the line


@pytest.mark.parametrize("device", DEVICES)
def test_a_step_with_a_problem_says_why(simulated_gpu, capsys, device):
    line = Reads.call.__code__.co_firstlineno + 1
    with gpunn.device(device):
        model = Reads()
        model.compile("sgd", "mse", jit_compile=True)
        model.train_on_batch(X, X[:, :3])
        with pytest.warns(UserWarning, match="runs eagerly"):
            model.train_on_batch(X, X[:, :3])
    model.step.describe(times=True)
    assert capsys.readouterr().out == (
        f"train, {device}, batch (8, 6) f, (8, 3) f: not recorded (a value is read on the host at "
        f"{__file__}:{line})\n"
    )


def test_numbers_among_the_arrays_of_a_kernel(capsys):
    """`x > 0` has a number where another kernel has an array."""
    model = gpunn.Sequential([gpunn.Input((4,)), gpunn.layers.Lambda(lambda x: x * (x > 0))])
    model.compile("sgd", "mse", jit_compile=True)
    for _ in range(4):
        model.predict_on_batch(np.ones((3, 4), "float32"))
    model.step.describe(times=True)
    assert "greater" in capsys.readouterr().out
