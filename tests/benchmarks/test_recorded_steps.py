"""The benchmarks of recorded steps: overhead, first_step and long_run."""

import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import __main__ as command_line
from benchmarks import first_step, long_run, report
from benchmarks.runner import apart, reason
from benchmarks.sides import load
from benchmarks.sides.clocked import Clock, ClockedData, ClockedFit
from benchmarks.sides.gpunn import programs
from benchmarks.workloads import WORKLOADS
from gpunn.training.data import ArrayData

ROOT = Path(__file__).parents[2]
SMALL = WORKLOADS["mlp_small"].quick()


@pytest.fixture(autouse=True)
def on_numpy(monkeypatch):
    monkeypatch.setenv("GPUNN_BACKEND", "numpy")  # of the processes that are started


def printed(table, result):
    console = Console(record=True, width=100, file=io.StringIO())
    table(result, console)
    return console.export_text()


def test_quick_runs_write_every_field(tmp_path):
    path = tmp_path / "result.json"
    names = ("overhead", "long_run")
    command = [sys.executable, "-m", "benchmarks", *names, "--quick", "--threads", "1"]
    done = subprocess.run(
        [*command, "--json", str(path)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["workloads"] == {}
    found = result["overhead"]
    assert (found["workload"], found["steps"], found["rounds"]) == ("mlp_small", 12, 2)
    parts = found["parts"]
    assert list(parts) == list(report.PARTS)
    for row in parts.values():
        assert len(row["us"]) == 2 and 0 < row["us_min"] == min(row["us"]) <= row["us_median"]
    assert {name: row["goal"] for name, row in parts.items() if row["goal"]} == {"outside": 20}
    for outside, gather, program, fit in zip(
        *(parts[name]["us"] for name in ("outside", "gather", "program", "fit")), strict=True
    ):
        assert outside + gather + program == pytest.approx(fit)
    assert "outside the recorded program" in done.stdout and "≤ 20.00" in done.stdout

    found = result["long_run"]
    assert (found["workload"], found["steps"]) == ("mlp_small", 1000)
    assert found["losses_agree"] is True
    assert "losses and weights: equal bit for bit" in done.stdout
    recorded, eager = found["rows"]
    assert [row["way"] for row in found["rows"]] == ["fit", "eager"]
    points = recorded["checkpoints"]
    assert [point["step"] for point in points] == list(range(100, 1001, 100))
    assert points[-1]["loss"] < points[0]["loss"]
    assert [p["loss"] for p in points] == [p["loss"] for p in eager["checkpoints"]]
    for point in (*points, *eager["checkpoints"]):
        assert point["ms"] > 0
        assert point["rss_mb"] is None or 10 < point["rss_mb"] < 1000


# --- overhead ---


def test_a_clock_counts_the_seconds_inside(monkeypatch):
    times = iter([1.0, 1.5, 7.0, 9.0])
    monkeypatch.setattr("benchmarks.sides.clocked.time.perf_counter", lambda: next(times))
    clock = Clock(lambda a, b: a - b)
    assert clock(5, b=2) == 3 and (clock.seconds, clock.end) == (0.5, 1.5)
    assert clock(1, 1) == 0 and (clock.seconds, clock.end) == (2.5, 9.0)


def test_clocked_data_gives_the_batches_of_its_arrays():
    x, y = SMALL.data()
    clocked, plain = (kind(x, y, None, 50) for kind in (ClockedData, ArrayData))
    walks = (data.batches(np.random.default_rng(1)) for data in (clocked, plain))
    for ours, theirs in zip(*walks, strict=True):
        assert np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[1], theirs[1])
        assert ours[2] is theirs[2] is None
    assert clocked.gather.seconds > 0


def test_the_clocked_fit_trains_and_needs_a_recording():
    fit = ClockedFit(SMALL, "cpu")
    before = fit.model.evaluate(fit.x, fit.y, verbose=0)
    fit.parts()
    assert fit.model.evaluate(fit.x, fit.y, verbose=0) < before
    fit.model.compile("adam", "mse", jit_compile=False)
    with pytest.raises(RuntimeError, match=r"^fit has recorded 0 programs instead of one\.$"):
        fit.parts()


@pytest.mark.parametrize(("name", "count"), [("gpunn fit", 1), ("gpunn eager", 0)])
def test_which_sides_record(name, count):
    side = load(name)(SMALL, "cpu")
    side.compile()
    side.train(1, shuffle=False)
    assert len(programs(side.model)) == count


# --- first_step ---


def test_first_steps_of_gpunn(monkeypatch):
    monkeypatch.setattr(first_step, "ROWS", ("gpunn fit", "gpunn eager"))
    told = []
    found = first_step.first_step(SMALL, "cpu", 1, told.append)
    assert told == ["first_step: gpunn fit, 1 of 1", "first_step: gpunn eager, 1 of 1"]
    assert found["left_out"] == {} and found["losses_agree"] is True
    assert [row["way"] for row in found["rows"]] == ["fit", "eager"]
    for row in found["rows"]:
        assert len(row["losses"]) == 3 and row["losses"] == sorted(row["losses"], reverse=True)
        assert 0 < row["first_median"] < row["third_median"]
    assert found["rows"][0]["losses"] == pytest.approx(found["rows"][1]["losses"], rel=1e-4)


def test_first_steps_take_medians_and_name_who_is_missing(monkeypatch):
    turns = itertools.count()

    def fake(function, name, workload, device):
        assert function is first_step.measure
        if name == "jax loop":
            raise ModuleNotFoundError("No module named 'jax'")
        turn = next(turns) // 2  # of two sides
        if name == "torch loop" and turn == 2:
            raise RuntimeError("out of\nmemory")
        return [3.0, 1.0, 2.0][turn], [4.0, 6.0, 5.0][turn], [1.0, 0.9, 0.8]

    monkeypatch.setattr(first_step, "apart", fake)
    monkeypatch.setattr(first_step, "ROWS", ("gpunn fit", "jax loop", "torch loop"))
    found = first_step.first_step(SMALL, "cpu", 3, lambda message: None)
    assert found["left_out"] == {
        "jax loop": "not installed (No module named 'jax')",
        "torch loop": "RuntimeError: out of",
    }
    (row,) = found["rows"]
    assert (row["framework"], row["way"]) == ("gpunn", "fit")
    assert row["first_median"] == 2.0 and row["third_median"] == 5.0
    assert row["first"] == [3.0, 1.0, 2.0] and row["third"] == [4.0, 6.0, 5.0]
    text = printed(report.first_step_table, found)
    assert "gpunn fit" in text and "2.000" in text and "left out: torch loop" in text


def test_first_steps_without_a_device(monkeypatch):
    monkeypatch.setattr(first_step, "ROWS", ("gpunn fit",))
    found = first_step.first_step(SMALL, "gpu:99", 1, lambda message: None)
    assert found["left_out"]["gpunn fit"].startswith("DeviceError: ") and found["rows"] == []
    assert not command_line.sound(found)


# --- long_run ---


def rows(losses=(0.5, 0.25), weights="ab", memory=50.0):
    points = [
        {"step": 10 * i + 10, "loss": x, "ms": 1.0, "rss_mb": memory} for i, x in enumerate(losses)
    ]
    return {
        "framework": "gpunn", "way": "fit", "ms_median": 1.0, "ms_min": 1.0,
        "checkpoints": points, "weights": weights,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (rows(), True),
        (rows(losses=(0.5, np.nextafter(0.25, 1))), False),
        (rows(weights="ac"), False),
    ],
)
def test_equal_means_every_bit(other, equal):
    assert long_run.equal(rows(), other) is equal


