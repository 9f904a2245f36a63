"""Nested structures, as in `keras.tree`: lists, tuples, named tuples, dicts and deques of leaves.

The leaves of a dict come in the order of its sorted keys, those of an `OrderedDict` in its own.
None is a leaf; instances of other subclasses of list and dict are leaves, too.
"""

from __future__ import annotations

import collections
import functools
import reprlib
import warnings
from collections.abc import Callable, Iterable
from typing import Any

Path = tuple[Any, ...]

_SEQUENCES = (list, tuple, collections.deque)
_MAPPINGS = (dict, collections.OrderedDict, collections.defaultdict)


class MAP_TO_NONE:  # noqa: N801  (Keras' name)
    """What the function of `traverse` returns to put None in the place of a part."""


# --- one level of a structure ---


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def is_nested(structure: Any) -> bool:
    """Whether it is a list, tuple, named tuple, dict or deque.

    >>> gpunn.tree.is_nested({"a": 1})
    True
    """
    return type(structure) in (*_SEQUENCES, *_MAPPINGS) or _is_namedtuple(structure)


def _children(structure: Any) -> list[tuple[Any, Any]]:
    """Its parts with their keys, in order."""
    if isinstance(structure, _SEQUENCES):
        return list(enumerate(structure))
    keys = list(structure)
    if not isinstance(structure, collections.OrderedDict):
        try:
            keys.sort()
        except TypeError:  # keys of several types: by type, then by value
            keys.sort(key=lambda k: (f"{type(k).__module__}.{type(k).__qualname__}", k))
    return [(key, structure[key]) for key in keys]


def _rebuilt(structure: Any, parts: dict[Any, Any]) -> Any:
    """A structure like this one with other parts; a dict keeps the order of its keys."""
    if isinstance(structure, _SEQUENCES):
        if _is_namedtuple(structure):
            return type(structure)(*parts.values())
        if isinstance(structure, collections.deque):
            return collections.deque(parts.values(), structure.maxlen)
        return type(structure)(parts.values())
    ordered = {key: parts[key] for key in structure}
    if isinstance(structure, collections.defaultdict):
        return collections.defaultdict(structure.default_factory, ordered)
    return type(structure)(ordered)


def _kind(structure: Any) -> Any:
    """What two structures must have in common to be of one kind: all dicts are."""
    return dict if isinstance(structure, _MAPPINGS) else type(structure)


def _mismatch(path: Path, a: Any, b: Any) -> str | None:
    """What is different at this level of two structures, in words."""
    where = f"at {path}" if path else "at the top"
    if not is_nested(b) or _kind(a) is not _kind(b):
        return f"{where}: expected an instance of {type(a).__name__}, got {reprlib.repr(b)}"
    if _kind(a) is dict and set(a) != set(b):
        return f"{where}: the keys differ, {list(a)} and {list(b)}"
    return None if len(a) == len(b) else f"{where}: {len(a)} and {len(b)} elements"


def _check(found: str | None) -> None:
    if found is not None:
        raise ValueError(f"The structures don't have the same nested structure, {found}.")


def _callable(function: Any) -> None:
    if not callable(function):
        raise TypeError(f"The function must be callable, received {function!r}.")


# --- flat lists and back ---


def flatten_with_path(structure: Any) -> list[tuple[Path, Any]]:
    """Pairs of each leaf's path, a tuple of indices and keys, and the leaf.

    >>> gpunn.tree.flatten_with_path([{"a": 42}])
    [((0, 'a'), 42)]
    """
    if not is_nested(structure):
        return [((), structure)]
    return [
        ((key, *path), leaf)
        for key, part in _children(structure)
        for path, leaf in flatten_with_path(part)
    ]


def flatten(structure: Any) -> list[Any]:
    """The leaves in order; a leaf itself as a list of one.

    >>> gpunn.tree.flatten({"b": [2, 3], "a": 1})
    [1, 2, 3]
    """
    return [leaf for _, leaf in flatten_with_path(structure)]


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """The leaves of a flat list in the places of the structure's leaves: undoes `flatten`.

    >>> gpunn.tree.pack_sequence_as({"b": [0, 0], "a": 0}, [1, 2, 3])
    {'b': [2, 3], 'a': 1}
    """
    if not isinstance(flat_sequence, Iterable):
        raise TypeError(f"flat_sequence must be iterable, received {flat_sequence!r}.")
    given, places = list(flat_sequence), len(flatten(structure))
    if len(given) != places:
        raise ValueError(f"The structure has {places} leaves, flat_sequence {len(given)}.")
    following = iter(given)
    return _map([structure], lambda *_: next(following))


