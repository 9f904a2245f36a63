"""The benchmarks run end to end, check themselves, and write what they say they write."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import __main__ as command_line
from benchmarks import report, startup
from benchmarks.runner import (
    Row,
    Worker,
    environment,
    losses_agree,
    on_cores,
    usable_cores,
)
from benchmarks.sides import SIDES
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_a_quick_run_writes_every_field(tmp_path):
    path = tmp_path / "new" / "result.json"
    done = run("mlp_small", "--quick", "--threads", 1, "--json", path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["hardware"]["cpu"] and result["hardware"]["gpu"] is None
    assert result["date"][:2] == "20" and result["threads"] == 1
    assert result["device"] == "cpu" and result["quick"] is True
    assert result["versions"]["numpy"] == np.__version__
    found = result["workloads"]["mlp_small"]
    assert found["losses_agree"] is True
    assert found["rounds"] == 2 and found["steps"] == 12
    rows = {f"{r['framework']} {r['way']}": r for r in found["rows"]}
    assert {"gpunn fit", "gpunn eager", "gpunn step"} <= set(rows)
    assert set(rows) | set(found["left_out"]) == set(SIDES)
    for name, row in rows.items():
        assert len(row["ms"]) == 2 and 0 < row["ms_min"] == min(row["ms"]) <= row["ms_median"]
        assert row["cores"] > 0
        assert row["peak_mb"] is None or 0 < row["peak_mb"] < 1000
        assert (row["ratio"] is None) == (name == "gpunn fit")
        assert name in done.stdout
    if "torch loop" in rows:
        assert rows["torch loop"]["goal"] == 0.6


def test_sizes_from_the_command_line():
    done = run("size", "--quick", "--threads", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of which its own" in done.stdout and "gpunn" in done.stdout
    assert "written" not in done.stdout  # quick runs leave no file unless asked


def test_import_times(monkeypatch):
    monkeypatch.setattr(startup, "PACKAGES", ("numpy", "gpunn", "gpunn.models", "no_such_package"))
    told = []
    found = startup.import_times(2, told.append)
    assert list(found) == ["numpy", "gpunn", "gpunn.models"] and len(told) == 3  # one warms up
    assert found["numpy"]["ratio_to_numpy"] == 1 and found["numpy"]["goal"] is None
    assert found["gpunn"]["goal"] == 2 and found["gpunn.models"]["goal"] is None
    assert found["gpunn.models"]["ratio_to_numpy"] > 1 > found["gpunn"]["ratio_to_numpy"] > 0
    assert len(found["gpunn"]["seconds"]) == 2
    assert 0 < found["gpunn"]["seconds_min"] <= found["gpunn"]["seconds_median"]
    console = Console(record=True, width=80, file=io.StringIO())
    report.import_table(found, console)
    assert "it / numpy" in console.export_text()


def test_sizes_count_dependencies():
    gpunn = startup.sizes()["gpunn"]
    assert {"gpunn", "numpy", "rich", "pygments"} <= set(gpunn["parts"])  # rich requires pygments
    assert gpunn["distributions"] == len(gpunn["parts"])
    source = sum(p.stat().st_size for p in (ROOT / "gpunn").rglob("*.py")) / 1e6
    assert source <= gpunn["own_megabytes"] < 20
    assert gpunn["megabytes"] == pytest.approx(sum(gpunn["parts"].values()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["mpl"],
            "unknown benchmark 'mpl'; there are mlp, mlp_small, multi_hot, mnist_cnn, resnet_32",
        ),
        (["--threads", "0"], "--threads must be at least 1, received 0"),
        (["--rounds", "1"], "--rounds must be at least 2, received 1"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        command_line.parse(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_all_benchmarks_by_default():
    others = ["overhead", "first_step", "long_run", "import", "size"]
    assert command_line.parse([]).names == [*WORKLOADS, *others]


def test_an_unavailable_side_says_why(monkeypatch):
    monkeypatch.setenv("GPUNN_BACKEND", "numpy")
    worker = Worker("gpunn fit", WORKLOADS["mlp_small"].quick(), "gpu:99")
    try:
        answer = worker.receive()
    finally:
        worker.stop()
    assert answer.startswith("DeviceError: ")


def test_a_side_that_dies_is_reported():
    worker = Worker("gpunn fit", WORKLOADS["mlp_small"].quick(), "cpu")
    worker.process.kill()
    with pytest.raises(RuntimeError, match=r"gpunn fit: its process died \(exit status -?\d+\)"):
        worker.ask("check")


@pytest.mark.parametrize(
    ("losses", "agree"),
    [
        ([[1.0, 0.5], [1.01, 0.505]], True),
        ([[1.0, 0.5], [1.0, 0.6]], False),  # another path
        ([[1.0, 1.1], [1.0, 1.1]], False),  # nothing learned
        ([[1.0, 0.5], [float("nan"), 0.5]], False),
        ([], True),
    ],
)
def test_losses_agree(losses, agree):
    rows = [Row(f"side {i}", values) for i, values in enumerate(losses)]
    assert losses_agree(rows) is agree


@pytest.mark.parametrize(
    ("left_out", "agree", "sound"),
    [
        ({}, True, True),
        ({"jax loop": "not installed"}, True, True),
        ({"gpunn step": "ValueError: ..."}, True, False),  # a bug of gpunn must not pass unseen
        ({}, False, False),
        ({"gpunn eager": "ValueError: ..."}, True, False),
    ],
)
def test_a_race_without_gpunn_is_not_sound(left_out, agree, sound):
    assert command_line.sound({"left_out": left_out, "losses_agree": agree}) is sound


def test_a_ratio_is_of_the_same_round():
    ours, theirs = Row("gpunn fit", [1, 0]), Row("torch loop", [1, 0])
    ours.ms, theirs.ms = [1.0, 10.0, 1.0], [2.0, 20.0, 1.0]
    ours.cores = theirs.cores = [1.0, 1.0, 1.0]
    found = theirs.summary(ours, 0.6)
    assert found["ratio"] == 0.5 and found["goal"] == 0.6  # of 1/2, 10/20, 1/1
    assert found["ms_median"] == 2.0 and found["ms_min"] == 1.0
    assert ours.summary(ours, None)["ratio"] is None
    eager = Row("gpunn eager", [1, 0], ms=[4.0, 20.0, 5.0], cores=[1.0, 1.0, 1.0])
    assert eager.summary(ours, None)["ratio"] == 0.25  # of 1/4, 10/20, 1/5
    assert theirs.summary(eager, 0.6)["ratio"] is None  # without gpunn's fit, nothing to compare


def test_the_environment_sets_threads_and_device():
    one, gpu = environment(1, "cpu"), environment(4, "gpu")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):
        assert one[name] == "1" and gpu[name] == "4"
    assert "eigen=false" in one["XLA_FLAGS"] and "eigen=false" not in gpu["XLA_FLAGS"]
    assert one["GPUNN_BACKEND"] == "numpy" and gpu["GPUNN_BACKEND"] == "cupy"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system can't do that")
def test_all_processes_are_held_to_as_many_cores_as_threads():
    before = os.sched_getaffinity(0)
    count = "import os; print(len(os.sched_getaffinity(0)))"
    with on_cores(1):
        done = subprocess.run([sys.executable, "-c", count], capture_output=True, text=True)
        assert usable_cores() == int(done.stdout) == 1
    assert os.sched_getaffinity(0) == before


def test_the_default_path_names_hardware_and_date():
    result = report.header(1, "cpu", True)
    result["hardware"] = {"cpu": "AMD EPYC (TM) 9654", "gpu": None}
    path = report.default_path({**result, "date": "2026-01-02T03:04:05+00:00"})
    assert path == ROOT / "benchmarks" / "results" / "amd-epyc-tm-9654-2026-01-02.json"
    result["hardware"]["gpu"] = "NVIDIA H200"
    assert report.default_path(result).name.startswith("nvidia-h200-")


def a_run(date, threads=1, **workloads):
    result = {**report.header(threads, "cpu", False), "date": date}
    return {**result, "workloads": {name: {"rows": rows} for name, rows in workloads.items()}}


def test_a_file_keeps_what_is_not_run_again(tmp_path):
    path = tmp_path / "result.json"
    report.write({**a_run("day 1", mlp=[1], lstm=[2]), "size": {"megabytes": 3}}, path)
    report.write(a_run("day 2", mlp=[4]), path)
    report.write(a_run("day 3", mlp=[5], gru=[6]), path)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["date"] == "day 3" and found["size"] == {"megabytes": 3}
    assert found["workloads"] == {
        "mlp": {
            "rows": [5],
            "date": "day 3",
            "earlier_runs": [{"rows": [1], "date": "day 1"}, {"rows": [4], "date": "day 2"}],
        },
        "lstm": {"rows": [2], "date": "day 1"},
        "gru": {"rows": [6], "date": "day 3"},
    }
    report.write(a_run("day 4", threads=2, mlp=[7]), path)  # other settings: another file's rows
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["workloads"] == {"mlp": {"rows": [7], "date": "day 4"}} and "size" not in found


def test_the_cpu_has_a_name():
    assert report.cpu_name()
