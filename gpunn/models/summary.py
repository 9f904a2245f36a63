"""`model.summary()`: a table of layers, shapes and parameter counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpunn.layers import Layer
from gpunn.models.graph import Graph, key_of


class _Row(NamedTuple):
    """What is told of a layer, or of an op of a graph."""

    name: str
    kind: str
    shape: str
    params: str = "0"
    connected: str = "-"
    trainable: str = "-"
    inside: tuple[_Row, ...] = ()  # the layers of a model that is a layer


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], None] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Print the table, and below it the numbers of parameters."""
    from rich.console import Console
    from rich.table import Table

    width = line_length or (80 if print_fn else None)
    table = Table(title=f'Model: "{model.name}"', title_justify="left", title_style="bold")
    branches = model._graph is not None and not _is_chain(model._graph)
    heads = ["Layer (type)", "Output Shape", "Param #"]
    heads += ["Connected to"] * branches + ["Trainable"] * show_trainable
    widths = _widths(positions, width or 80, len(heads))
    for head, size in zip(heads, widths, strict=True):
        justify: Any = {"Param #": "right", "Trainable": "center"}.get(head, "left")
        table.add_column(head, justify=justify, width=size)
    for row in _selected(_rows(model), layer_range):
        for cells in _cells(row, branches, show_trainable, 0 if expand_nested else None):
            table.add_row(*cells)
    console = Console(width=width, no_color=print_fn is not None, markup=False)
    with console.capture() as capture:
        console.print(table)
    text = capture.get() + "\n".join(_totals(model))
    if print_fn is None:
        print(text)
    else:
        print_fn(text)


# --- rows ---


def _rows(model: Any) -> list[_Row]:
    shapes = model._output_shapes()
    if model._graph is None:
        return [_row_of(layer, shapes) for layer in model.layers]
    graph: Graph = model._graph
    rows = []
    for nodes in graph.calls:
        first = nodes[0]
        connected = ", ".join(graph.label(x) for node in nodes for x in node.inputs) or "-"
        if isinstance(first.call, Layer):
            row = _row_of(first.call, shapes)
        else:
            kind = first.call.__name__.strip("_").title().replace("_", "")
            row = _Row(graph.names[id(first)], kind, str(shapes[key_of(first)]))
        rows.append(row._replace(connected=connected))
    return rows


def _row_of(layer: Any, shapes: dict[int, Any]) -> _Row:
    of_graph = getattr(layer, "_graph", None) is not None and type(layer).__name__ == "Model"
    return _Row(
        layer.name,
        "Functional" if of_graph else type(layer).__name__,
        str(shapes.get(id(layer), "?")),
        f"{layer.count_params():,}" if layer.built else "0 (unbuilt)",
        trainable=("Y" if layer.trainable else "N") if layer.weights else "-",
        inside=tuple(_rows(layer)) if hasattr(layer, "_output_shapes") else (),
    )


def _cells(row: _Row, connected: bool, trainable: bool, level: int | None) -> list[list[str]]:
    """The line of a row; those of the layers inside, too, if there is a level to start from."""
    indent = f"{'   ' * level}└ " if level else ""
    cells = [f"{indent}{row.name} ({row.kind})", row.shape, row.params]
    cells += [row.connected if not level else "-"] * connected + [row.trainable] * trainable
    lines = [cells]
    if level is not None:
        for part in row.inside:
            lines += _cells(part, connected, trainable, level + 1)
    return lines


def _selected(rows: list[_Row], layer_range: Sequence[str] | None) -> list[_Row]:
    """The rows from the first to the last name, both included; names may be regular expressions."""
    if layer_range is None:
        return rows
    if len(layer_range) != 2:
        raise ValueError(f"layer_range must be two names, received {layer_range!r}.")
    places = []
    for pattern, end in zip(layer_range, (0, -1), strict=True):
        found = [i for i, row in enumerate(rows) if re.fullmatch(pattern, row.name)]
        if not found:
            names = ", ".join(row.name for row in rows)
            raise ValueError(f"layer_range: there is no layer '{pattern}'. The layers: {names}.")
        places.append(found[end])
    first, last = sorted(places)
    return rows[first : last + 1]


def _is_chain(graph: Graph) -> bool:
    """Whether each node takes one tensor, that of the node before, and no layer comes twice."""
    pairs = zip(graph.nodes[1:], graph.nodes)
    steps = all([x.node for x in node.inputs] == [before] for node, before in pairs)
    return steps and len(graph.calls) == len(graph.nodes)


# --- around the table ---


def _widths(positions: Sequence[float] | None, width: int, count: int) -> list[int | None]:
    """Widths of columns that end at these positions: fractions of the line, or characters."""
    if positions is None:
        return [None] * count
    if len(positions) != count:
        raise ValueError(f"positions must have {count} numbers, received {list(positions)}.")
    ends = [int(p * width) if positions[-1] <= 1 else int(p) for p in positions]
    return [end - start - 3 for start, end in zip([0, *ends], ends)]


def _totals(model: Any) -> list[str]:
    optimizer = model.optimizer.variables if model.optimizer and model.optimizer.built else []
    lines = [
        _total("Total params", [*model.weights, *optimizer]),
        _total("Trainable params", model.trainable_weights),
        _total("Non-trainable params", model.non_trainable_weights),
    ]
    return lines + [_total("Optimizer params", optimizer)] * bool(optimizer)


def _total(label: str, weights: list[Any]) -> str:
    count = sum(w.size for w in weights)
    n_bytes = sum(w.size * np.dtype(w.data.dtype).itemsize for w in weights)
    return f" {label}: {count:,} ({_size(n_bytes)})"


def _size(n_bytes: float) -> str:
    for unit in ("B", "KB", "MB"):
        if n_bytes < 1024:
            return f"{n_bytes:.2f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.2f} GB"
