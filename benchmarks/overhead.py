"""What gpunn's `fit` costs per batch beside the recorded step: microseconds on the host.

`fit` trains on arrays in memory, shuffled, without progress. Two clocks run in it: around the
gathering of each batch (with the epoch's new order), and around the program that is replayed. What
is outside both is `fit`'s own: walking the epoch, hooks, checking for Ctrl-C, finding the recording
by the batch's shapes and dtypes, and putting the batch where the program reads. A second fit has
its clock around ``step.train`` instead of the program: outside that is the loop alone.

Why clocks inside, rather than a `fit` whose step does nothing? There the same lines take half the
time, for no kernels push them out of the processor's caches. And a bare loop of replays has warm
caches, too, so its difference to `fit` is too large. The clocks cost one to three microseconds
per batch, which count against gpunn.

On a GPU the program is launched and not waited for: these are the host's times.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.runner import apart
from benchmarks.workloads import Workload

GOALS = {"outside": 20.0}  # µs


def overhead(
    workload: Workload, device: str, rounds: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The parts of `fit`, as a dict for the JSON."""
    tell(f"overhead: {rounds} epochs of {workload.name}")
    found = apart(measure, workload, device, rounds)
    rows = {
        name: {
            "us_median": statistics.median(row[name] for row in found),
            "us_min": min(row[name] for row in found),
            "us": [row[name] for row in found],
            "goal": GOALS.get(name),
        }
        for name in found[0]
    }
    return {"workload": workload.name, "rounds": rounds, "steps": workload.steps, "parts": rows}


def measure(workload: Workload, device: str, rounds: int) -> list[dict[str, float]]:
    """In a process of its own, which has its threads and device from the environment."""
    from benchmarks.sides.clocked import ClockedFit

    fit = ClockedFit(workload, device)
    return [fit.parts() for _ in range(rounds)]