def test_a_disagreement_is_printed_and_fails(monkeypatch):
    found = {
        "workload": "mlp_small", "steps": 20, "losses_agree": False,
        "rows": [rows(memory=None), rows(losses=(0.5, 0.125), memory=None)],
    }  # fmt: skip
    text = printed(report.long_run_table, found)
    assert "Recorded and eager steps disagree." in text and "[0.5, 0.125], ab" in text
    assert "MB at 20" in text and "?" in text  # the memory is not known everywhere
    monkeypatch.setattr(command_line, "environment", lambda *_: {})
    monkeypatch.setattr(command_line, "long_run", lambda *_: found)
    assert command_line.main(["long_run", "--quick"]) == 1
    found["losses_agree"] = True
    assert command_line.main(["long_run", "--quick"]) == 0


def test_a_long_run_that_is_not_recorded_is_an_error(monkeypatch):
    eager = load("gpunn eager")
    monkeypatch.setattr(long_run, "load", lambda name: eager)
    with pytest.raises(RuntimeError, match=r"^gpunn fit ran eager steps\.$"):
        long_run.measure("gpunn fit", SMALL, "cpu", 1)


def test_the_digest_sees_one_bit():
    weights = [np.ones((2, 3), "float32"), np.zeros(3, "float32")]
    expected = hashlib.sha256(weights[0].tobytes() + weights[1].tobytes()).hexdigest()
    assert long_run.digest(weights) == expected
    weights[1][2] = -0.0
    assert long_run.digest(weights) != expected


# --- processes of their own ---


def test_apart_is_another_process():
    assert apart(os.getpid) != os.getpid()
    with pytest.raises(ValueError, match="invalid literal for int"):
        apart(int, "x")


def test_reasons_are_one_line():
    assert reason(ImportError("no jax")) == "not installed (no jax)"
    assert reason(ValueError("first\nsecond")) == "ValueError: first"
    assert reason(KeyError()) == "KeyError: no message"
