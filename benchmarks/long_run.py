"""100,000 recorded steps: memory stays, and the numbers are those of the eager steps.

The same fit runs twice, recorded and eager, each in a fresh process from the same seed. At the
checkpoints (after the first epoch, then after each tenth of the run) it notes the epoch's mean
loss, its time per step, and the process' resident memory. The losses and, at the end, all weights
must be equal bit for bit.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.memory import resident
from benchmarks.runner import apart
from benchmarks.sides import load
from benchmarks.workloads import Workload

EPOCHS = 100
SEED = 1


def long_run(
    workload: Workload, device: str, quick: bool, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Both runs, as a dict for the JSON; quick: 1,000 steps."""
    epochs = EPOCHS
    if quick:
        workload, epochs = replace(workload, steps=100), 10
    rows = []
    for name in ("gpunn fit", "gpunn eager"):
        tell(f"long_run: {epochs * workload.steps:,} steps of {name}")
        rows.append(apart(measure, name, workload, device, epochs))
    return {
        "workload": workload.name,
        "steps": epochs * workload.steps,
        "losses_agree": equal(*rows),  # bit for bit
        "rows": rows,
    }


def equal(recorded: dict[str, Any], eager: dict[str, Any]) -> bool:
    """Whether losses and weights are the same bits."""
    losses = [[point["loss"] for point in row["checkpoints"]] for row in (recorded, eager)]
    return losses[0] == losses[1] and recorded["weights"] == eager["weights"]


def measure(name: str, workload: Workload, device: str, epochs: int) -> dict[str, Any]:
    """One run, in a process of its own."""
    import gpunn
    from benchmarks.sides.gpunn import programs

    gpunn.utils.set_random_seed(SEED)
    side = load(name)(workload, device)
    side.compile()
    memory: list[float | None] = []
    watch = gpunn.callbacks.LambdaCallback(on_epoch_end=lambda *_: memory.append(resident()))
    found = side.train(epochs, shuffle=True, callbacks=[watch])
    recorded = bool(programs(side.model))
    if recorded != (name == "gpunn fit"):
        raise RuntimeError(f"{name} ran {'recorded' if recorded else 'eager'} steps.")
    ms = [seconds / workload.steps * 1e3 for seconds, _ in found]
    framework, way = name.split()
    return {
        "framework": framework,
        "way": way,
        "ms_median": statistics.median(ms),
        "ms_min": min(ms),
        "checkpoints": [
            {
                "step": (i + 1) * workload.steps,
                "loss": found[i][1],
                "ms": ms[i],
                "rss_mb": memory[i],
            }
            for i in range(epochs)
            if i == 0 or (i + 1) % max(1, epochs // 10) == 0
        ],
        "weights": digest(side.model.get_weights()),
    }


def digest(weights: list[Any]) -> str:
    """One fingerprint of all bits."""
    return hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest()
