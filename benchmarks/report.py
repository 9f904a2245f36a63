"""Tables for the reader, JSON for the record."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
_SETTINGS = ("hardware", "threads", "device", "precision", "quick")
PARTS = {
    "outside": "outside the recorded program",
    "loop": "  of which the loop around the step",
    "gather": "gathering the shuffled batch",
    "program": "the recorded program",
    "fit": "fit",
}
PACKAGES = ("gpunn", "numpy", "cupy-cuda13x", "cupy-cuda12x", "torch", "jax", "jaxlib", "keras")


def cpu_name() -> str:
    """``AMD EPYC 9654 96-Core Processor``"""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def gpu_name() -> str | None:
    """The first NVIDIA GPU, as its driver names it."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.splitlines()[0].strip()


def header(threads: int, device: str, quick: bool, precision: str = "fp32") -> dict[str, Any]:
    """When, where and with what."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "hardware": {
            "cpu": cpu_name(),
            "logical_cores": os.cpu_count(),
            "gpu": gpu_name() if device == "gpu" else None,
        },
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "threads": threads,
        "device": device,
        "precision": precision,
        "quick": quick,
    }


def default_path(result: dict[str, Any]) -> Path:
    """benchmarks/results/<hardware>-<date>.json, with the precision if it is not fp32."""
    hardware = result["hardware"]["gpu"] or result["hardware"]["cpu"]
    slug = re.sub(r"[^a-z0-9]+", "-", hardware.lower()).strip("-")
    suffix = "" if result["precision"] == "fp32" else f"-{result['precision']}"
    return RESULTS / f"{slug}-{result['date'][:10]}{suffix}.json"


def write(result: dict[str, Any], path: Path) -> None:
    """Write the JSON. What a file of the same settings has besides stays in it."""
    from gpunn.utils.files import replacing

    for found in result["workloads"].values():
        found["date"] = result["date"]
    if path.exists():
        result = _merged(json.loads(path.read_text(encoding="utf-8")), result)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(json.dumps(result, indent=1).encode() + b"\n")


def _merged(before: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """The result with what an earlier one had besides, workloads with their `earlier_runs`."""
    if any(before.get(name) != result[name] for name in _SETTINGS):
        return result
    workloads = dict(before["workloads"])
    for name, found in result["workloads"].items():
        old = workloads.get(name)
        earlier = [] if old is None else [*old.pop("earlier_runs", []), old]
        workloads[name] = {**found, "earlier_runs": earlier} if earlier else found
    return {**before, **result, "workloads": workloads}


def race_table(name: str, result: dict[str, Any], console: Console) -> None:
    """One workload: ms per step of each side."""
    table = Table("", title=f"{name}: {result['description']}", title_justify="left")
    for heading in ("ms/step", "min", "spread", "cores", "MB", "fit / it", "goal"):
        table.add_column(heading, justify="right")
    for row in result["rows"]:
        table.add_row(
            f"{row['framework']} {row['way']}",
            f"{row['ms_median']:.3f}",
            f"{row['ms_min']:.3f}",
            f"{row['ms_spread'] / row['ms_median']:.0%}",
            f"{row['cores']:.1f}",
            "?" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
            _ratio(row["ratio"]),
            _goal(row["goal"]),
        )
    console.print(table)
    _remarks(result, console)


def _remarks(result: dict[str, Any], console: Console) -> None:
    """Who is missing, and whether all computed the same."""
    for left_out, reason in result["left_out"].items():
        console.print(f"left out: {left_out}: {reason}", highlight=False)
    if not result["losses_agree"]:
        console.print("[bold red]The losses disagree: the sides did not compute the same.")
        for row in result["rows"]:
            console.print(f"  {row['framework']} {row['way']}: {row['losses']}")


def overhead_table(result: dict[str, Any], console: Console) -> None:
    """What fit adds to the recorded step."""
    title = f"overhead: of fit per batch, {result['workload']}"
    table = Table("", title=title, title_justify="left")
    for heading in ("µs/batch", "min", "goal"):
        table.add_column(heading, justify="right")
    for name, text in PARTS.items():
        row = result["parts"][name]
        table.add_row(text, f"{row['us_median']:.1f}", f"{row['us_min']:.1f}", _goal(row["goal"]))
    console.print(table)


def first_step_table(result: dict[str, Any], console: Console) -> None:
    """Seconds from compile to the first and the third step."""
    title = f"first_step: seconds from compile to the end of a step, {result['workload']}"
    table = Table("", title=title, title_justify="left")
    for heading in ("first step", "min", "third step", "min"):
        table.add_column(heading, justify="right")
    for row in result["rows"]:
        times = row["first_median"], min(row["first"]), row["third_median"], min(row["third"])
        table.add_row(f"{row['framework']} {row['way']}", *(f"{t:.3f}" for t in times))
    console.print(table)
    _remarks(result, console)


def long_run_table(result: dict[str, Any], console: Console) -> None:
    """Memory and time of a long training; recorded beside eager."""
    title = f"long_run: {result['steps']:,} steps of {result['workload']}"
    table = Table("", title=title, title_justify="left")
    first, *_, last = result["rows"][0]["checkpoints"]
    memory = [f"MB at {point['step']:,}" for point in (first, last)]
    for heading in ("ms/step", *memory, "growth", "last loss"):
        table.add_column(heading, justify="right")
    for row in result["rows"]:
        first, *_, last = row["checkpoints"]
        start, end = first["rss_mb"], last["rss_mb"]
        known = [] if None in (start, end) else [f"{start:.1f}", f"{end:.1f}", f"{end - start:.1f}"]
        table.add_row(
            f"{row['framework']} {row['way']}",
            f"{row['ms_median']:.3f}",
            *(known or ["?"] * 3),
            f"{last['loss']:.6g}",
        )
    console.print(table)
    if result["losses_agree"]:
        console.print("losses and weights: equal bit for bit")
    else:
        console.print("[bold red]Recorded and eager steps disagree.")
        for row in result["rows"]:
            losses = [point["loss"] for point in row["checkpoints"]]
            console.print(f"  {row['framework']} {row['way']}: {losses}, {row['weights']}")


def import_table(result: dict[str, Any], console: Console) -> None:
    """Import times."""
    table = Table("package", title="import: in a fresh process", title_justify="left")
    for heading in ("seconds", "min", "it / numpy", "goal"):
        table.add_column(heading, justify="right")
    for package, row in result.items():
        seconds, least = row["seconds_median"], row["seconds_min"]
        table.add_row(
            package, f"{seconds:.3f}", f"{least:.3f}", _ratio(row["ratio_to_numpy"]),
            _goal(row["goal"]),
        )  # fmt: skip
    console.print(table)


def size_table(result: dict[str, Any], console: Console) -> None:
    """Installed sizes."""
    table = Table("installation", title="size: on the disk", title_justify="left")
    for heading in ("MB", "of which its own", "packages"):
        table.add_column(heading, justify="right")
    for name, row in result.items():
        table.add_row(
            name, f"{row['megabytes']:.0f}", f"{row['own_megabytes']:.1f}",
            str(row["distributions"]),
        )  # fmt: skip
    console.print(table)


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _goal(goal: float | None) -> str:
    return "" if goal is None else f"≤ {goal:.2f}"
