"""Objects by name and by config: what `layers.get`, `losses.get`, `initializers.get` share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from gpunn.changes import note_change
from gpunn.errors import unknown_name
from gpunn.naming import to_snake_case

_NOTHING = object()


class Configurable:
    """An object that its config describes: ``cls.from_config(obj.get_config())`` is its equal.

    A new value of a public attribute makes recorded steps stale: they were made with the old one.
    (Properties look after themselves.)
    """

    #: Public attributes that no step reads.
    _outside_steps: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        new = not name.startswith("_") and vars(self).get(name, _NOTHING) is not value
        inside = name not in self._outside_steps
        if new and inside and not isinstance(getattr(type(self), name, None), property):
            note_change()
        object.__setattr__(self, name, value)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain values."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An object with this config."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    __hash__ = object.__hash__


def by_names(*classes: type, **aliases: Any) -> dict[str, Any]:
    """A table of classes under their own and their snake_case name, and of aliases."""
    table: dict[str, Any] = {}
    for cls in classes:
        table[cls.__name__] = cls
        table[to_snake_case(cls.__name__)] = cls
    return {**table, **aliases}


def serialize(obj: Any) -> Any:
    """A plain description of a configurable object, function or plain value."""
    if obj is None or isinstance(obj, (str, int, float, bool)):
        return obj
    if hasattr(obj, "get_config") and not isinstance(obj, type):
        return {"class_name": type(obj).__name__, "config": obj.get_config()}
    if hasattr(obj, "__name__"):
        return obj.__name__
    raise TypeError(f"Cannot describe {obj!r}: it has no get_config() and no name.")


def lookup(kind: str, identifier: Any, table: Mapping[str, Any]) -> Any:
    """The object that a name, config, class or callable stands for; None stays None.

    A name of a class gives an instance with default arguments; of a function, the function.
    Unknown names raise a ``ValueError`` that suggests close ones.
    """
    if identifier is None:
        return None
    if isinstance(identifier, Mapping):
        name, config = identifier.get("class_name"), identifier.get("config", {})
        named: Any = _named(kind, name, table)
        return named.from_config(config) if hasattr(named, "from_config") else named
    if isinstance(identifier, str):
        found = _named(kind, identifier, table)
    elif callable(identifier):
        found = identifier
    else:
        raise ValueError(
            f"Cannot interpret {identifier!r} as {kind}. Give a name, a callable or a config."
        )
    return found() if inspect.isclass(found) else found


def _named(kind: str, name: Any, table: Mapping[str, Any]) -> Callable[..., Any]:
    found = table.get(name, table.get(str(name).lower()))
    if found is None:
        raise unknown_name(kind, name, {k for k in table if k == k.lower()} or table)
    return found
