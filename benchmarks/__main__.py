"""``python -m benchmarks``: run the races, print the tables, write the JSON."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import report, startup
from benchmarks.runner import environment, race
from benchmarks.workloads import WORKLOADS

NAMES = (*WORKLOADS, "import", "size")


def usable_cores() -> int:
    """The logical cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a few steps: does it run?")
    parser.add_argument(
        "--threads", type=int, default=min(8, usable_cores()), help="for every framework"
    )
    parser.add_argument("--rounds", type=int, help="turns of each side (default: 15)")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/<hardware>-<date>")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in NAMES:
            parser.error(f"unknown benchmark '{name}'; there are {', '.join(NAMES)}")
    if options.threads < 1:
        parser.error(f"--threads must be at least 1, received {options.threads}")
    options.rounds = options.rounds or (2 if options.quick else 15)
    if options.rounds < 2:
        parser.error(f"--rounds must be at least 2, received {options.rounds}")
    options.names = options.names or list(NAMES)
    return options


def run(options: argparse.Namespace, console: Console, tell: Callable[[str], None]) -> Any:
    """All chosen benchmarks, each with its table; the result for the JSON."""
    result = report.header(options.threads, options.device, options.quick)
    result["workloads"] = {}
    for name in options.names:
        if name == "import":
            result["import"] = startup.import_times(1 if options.quick else 7, tell)
            report.import_table(result["import"], console)
        elif name == "size":
            result["size"] = startup.sizes()
            report.size_table(result["size"], console)
        else:
            workload = WORKLOADS[name].quick() if options.quick else WORKLOADS[name]
            found = race(workload, options.device, options.rounds, tell)
            result["workloads"][name] = found
            report.race_table(name, found, console)
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run; 1 if the frameworks' losses disagree, or gpunn itself could not run."""
    options = parse(arguments)
    os.environ.update(environment(options.threads, options.device))  # the sides inherit it
    console = Console()
    with console.status("benchmarks") as status:
        result = run(options, console, lambda message: status.update(message))
    path = options.json or (None if options.quick else report.default_path(result))
    if path is not None:
        report.write(result, path)
        console.print(f"written: {path}", highlight=False)
    return 0 if all(map(sound, result["workloads"].values())) else 1


def sound(found: dict[str, Any]) -> bool:
    """Whether gpunn took part, and computed what the others did."""
    absent = [name for name in found["left_out"] if name.startswith("gpunn")]
    return found["losses_agree"] and not absent


if __name__ == "__main__":
    sys.exit(main())
