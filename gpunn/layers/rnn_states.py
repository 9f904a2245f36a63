"""States of cells: tensors in lists, one level deep or two."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def flat(states: Any) -> list[Any]:
    """The tensors of nested lists; none of None."""
    if states is None:
        return []
    if isinstance(states, (list, tuple)) and not _is_shape(states):
        return [leaf for part in states for leaf in flat(part)]
    return [states]


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(n is None or isinstance(n, int) for n in value)


def packed_like(structure: Any, leaves: Iterable[Any]) -> Any:
    """The leaves in the lists of another structure."""
    rest = iter(leaves)
    return mapped(lambda _: next(rest), structure)


def mapped(function: Callable[[Any], Any], states: Any) -> Any:
    """The same lists with function(leaf) for each leaf."""
    if isinstance(states, (list, tuple)) and not _is_shape(states):
        return [mapped(function, part) for part in states]
    return function(states)


def output_size(cell: Any) -> int:
    """The length of a cell's outputs: that of its first state unless it says another."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
    if not isinstance(size, int):
        raise ValueError(f"output_size of a cell must be an integer, received {size!r}.")
    return size


def copied_cell(cell: Any) -> Any:
    """A new cell of the same settings, with weights of its own."""
    config = cell.get_config()
    if "cells" in config:
        config = {**config, "cells": [copied_cell(c) for c in cell.cells]}
    return type(cell).from_config(config)


def check_cell(cell: Any) -> None:
    for name in ("call", "state_size"):
        if getattr(cell, name, None) is None:
            raise ValueError(
                f"A cell of an RNN needs a method call(x_t, states) and an attribute state_size; "
                f"{cell!r} has no '{name}'."
            )