# --- maps ---


def _map(structures: list[Any], function: Callable[..., Any], path: Path = ()) -> Any:
    """Map over the leaves of the first structure; the others are at least as deep."""
    first, *others = structures
    if not is_nested(first):
        return function(*structures)
    for other in others:
        _check(_mismatch(path, first, other))
    parts = {
        key: _map([part, *(other[key] for other in others)], function, (*path, key))
        for key, part in _children(first)
    }
    return _rebuilt(first, parts)


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """The structure of func(leaf, ...) for the leaves of structures of one form.

    `none_is_leaf`: whether None goes through the function, or stays None (in all structures).

    >>> gpunn.tree.map_structure(lambda a, b: a + b, [1, {"x": 2}], [3, {"x": 4}])
    [4, {'x': 6}]
    """
    _callable(func)
    if not structures:
        raise ValueError("Must provide at least one structure.")

    def mapped(*leaves: Any) -> Any:
        nones = 0 if none_is_leaf else sum(leaf is None for leaf in leaves)
        if any(map(is_nested, leaves)) or 0 < nones < len(leaves):
            _check(f"one has {reprlib.repr(leaves[0])}, others {reprlib.repr(leaves[1:])}")
        return None if nones else func(*leaves)

    return _map(list(structures), mapped)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """The structure of func(part, ...) for the parts in the places of the shallow one's leaves.

    >>> gpunn.tree.map_structure_up_to([None, None], len, [[1, 1], [2, 2]])
    [2, 2]
    """
    _callable(func)
    if not structures:
        raise ValueError("Must provide at least one structure.")
    return _map([shallow_structure, *structures], lambda _, *parts: func(*parts))


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """The structure with the parts that `func` replaces.

    It is called for each part, the whole included, before its children (`top_down`) or after them.
    What it returns takes the place of the part, and is not walked; None leaves the part as it is,
    `MAP_TO_NONE` puts None there.
    """
    _callable(func)
    if top_down and (found := func(structure)) is not None:
        return None if found is MAP_TO_NONE else found
    if is_nested(structure):
        parts = {key: traverse(func, part, top_down) for key, part in _children(structure)}
        structure = _rebuilt(structure, parts)
    if not top_down and (found := func(structure)) is not None:
        return None if found is MAP_TO_NONE else found
    return structure


def lists_to_tuples(structure: Any) -> Any:
    """The same structure with tuples for lists.

    >>> gpunn.tree.lists_to_tuples([1, {"a": [2]}])
    (1, {'a': (2,)})
    """
    as_tuple = lambda part: tuple(part) if isinstance(part, list) else None
    return traverse(as_tuple, structure, top_down=False)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """The structure of func(shape) for its shapes: tuples or lists of ints and Nones.

    >>> gpunn.tree.map_shape_structure(len, {"a": (None, 3), "b": [(2,), (1, 2, 3)]})
    {'a': 2, 'b': [1, 3]}
    """
    _callable(func)
    if not is_nested(structure):
        return func(structure)
    if isinstance(structure, (list, tuple)) and all(isinstance(n, int | None) for n in structure):
        return func(structure)
    parts = {key: map_shape_structure(func, part) for key, part in _children(structure)}
    return _rebuilt(structure, parts)


# --- comparisons ---


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """Raise `ValueError` unless both are nested in the same way; the leaves do not matter.

    Dicts of all kinds are alike if their keys are; lists, tuples and named tuples are not.
    """
    if check_types is not None:
        warnings.warn(
            "assert_same_structure: check_types has no effect, as in Keras; leave it out. "
            "assert_same_paths() takes lists and tuples for the same.",
            DeprecationWarning,
            stacklevel=2,
        )
    map_structure(lambda *_: None, a, b)


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise `ValueError` unless both have leaves at the same indices and keys."""
    paths_a, paths_b = ({path for path, _ in flatten_with_path(s)} for s in (a, b))
    if paths_a != paths_b:
        only = functools.partial(sorted, key=repr)
        raise ValueError(
            f"The structures don't have the same paths. Only in the first: "
            f"{only(paths_a - paths_b)}; only in the second: {only(paths_b - paths_a)}."
        )
