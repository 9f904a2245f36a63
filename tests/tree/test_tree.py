"""gpunn.tree against keras.tree: the same walk of structures through both."""

import collections
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

from gpunn import tree as ours

theirs = pytest.importorskip("keras").tree

Point = collections.namedtuple("Point", "b a")
Other = collections.namedtuple("Other", "b a")


class MyList(list):
    """A subclass: a leaf for both."""


STRUCTURES = [
    7, None, "text", [], {}, (), [[]], [1], (1,), [None, 1],
    {"b": 1, "a": [2, 3]}, collections.OrderedDict(b=1, a=[2, 3]),
    collections.defaultdict(list, {"b": 1, "a": (2, 3)}), collections.deque([1, [2]], 5),
    Point(1, [2, None]), [{"x": Point((1, 2), {"z": 0, "y": [9]})}, ([], (3,))],
    {2: "two", 1: "one"}, {"a": 1, 1: 2}, MyList([1, 2]), [MyList([1])], {1, 2},
]  # fmt: skip


def same(a, b):
    """Equal in values, types and the order of keys."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple, collections.deque)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b


def both(name, *args, **kwargs):
    """The same results, or the same kind of error."""
    results = []
    for module in (ours, theirs):
        try:
            results.append(getattr(module, name)(*args, **kwargs))
        except (TypeError, ValueError) as error:
            results.append(type(error))
    same(*results)
    return results[0]


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_walks_as_keras(structure):
    both("is_nested", structure)
    flat = both("flatten", structure)
    both("flatten_with_path", structure)
    both("map_structure", lambda leaf: (leaf,), structure)
    both("map_structure", lambda leaf: (leaf,), structure, none_is_leaf=False)
    both("lists_to_tuples", structure)
    same(both("pack_sequence_as", structure, flat), structure)
    both("pack_sequence_as", structure, range(len(flat)))
    both("pack_sequence_as", structure, [*flat, 1])
    both("pack_sequence_as", structure, flat[1:])


@pytest.mark.parametrize("a", STRUCTURES[:16], ids=repr)
def test_pairs_as_keras(a):
    others = [*STRUCTURES, Other(1, [2, None]), {"a": 1, "b": 2}, [3, 4], (3, 4), [3, [4]], 0]
    for b in others:
        both("assert_same_structure", a, b)
        both("assert_same_paths", a, b)
        both("map_structure", lambda x, y: (x, y), a, b)
        if type(a) is type(b) or isinstance(a, dict) is not isinstance(b, dict):
            # (Keras raises for None beside a leaf of another structure; so do we.)
            both("map_structure", lambda x, y: (x, y), a, b, none_is_leaf=False)


def test_traverse_as_keras():
    def tuples(part):
        return tuple(part) if isinstance(part, list) else None

    def to_none(part):
        return theirs.MAP_TO_NONE if part == 1 else None

    def to_our_none(part):
        return ours.MAP_TO_NONE if part == 1 else None

    for structure in STRUCTURES:
        for top_down in (True, False):
            both("traverse", tuples, structure, top_down=top_down)
            same(
                ours.traverse(to_our_none, structure, top_down),
                theirs.traverse(to_none, structure, top_down),
            )
            seen = [], []
            ours.traverse(seen[0].append, structure, top_down)
            theirs.traverse(seen[1].append, structure, top_down)
            same(*seen)


@pytest.mark.parametrize(
    ("shallow", "structures"),
    [
        ([0, 0], ([[1, 1], [2, 2]],)),
        ([0, [0, 0]], ([[1, 1], [2, 2]],)),
        ({"a": 0}, ({"a": [1]}, {"a": [2]})),
        (0, ([1],)),
        ([None, None], ([[1, 2]],)),
        ([None, [None]], ([1, 2],)),
        ((0, 0), ([1, 2],)),
        (collections.OrderedDict(b=0, a=0), ({"a": 1, "b": [2]},)),
        ([0], ()),
    ],
)
def test_map_up_to_as_keras(shallow, structures):
    both("map_structure_up_to", shallow, lambda *parts: parts, *structures)


def test_map_up_to_as_keras_documents_it():
    """With None for the leaves; Keras 3.15 with optree refuses its own examples."""
    assert ours.map_structure_up_to([None, None], len, [[1, 1], [2, 2]]) == [2, 2]
    found = ours.map_structure_up_to([None, [None, None]], str, [[1, 1], [2, 2]])
    assert found == ["[1, 1]", ["2", "2"]]
    assert ours.map_structure_up_to([0, 0], lambda part: part, [[1, 2], 3]) == [[1, 2], 3]


@pytest.mark.parametrize(
    "structure",
    [[(1, None), [(2,)]], {"a": (1, 2)}, (1, 2), [1, 2], [None, (3,)], (), {"b": [(2,), (1, 2, 3)]},
     5, [[(None, 4), (2,)], {"x": [1, 2]}]],
    ids=repr,
)  # fmt: skip
def test_shapes_as_keras(structure):
    both("map_shape_structure", lambda shape: ("shape", shape), structure)


def test_arrays_are_leaves():
    array = np.ones((2, 2))
    assert all(leaf is array for leaf in ours.flatten([array, {"x": array}]))
    assert not ours.is_nested(array)


def test_keys_of_several_types_without_order():
    structure = {"b": 1, (1, 2): 2, 3: 4, "a": 5}
    both("flatten", structure)


def test_errors_say_where():
    with pytest.raises(ValueError, match=r"nested structure, at \(1, 'a'\): expected an instance"):
        ours.assert_same_structure([0, {"a": [1]}], [0, {"a": (1,)}])
    with pytest.raises(ValueError, match=r"at the top: the keys differ, \['a'\] and \['b'\]"):
        ours.assert_same_structure({"a": 1}, {"b": 1})
    with pytest.raises(ValueError, match="at the top: 2 and 1 elements"):
        ours.assert_same_structure([1, 2], [1])
    with pytest.raises(ValueError, match=r"one has 2, others \(\[2\],\)"):
        ours.map_structure(lambda *_: 0, [1, 2], [1, [2]])
    with pytest.raises(ValueError, match="2 leaves, flat_sequence 1"):
        ours.pack_sequence_as([0, 0], [1])
    with pytest.raises(TypeError, match="must be iterable, received 3"):
        ours.pack_sequence_as([0], 3)
    with pytest.raises(ValueError, match=r"first: \[\(1,\)\]; only in the second: \[\]"):
        ours.assert_same_paths([1, 2], [1])
    with pytest.raises(TypeError, match="must be callable, received 3"):
        ours.map_structure(3, [1])
    with pytest.raises(ValueError, match="at least one structure"):
        ours.map_structure(print)
    with pytest.warns(DeprecationWarning, match="check_types has no effect"):
        ours.assert_same_structure([1], [2], check_types=True)
