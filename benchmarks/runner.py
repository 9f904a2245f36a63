"""The race: one process per side, of which one computes at a time, in turns.

Why processes: in one process the thread pools of OpenBLAS, OpenMP and XLA wake and spin against
each other, and memory is shared out in the order of imports. Why turns: a shared machine drifts,
and so short chunks of all sides in every round meet the same weather. Times are medians over the
rounds; ratios are medians of the ratios *within* each round.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.memory import Peak
from benchmarks.sides import load, names
from benchmarks.workloads import Workload

PAUSE = 0.05  # seconds between two turns: by then the last side's threads have gone to sleep
CHECK_EPOCHS = 2
TOLERANCE = 0.03  # relative difference of the losses, after the same number of steps


def environment(threads: int, device: str, precision: str = "fp32") -> dict[str, str]:
    """What must be set before anything is imported: threads, devices, the precision of products."""
    n = str(threads)
    pools = {f"{name}_NUM_THREADS": n for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")}
    eigen = " --xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
    return pools | {
        "NPROC": n,  # the size of XLA's pool
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + eigen,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu" if device == "cpu" else "cuda,cpu",
        "JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32" if precision == "tf32" else "highest",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the sides share the GPU
        "GPUNN_BACKEND": "numpy" if device == "cpu" else "cupy",
    }


def usable_cores() -> int:
    """The logical cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def on_cores(n: int) -> Iterator[None]:
    """Meanwhile this process, and those it starts, have n of its cores (Linux only).

    Frameworks have threads besides those they compute on (XLA dispatches from one), which would
    take another core on a machine that has one.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-n:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def serve(pipe: Connection, row: str, workload: Workload, device: str) -> None:
    """A side's process: answers "check" with losses and "time" with a measurement, until None."""
    try:
        side = load(row)(workload, device)
        peak = Peak()
        side.compile()
        pipe.send("ready")
        while (request := pipe.recv()) is not None:
            if request == "check":
                pipe.send([loss for _, loss in side.train(CHECK_EPOCHS, shuffle=False)])
            else:
                cpu, wall = time.process_time(), time.perf_counter()
                *_, (seconds, _) = side.train(2, shuffle=True)  # the first epoch warms caches
                cores = (time.process_time() - cpu) / (time.perf_counter() - wall)
                ms = seconds / workload.steps * 1e3
                pipe.send({"ms": ms, "cores": cores, "peak_mb": peak.growth()})
    except Exception as error:  # whatever a framework raises where it has no such device
        pipe.send(reason(error))


def reason(error: Exception) -> str:
    """Why a side is left out, in one line."""
    if isinstance(error, ImportError):
        return f"not installed ({error})"
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}"


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function returns in a fresh process; what it raises, too."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(function, *arguments).result()


@dataclass
class Row:
    """The measurements of one side."""

    name: str
    losses: list[float]
    ms: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    peak_mb: float | None = None  # beyond data and model

    def summary(self, first: Row, goal: float | None) -> dict[str, Any]:
        """What goes to the JSON. `first` is gpunn's fit."""
        framework, way = self.name.split()
        low, median, high = statistics.quantiles(self.ms, n=4)
        ratios = [ours / theirs for ours, theirs in zip(first.ms, self.ms, strict=True)]
        compared = self is not first and first.name == "gpunn fit"
        return {
            "framework": framework,
            "way": way,
            "ms_median": median,
            "ms_min": min(self.ms),
            "ms_spread": high - low,
            "ms": self.ms,
            "cores": statistics.median(self.cores),
            "peak_mb": self.peak_mb,
            "losses": self.losses,
            "ratio": statistics.median(ratios) if compared else None,
            "goal": goal if compared else None,
        }


class Worker:
    """A side in its own process."""

    def __init__(self, name: str, workload: Workload, device: str):
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=serve, args=(theirs, name, workload, device), daemon=True
        )
        self.process.start()
        theirs.close()

    def receive(self) -> Any:
        """The next answer, or a line that says why there is none."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return f"its process died (exit status {self.process.exitcode})"

    def ask(self, request: str) -> Any:
        """An answer; the side has worked before and must not fail now."""
        with contextlib.suppress(ConnectionError):  # then `receive` says what happened
            self.pipe.send(request)
        answer = self.receive()
        if isinstance(answer, str):
            raise RuntimeError(f"{self.name}: {answer}")
        return answer

    def stop(self) -> None:
        """End the process."""
        if self.process.is_alive():
            self.process.terminate()
        self.process.join()


def race(workload: Workload, device: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """All sides on one workload, as a dict for the JSON."""
    workers, left_out, rounds = [], {}, workload.rounds
    try:
        for name in names(device):
            tell(f"{workload.name}: starting {name}")
            workers.append(Worker(name, workload, device))
            answer = workers[-1].receive()
            if answer != "ready":
                left_out[name] = answer
                workers.pop().stop()
        rows = [Row(w.name, w.ask("check")) for w in workers]
        for number in range(rounds):
            tell(f"{workload.name}: round {number + 1} of {rounds}")
            for i in range(len(workers)):
                turn = (i + number) % len(workers)  # nobody always follows the same neighbour
                time.sleep(PAUSE)
                answer = workers[turn].ask("time")
                rows[turn].ms.append(answer["ms"])
                rows[turn].cores.append(answer["cores"])
                rows[turn].peak_mb = answer["peak_mb"]
    finally:
        for worker in workers:
            worker.stop()
    return {
        "description": workload.description,
        "steps": workload.steps,
        "rounds": rounds,
        "left_out": left_out,
        "losses_agree": losses_agree(rows),
        "rows": [row.summary(rows[0], workload.goals.get(row.name)) for row in rows],
    }


def losses_agree(rows: list[Row]) -> bool:
    """Whether all sides did the same mathematics, and learned something."""
    if not rows:
        return True  # nobody took part: `left_out` says why
    for epoch in range(CHECK_EPOCHS):
        losses = [row.losses[epoch] for row in rows]
        if not max(losses) - min(losses) <= TOLERANCE * max(losses):  # NaN disagrees, too
            return False
    return all(row.losses[-1] < row.losses[0] for row in rows)
