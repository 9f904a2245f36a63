"""How long a user waits for the first step: seconds from `compile`, in a fresh process.

Framework, data and model stand; then the clock starts: loss and optimizer are chosen, and the first
three steps are done, one batch each, its loss read back after each. PyTorch imports and builds what
it needs, JAX and Keras compile, gpunn's first step is eager and its second and third are recorded
(from the fourth on it replays).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.runner import Row, apart, losses_agree, reason
from benchmarks.sides import SIDES, load
from benchmarks.workloads import Workload

ROWS = tuple(name for name in SIDES if name != "gpunn step")
STEPS = 3


@dataclass
class Waits:
    """The measurements of one side."""

    name: str
    losses: list[float]
    first: list[float] = field(default_factory=list)
    third: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """What goes to the JSON."""
        framework, way = self.name.split()
        return {
            "framework": framework,
            "way": way,
            "first_median": statistics.median(self.first),
            "first": self.first,
            "third_median": statistics.median(self.third),
            "third": self.third,
            "losses": self.losses,
        }


def first_step(
    workload: Workload, device: str, turns: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """All sides in turns, as a dict for the JSON."""
    rows: dict[str, Waits] = {}
    left_out: dict[str, str] = {}
    for turn in range(turns):
        for name in ROWS:
            if name in left_out:
                continue
            tell(f"first_step: {name}, {turn + 1} of {turns}")
            try:
                first, third, losses = apart(measure, name, workload, device)
            except Exception as error:  # as in a race
                left_out[name] = reason(error)
                rows.pop(name, None)
                continue
            row = rows.setdefault(name, Waits(name, losses))
            row.first.append(first)
            row.third.append(third)
    return {
        "workload": workload.name,
        "turns": turns,
        "left_out": left_out,
        "losses_agree": losses_agree([Row(row.name, row.losses) for row in rows.values()]),
        "rows": [row.summary() for row in rows.values()],
    }


def measure(name: str, workload: Workload, device: str) -> tuple[float, float, list[float]]:
    """Seconds to the end of the first and of the third step, and the losses of the steps."""
    side = load(name)(replace(workload, steps=1), device)
    start = time.perf_counter()
    side.compile()
    epochs = side.train(STEPS, shuffle=True)  # of one step each
    third = time.perf_counter() - start
    first = third - sum(seconds for seconds, _ in epochs[1:])
    return first, third, [loss for _, loss in epochs]
