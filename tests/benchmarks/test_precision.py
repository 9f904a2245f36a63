"""The GPU races: who takes part, in which precision, and that this precision reaches each side."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import gpunn
from benchmarks import __main__ as command_line
from benchmarks import report
from benchmarks.runner import environment
from benchmarks.sides import PRECISIONS, SIDES, load, names
from benchmarks.workloads import WORKLOADS
from tests.benchmarks.test_workloads import small

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def environment_of_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("KERAS_BACKEND", "jax")


def losses(row, workload):
    side = load(row)(workload, "cpu")
    side.compile()
    return [loss for _, loss in side.train(3, shuffle=False)]


# --- the command line ---


def test_a_precision_reaches_workload_and_record(tmp_path):
    options = command_line.parse(["--device", "gpu", "--precision", "tf32"])
    assert options.names == list(WORKLOADS)  # the others have no precision
    assert command_line.chosen("mlp", options).precision == "tf32"
    assert command_line.chosen("mlp", command_line.parse([])).precision == "fp32"
    for precision, end in (("tf32", "-tf32.json"), ("fp32", ".json")):
        result = report.header(1, "cpu", False, precision)
        assert result["precision"] == precision
        assert report.default_path(result).name.endswith(f"{result['date'][:10]}{end}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "tf32"], "--precision tf32 needs --device gpu"),
        (["--precision", "half"], "invalid choice: 'half'"),
        (
            ["first_step", "--device", "gpu", "--precision", "bf16"],
            "'first_step' has no --precision; races have",
        ),
    ],
)
def test_wrong_precisions(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        command_line.parse(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_rounds_are_the_workloads_or_the_command_lines():
    for arguments, rounds in (([], 3), (["--rounds", "7"], 7), (["--quick"], 2)):
        assert command_line.chosen("resnet_32", command_line.parse(arguments)).rounds == rounds
    assert command_line.chosen("mlp", command_line.parse([])).rounds == 15


# --- who takes part ---


def test_torch_compile_is_for_gpus():
    assert names("cpu") == list(SIDES)
    assert set(names("gpu")) - set(SIDES) == {"torch compile"}


# --- the precision of each side ---


def test_precision_of_gpunn():
    try:
        for precision, products, dtype in (
            ("bf16", "highest", "bfloat16"),
            ("tf32", "high", "float32"),
            ("fp32", "highest", "float32"),
        ):
            side = load("gpunn fit")(replace(small("residual"), precision=precision), "cpu")
            assert gpunn.config.matmul_precision() == products
            assert {layer.compute_dtype for layer in side.model.layers} == {dtype}
            assert {w.dtype for w in side.model.weights} == {"float32"}
    finally:
        gpunn.config.set_matmul_precision("highest")
        gpunn.config.set_dtype_policy("float32")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precision_of_torch(precision):
    torch = pytest.importorskip("torch")
    side = load("torch last")(replace(small("image"), precision=precision), "cpu")
    tf32 = precision == "tf32"
    assert torch.backends.cuda.matmul.allow_tf32 is tf32
    assert torch.backends.cudnn.allow_tf32 is tf32
    side.compile()
    seen = []
    side.model[0].register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    side.train(1, shuffle=False)
    assert set(seen) == {torch.bfloat16 if precision == "bf16" else torch.float32}
    assert side.model[0].weight.dtype == torch.float32


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precision_of_jax_products(precision):
    """What the environment asks XLA for, in a process of its own, and the dtypes of products."""
    pytest.importorskip("jax")
    code = f"""
from dataclasses import replace
import jax
import numpy as np
from benchmarks.sides import load
from tests.benchmarks.test_workloads import small
side = load("jax loop")(replace(small("residual"), precision={precision!r}), "cpu")
side.compile()
rows = np.arange(2)
text = side.step.func.lower(side.state, side.x, side.y, rows, **side.step.keywords).as_text()
products = [line for line in text.splitlines() if "convolution(" in line or "dot_general" in line]
assert products
half = [line for line in products if "xbf16>" in line]
assert len(half) == (len(products) if {precision!r} == "bf16" else 0), products
print(jax.config.jax_default_matmul_precision)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, **environment(1, "cpu", precision)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ("tensorfloat32" if precision == "tf32" else "highest")


def test_precision_of_keras():
    keras = pytest.importorskip("keras")
    try:
        for precision, dtype in (("bf16", "bfloat16"), ("tf32", "float32"), ("fp32", "float32")):
            side = load("keras fit")(replace(small("residual"), precision=precision), "cpu")
            assert {layer.compute_dtype for layer in side.model.layers} == {dtype}
            assert {w.dtype for w in side.model.weights} == {"float32"}
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("row", [row for row in SIDES if row != "torch time"])
def test_bf16_is_the_same_training_with_less_precision(row):
    pytest.importorskip(row.split()[0])
    workload = small("residual")
    try:
        exact, rough = (losses(row, replace(workload, precision=p)) for p in ("fp32", "bf16"))
    finally:
        gpunn.config.set_dtype_policy("float32")
        if row == "keras fit":
            pytest.importorskip("keras").config.set_dtype_policy("float32")
    assert rough != exact
    assert rough == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("network", ["residual", "sequence"])
def test_torch_compile_trains_the_same_network(network, monkeypatch):
    torch = pytest.importorskip("torch")
    compiled = []

    def fake(model):
        compiled.append(model)
        return real(model)

    real = partial(torch.compile, backend="eager")  # traces, and generates no code
    monkeypatch.setattr(torch, "compile", fake)
    workload = small(network)
    assert losses("torch compile", workload) == pytest.approx(
        losses("gpunn fit", workload), rel=2e-4
    )
    assert len(compiled) == 1
    kernels = [w for w in compiled[0].parameters() if w.dim() == 4]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in kernels)
