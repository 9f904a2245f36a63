"""describe: tables of what was recorded, for people who want to see what runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from gpunn.backend import devices
from gpunn.backend.protocol import Array
from gpunn.backend.recorder import Call, Program, is_array
from gpunn.training.recording import Recordings, quiet

_RUNS = 9  # of each kernel, of which the median time is shown


def describe(name: str, recordings: Mapping[str, Recordings], times: bool) -> None:
    """Print each recorded program, and of the other steps why they have none."""
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    steps = [
        (f"{kind}, {key[0]}, batch {_text(key[1])}", key[0], step)
        for kind, found in recordings.items()
        for key, step in found.steps.items()
    ]
    if not steps:
        console.print(f"The steps of '{name}' are not recorded: they run eagerly.")
    for title, device, step in steps:
        if step.program is None:
            why = step.problem or "a step is recorded when it runs the third time"
            console.print(f"{title}: not recorded ({why})")
        else:
            with devices.device(device):
                console.print(_table(title, step.program, times))


def _table(title: str, program: Program, times: bool) -> Any:
    from rich.table import Table

    caption = (
        f"{len(program.calls)} kernels; {_size(program.nbytes)} of buffers of its own, "
        f"{_size(sum(a.nbytes for a in _distinct(program.fixed)))} of inputs, weights and states"
    )
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.add_column("kernel")
    table.add_column("arrays")
    table.add_column("options")
    table.add_column("bytes", justify="right")
    found = _times(program) if times else []
    if times:
        table.add_column("µs", justify="right")
    for i, (kernel, arrays, options) in enumerate(program.calls):
        used = [a for a in arrays if a is not None]
        row = [
            kernel.name,
            " ".join(str(tuple(a.shape) if is_array(a) else a) for a in used),
            " ".join(f"{k}={v}" for k, v in options.items()),
            _size(sum(a.nbytes for a in used if is_array(a))),
        ]
        table.add_row(*row, *([f"{found[i]:.1f}"] if times else []))
    if times:
        table.add_section()
        table.add_row("all", "", "", "", f"{sum(found):.1f}")
    return table


def _times(program: Program) -> list[float]:
    """Microseconds of each kernel, run alone; what they changed is put back."""
    backend = devices.current()
    fixed = _distinct(program.fixed)
    before = [array.copy() for array in fixed]
    try:
        with quiet():
            return [
                float(np.median([_run(call, backend) for _ in range(_RUNS)]))
                for call in program.calls
            ]
    finally:
        for array, values in zip(fixed, before, strict=True):
            array[...] = values


def _run(call: Call, backend: Any) -> float:
    kernel, arrays, options = call
    backend.synchronize()
    start = time.perf_counter()
    kernel(*arrays, **options)
    backend.synchronize()
    return 1e6 * (time.perf_counter() - start)


def _distinct(arrays: list[Array]) -> list[Array]:
    return list({id(array): array for array in arrays}.values())


def _text(signature: Any) -> str:
    """``(128, 784) f, (128,) i`` of a signature."""
    if isinstance(signature, tuple) and len(signature) == 2 and isinstance(signature[1], str):
        return f"{signature[0]} {signature[1]}"
    parts = signature if isinstance(signature, tuple) else (signature,)
    return ", ".join(
        _text(part) if isinstance(part, tuple) else str(part) for part in parts if part is not None
    )


def _size(nbytes: int) -> str:
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if nbytes >= size:
            return f"{nbytes / size:.1f} {unit}"
    return f"{nbytes} B"
