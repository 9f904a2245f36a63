"""``python -m benchmarks``: run the races, print the tables, write the JSON."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import report, startup
from benchmarks.first_step import first_step
from benchmarks.long_run import long_run
from benchmarks.overhead import overhead
from benchmarks.runner import environment, on_cores, race, usable_cores
from benchmarks.sides import PRECISIONS
from benchmarks.workloads import WORKLOADS, Workload

OTHERS = ("overhead", "first_step", "long_run", "import", "size")
NAMES = (*WORKLOADS, *OTHERS)
TURNS = {"first_step": 3, "import": 7}  # of fresh processes; one in a quick run


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a few steps: does it run?")
    parser.add_argument(
        "--threads",
        type=int,
        default=min(8, usable_cores()),
        help="and cores (Linux) of each framework",
    )
    parser.add_argument(
        "--rounds", type=int, help="turns of each side (default: 15, fewer for large networks)"
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="fp32", help="of products; not fp32: GPU only"
    )
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/<hardware>-<date>")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in NAMES:
            parser.error(f"unknown benchmark '{name}'; there are {', '.join(NAMES)}")
    if options.threads < 1:
        parser.error(f"--threads must be at least 1, received {options.threads}")
    if options.rounds is None and options.quick:
        options.rounds = 2
    if options.rounds is not None and options.rounds < 2:
        parser.error(f"--rounds must be at least 2, received {options.rounds}")
    if options.precision == "fp32":
        options.names = options.names or list(NAMES)
        return options
    if options.device != "gpu":
        parser.error(f"--precision {options.precision} needs --device gpu")
    options.names = options.names or list(WORKLOADS)
    for name in set(options.names) & set(OTHERS):
        parser.error(f"'{name}' has no --precision; races have")
    return options


def run(options: argparse.Namespace, console: Console, tell: Callable[[str], None]) -> Any:
    """All chosen benchmarks, each with its table; the result for the JSON."""
    result = report.header(options.threads, options.device, options.quick, options.precision)
    result["workloads"] = {}
    for name in options.names:
        if name in WORKLOADS:
            found = race(chosen(name, options), options.device, tell)
            result["workloads"][name] = found
            report.race_table(name, found, console)
        else:
            result[name] = measure(name, options, tell)
            getattr(report, f"{name}_table")(result[name], console)
    return result


def measure(name: str, options: argparse.Namespace, tell: Callable[[str], None]) -> Any:
    """A benchmark that is no race."""
    device, quick = options.device, options.quick
    turns = 1 if quick else TURNS.get(name, 0)
    if name == "overhead":
        workload = chosen("mlp_small", options)
        return overhead(workload, device, workload.rounds, tell)
    if name == "first_step":
        return first_step(chosen("mlp", options), device, turns, tell)
    if name == "long_run":
        return long_run(WORKLOADS["mlp_small"], device, quick, tell)
    return startup.import_times(turns, tell) if name == "import" else startup.sizes()


def chosen(name: str, options: argparse.Namespace) -> Workload:
    """The workload as the command line wants it: short in a quick run."""
    workload = WORKLOADS[name].quick() if options.quick else WORKLOADS[name]
    rounds = options.rounds or workload.rounds
    return replace(workload, rounds=rounds, precision=options.precision)


def main(arguments: list[str] | None = None) -> int:
    """Run; 1 if the frameworks' losses disagree, or gpunn itself could not run."""
    options = parse(arguments)
    settings = environment(options.threads, options.device, options.precision)
    os.environ.update(settings)  # the sides inherit it
    console = Console()
    with on_cores(options.threads), console.status("benchmarks") as status:
        result = run(options, console, lambda message: status.update(message))
        result["usable_cores"] = usable_cores()
    path = options.json or (None if options.quick else report.default_path(result))
    if path is not None:
        report.write(result, path)
        console.print(f"written: {path}", highlight=False)
    others = [result[name] for name in ("first_step", "long_run") if name in result]
    return 0 if all(map(sound, [*result["workloads"].values(), *others])) else 1


def sound(found: dict[str, Any]) -> bool:
    """Whether gpunn took part, and computed what the others did."""
    absent = [name for name in found.get("left_out", ()) if name.startswith("gpunn")]
    return found["losses_agree"] and not absent


if __name__ == "__main__":
    sys.exit(main())
