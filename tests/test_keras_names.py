"""Every public name of `keras`, with its arguments and defaults, is gpunn's too, or is listed.

docs/keras-differences.md is the list: the rows of its tables `name | difference | reason`.
"""

import ast
import fnmatch
import functools
import importlib
import inspect
import os
import re
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

import gpunn

DOCUMENT = Path(__file__).parent.parent / "docs" / "keras-differences.md"
MISSING, ONLY_HERE, KWARGS = "missing", "gpunn only", "**kwargs"
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


# --- the document ---


def listed():
    """(name pattern, difference pattern) -> reason, from the tables of the document."""
    rows, inside = {}, False
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split(" | ")]
        if line.startswith("| name | difference"):
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|-"):
            assert len(cells) == 3 and cells[2], f"not `name | difference | reason`: {line}"
            for name in re.findall(r"`([^`]+)`", cells[0]):
                for difference in re.findall(r"`([^`]+)`", cells[1]):
                    assert (name, difference) not in rows, f"listed twice: {name}, {difference}"
                    rows[name, difference] = cells[2]
    return rows


def matches(row, found):
    return all(fnmatch.fnmatchcase(f, pattern) for f, pattern in zip(found, row))


# --- the walk ---


def public(module):
    return [n for n in dir(module) if not n.startswith("_") and n != "src"]


def modules(keras):
    """(path, Keras' module, gpunn's or None): those inside before the top level."""
    pending, inner = [("", keras)], []
    while pending:
        path, theirs = pending.pop()
        try:
            ours = importlib.import_module(f"gpunn.{path}".rstrip("."))
        except ModuleNotFoundError:
            ours = None
        inner.append((path, theirs, ours))
        for name in public(theirs) if ours is not None else ():
            value = getattr(theirs, name)
            if inspect.ismodule(value):
                pending.append((f"{path}.{name}".lstrip("."), value))
    # an object that is in several places is reported once, not by its name at the top level, nor
    # as ops.numpy.*, but as ops.*
    return sorted(inner, key=lambda m: (m[0] == "", m[0]))


def differences(keras):
    """All (name, difference), of modules and of public methods and properties of classes."""
    found, seen, classes = [], set(), {}
    for path, theirs, ours in modules(keras):
        if ours is None:
            found.append((f"{path}.*", MISSING))
            continue
        for name in public(theirs):
            here, a = f"{path}.{name}".lstrip("."), getattr(theirs, name)
            if inspect.ismodule(a):
                continue
            if not hasattr(ours, name):
                found.append((here, MISSING))
                continue
            b = getattr(ours, name)
            if inspect.isclass(a) and inspect.isclass(b):
                classes.setdefault(a, (here, b))
            if callable(a) and (id(a), id(b)) not in seen:
                seen.add((id(a), id(b)))
                found += [(here, d) for d in compared(a, b)]
        found += [(f"{path}.{n}".lstrip("."), ONLY_HERE) for n in extras(theirs, ours)]
    for a, (here, b) in classes.items():
        found += [(f"{here}.{name}".rstrip("."), d) for name, d in members(a, b, classes)]
    return found


def extras(theirs, ours):
    """What a module of gpunn has beyond Keras': of its __all__, else of what it defines."""
    names = getattr(ours, "__all__", None) or [
        n for n, v in vars(ours).items() if getattr(v, "__module__", None) == ours.__name__
    ]
    return sorted(n for n in names if not n.startswith("_") and not hasattr(theirs, n))


def members(a, b, classes):
    """Differences of public methods and properties, but of those that a public base has, too."""
    static = functools.partial(inspect.getattr_static, default=None)
    bases = [(c, classes[c][1]) for c in a.__mro__[1:] if c in classes]
    for c, d in bases:
        if not issubclass(b, d):
            yield "", f"not a {classes[c][0]}"
    for name in sorted(n for n in dir(a) if not n.startswith("_")):
        pair = static(a, name), static(b, name)
        if any((static(c, name), static(d, name)) == pair for c, d in bases):
            continue
        if not hasattr(b, name):
            if name not in attributes(b):
                yield name, MISSING
        elif callable(getattr(a, name)) and not inspect.isclass(getattr(a, name)):
            yield from ((name, d) for d in compared(*(method(c, name) for c in (a, b))))


def method(cls, name):
    """A method without its first parameter, whatever its name."""
    found = getattr(cls, name)
    if not inspect.isfunction(inspect.getattr_static(cls, name)):
        return found

    @functools.wraps(found)
    def bound(*args, **kwargs): ...

    signature = inspect.signature(found)
    bound.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
    return bound


def attributes(cls):
    """Names that methods of a class set on `self`, and annotated ones, by reading the source."""
    return {n for c in cls.__mro__ for n in _assigned(c.__module__).get(c.__name__, ())}


@functools.cache
def _assigned(module):
    """{class: names assigned to self} of a module of gpunn."""
    if not module.startswith("gpunn"):
        return {}
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return {
        cls.name: {
            node.attr
            for node in ast.walk(cls)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        }
        for cls in ast.walk(tree)
        if isinstance(cls, ast.ClassDef)
    }


# --- signatures ---


