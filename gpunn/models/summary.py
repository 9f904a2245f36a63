"""`model.summary()`: a table of layers, shapes and parameter counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _size(n_bytes: float) -> str:
    for unit in ("B", "KB", "MB"):
        if n_bytes < 1024:
            return f"{n_bytes:.2f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.2f} GB"


def _line(label: str, weights: list[Any]) -> str:
    count = sum(w.size for w in weights)
    n_bytes = sum(w.size * np.dtype(w.data.dtype).itemsize for w in weights)
    return f" {label}: {count:,} ({_size(n_bytes)})"


def print_summary(
    model: Any,
    shapes: dict[int, Any],
    line_length: int | None = None,
    print_fn: Callable[[str], None] | None = None,
    show_trainable: bool = False,
) -> None:
    """Print the table. `shapes`: output shape by id of the layer; "?" where it is not known."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f'Model: "{model.name}"', title_justify="left", title_style="bold")
    table.add_column("Layer (type)")
    table.add_column("Output Shape")
    table.add_column("Param #", justify="right")
    if show_trainable:
        table.add_column("Trainable", justify="center")
    for layer in model.layers:
        count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
        row = [f"{layer.name} ({type(layer).__name__})", str(shapes.get(id(layer), "?")), count]
        if show_trainable:
            row.append(("Y" if layer.trainable else "N") if layer.weights else "-")
        table.add_row(*row)
    width = line_length or (80 if print_fn else None)
    console = Console(width=width, no_color=print_fn is not None)
    totals = [
        _line("Total params", model.weights),
        _line("Trainable params", model.trainable_weights),
        _line("Non-trainable params", model.non_trainable_weights),
    ]
    with console.capture() as capture:
        console.print(table)
    text = capture.get() + "\n".join(totals)
    if print_fn is None:
        print(text)
    else:
        print_fn(text)
