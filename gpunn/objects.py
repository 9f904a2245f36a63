"""Objects by name and by config: what `layers.get`, `losses.get`, `initializers.get` share.

A user's own classes and functions are found, too, once they are registered, or inside a
`custom_object_scope`; nothing else is ever imported or run because a config names it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gpunn.changes import note_change
from gpunn.errors import unknown_name
from gpunn.naming import to_snake_case

_NOTHING = object()
_T = TypeVar("_T")


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
        """An object with this config, gpunn's or Keras', which names quantization also if None."""
        return cls(**{k: v for k, v in config.items() if (k, v) != ("quantization_config", None)})

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


# --- a user's own classes and functions ---


class _Custom:
    """What was registered for good, under "package>name", and what open scopes have."""

    def __init__(self) -> None:
        self.registered: dict[str, Any] = {}
        self.names: dict[Any, str] = {}
        self.scope: Mapping[str, Any] = {}


_custom = _Custom()


def register_keras_serializable(
    package: str = "Custom", name: str | None = None
) -> Callable[[_T], _T]:
    """Make configs find a class or function, under ``"package>name"`` (by default its own name).

    >>> @gpunn.saving.register_keras_serializable("my_package")
    ... class Scale(gpunn.layers.Layer): ...
    """

    def register(obj: Any) -> Any:
        if inspect.isclass(obj) and not hasattr(obj, "get_config"):
            raise ValueError(
                f"Cannot register the class {obj.__name__}: it needs a method get_config()."
            )
        found = f"{package}>{obj.__name__ if name is None else name}"
        _custom.registered[found] = obj
        _custom.names[obj] = found
        return obj

    return register


def get_registered_name(obj: Any) -> str:
    """The name under which a class or function is registered, else its own."""
    return _custom.names.get(obj, obj.__name__)


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """What has this name: in open scopes, registered, in the two tables; else None."""
    for table in (_custom.scope, _custom.registered, custom_objects or {}, module_objects or {}):
        if name in table:
            return table[name]
    return None


def objects_in_scope() -> dict[str, Any]:
    """What the innermost open `custom_object_scope` has."""
    return dict(_custom.scope)


def get_custom_objects() -> dict[str, Any]:
    """The registered objects by name: the table itself, to be changed at will."""
    return _custom.registered


class CustomObjectScope:
    """Inside the ``with`` block configs find these objects by name.

    >>> with gpunn.saving.custom_object_scope({"my_activation": my_activation}):
    ...     layer = gpunn.layers.deserialize(config)
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None):
        self.custom_objects = dict(custom_objects or {})
        self._outer: list[Mapping[str, Any]] = []

    def __enter__(self) -> CustomObjectScope:
        self._outer.append(_custom.scope)
        _custom.scope = self.custom_objects
        return self

    def __exit__(self, *_: object) -> None:
        _custom.scope = self._outer.pop()


custom_object_scope = CustomObjectScope


# --- descriptions and what they stand for ---


def serialize(obj: Any) -> Any:
    """A plain description of a configurable object, function or plain value."""
    if obj is None or isinstance(obj, (str, int, float, bool)):
        return obj
    if hasattr(obj, "get_config") and not isinstance(obj, type):
        described = {"class_name": type(obj).__name__, "config": obj.get_config()}
        if type(obj) in _custom.names:
            described["registered_name"] = _custom.names[type(obj)]
        return described
    if hasattr(obj, "__name__"):
        return get_registered_name(obj)
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
        if name == "function":  # as Keras describes functions
            name, config = config, {}
        named: Any = _named(kind, identifier.get("registered_name") or name, table, name)
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


def _named(
    kind: str, name: Any, table: Mapping[str, Any], own_name: Any = None
) -> Callable[..., Any]:
    """The object of a name: a user's own, else of the table; `own_name` without the package."""
    for known in (name, own_name):
        if isinstance(known, str) and (found := get_registered_object(known)) is not None:
            return found
    name = own_name or name
    found = table.get(name, table.get(str(name).lower()))
    if found is None:
        raise unknown_name(kind, name, {k for k in table if k == k.lower()} or table)
    return found