def compared(theirs, ours):
    """What differs between two callables: `no x`, `also x`, `x=1, not 2`, ..."""
    if not callable(ours):
        return ["not callable"]
    if inspect.isclass(theirs) and not inspect.isclass(ours):
        return ["not a class"]
    a, b = parameters(theirs), parameters(ours)
    if a is None or b is None or opaque(a) or opaque(b):
        return []
    a, a_open = split(a)
    b, b_open = split(b)
    found = [f"no {n}" for n in a if n not in b]
    # with **kwargs in both, a name that gpunn spells out is among the keywords of Keras
    found += [f"also {n}" for n in b if n not in a and not (KWARGS in a_open and KWARGS in b_open)]
    for n in (n for n in a if n in b):
        if not equal(a[n].default, b[n].default):
            found.append(f"{n}={shown(b[n])}, not {shown(a[n])}")
        if a[n].kind in POSITIONAL and b[n].kind not in POSITIONAL:
            found.append(f"{n} by keyword only")
    common = [[n for n in p if n in a and n in b and p[n].kind in POSITIONAL] for p in (a, b)]
    if common[0] != common[1] and sorted(common[0]) == sorted(common[1]):
        found.append(f"order: {', '.join(common[1])}")
    found += [f"no {star}" for star in a_open if star not in b_open]
    return found + [f"also {star}" for star in b_open if star not in a_open]


def parameters(function):
    if inspect.isclass(function):
        if function.__init__ is object.__init__:
            return []
        function = function.__init__
    try:
        found = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return None
    return found[1:] if found and found[0].name == "self" else found


def opaque(found):
    """(*args, **kwargs): says nothing."""
    return [p.kind for p in found] == [
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    ]


def split(found):
    stars = {inspect.Parameter.VAR_POSITIONAL: "*args", inspect.Parameter.VAR_KEYWORD: KWARGS}
    return (
        {p.name: p for p in found if p.kind not in stars},
        [stars[p.kind] for p in found if p.kind in stars],
    )


def equal(a, b):
    """2 and 2.0 are equal, 1 and True are not; objects are by what they print."""
    if isinstance(a, bool) or isinstance(b, bool) or type(a) is type(b):
        return type(a) is type(b) and (a is b or repr(a) == repr(b))
    numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
    return numbers and a == b


def shown(parameter):
    return "(required)" if parameter.default is parameter.empty else repr(parameter.default)


# --- the tests ---


@pytest.fixture(scope="module")
def found():
    keras = pytest.importorskip("keras")
    stated = re.search(r"Keras (\d+\.\d+)", DOCUMENT.read_text(encoding="utf-8")).group(1)
    if not keras.__version__.startswith(f"{stated}."):
        pytest.skip(f"docs/keras-differences.md is about Keras {stated}, not {keras.__version__}")
    return differences(keras)


def test_every_difference_is_listed(found):
    rows = list(listed())
    missing = [f for f in found if not any(matches(row, f) for row in rows)]
    table = "\n".join(f"| `{name}` | `{difference}` | ... |" for name, difference in missing)
    assert not missing, f"mend them, or add to docs/keras-differences.md, with reasons:\n{table}"


def test_no_listed_difference_is_stale(found):
    stale = [row for row in listed() if not any(matches(row, f) for f in found)]
    table = "\n".join(f"`{name}`: {difference}" for name, difference in stale)
    assert not stale, f"no longer true, take out of docs/keras-differences.md:\n{table}"


def test_the_walk_sees_differences():
    """Of two small classes, each kind of difference once."""

    class Theirs:
        def __init__(self, a, b=1, c=True, d=None): ...

        def gone(self): ...

        def call(self, x, *, y=2.0, **kwargs): ...

        @property
        def kept(self): ...

    class Ours:
        def __init__(self, a, d=None, c=1, *, b=1.0, e=0): ...

        def call(self, x, y=2): ...

    assert compared(Theirs, Ours) == [
        "also e", "b by keyword only", "c=1, not True",
    ]  # fmt: skip
    assert list(members(Theirs, Ours, {})) == [
        ("call", "no **kwargs"), ("gone", MISSING), ("kept", MISSING),
    ]  # fmt: skip

    class Special(Theirs):
        def call(self, x): ...

    public = {Theirs: ("layers.Theirs", Ours)}
    other = type("Special", (), {"call": Special.call})
    assert list(members(Special, other, public)) == [("", "not a layers.Theirs")]
    assert list(members(Special, type("Special", (Ours,), {}), public)) == [("call", "also y")]
    assert compared(lambda a, b: 0, lambda b, a: 0) == ["order: b, a"]
    assert compared(Theirs, lambda: 0) == ["not a class"]
    assert compared(lambda **kwargs: 0, lambda *, a=1, **kwargs: 0) == []
    assert compared(lambda *args, **kwargs: 0, lambda a: 0) == []


def test_the_walk_covers_the_modules():
    keras = pytest.importorskip("keras")
    paths = {path for path, _, ours in modules(keras) if ours is not None}
    wanted = "activations callbacks layers losses metrics ops ops.nn optimizers.schedules utils"
    assert paths.issuperset({"", *wanted.split()}) and gpunn is modules(keras)[-1][2]
