"""Nested lists, tuples and dicts: walk them, map them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def map_structure(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to every leaf of nested lists, tuples and dicts; None stays None."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {k: map_structure(function, v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return _like(value, [map_structure(function, v) for v in value])
    return function(value)


def map_pairs(function: Callable[[Any, Any], Any], value: Any, other: Any) -> Any:
    """Apply a function to the leaves of two structures of the same form; None stays None."""
    if value is None:
        return None
    if isinstance(value, dict):
        return {k: map_pairs(function, v, other[k]) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        pairs = zip(value, other, strict=True)
        return _like(value, [map_pairs(function, v, o) for v, o in pairs])
    return function(value, other)


def _like(value: Any, parts: list[Any]) -> Any:
    """A list, tuple or named tuple of the type of `value`."""
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def leaves(value: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dicts."""
    found: list[Any] = []
    map_structure(found.append, value)
    return found
