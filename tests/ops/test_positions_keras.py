"""Positions, parts, sorting, scatter and sequences give what keras.ops gives: one walk."""

from __future__ import annotations

import os

import numpy as np
import pytest

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")

X = np.array([[3, 1, 2, 1], [0, 5, 5, -2], [7, 7, 1, 4]], "float32")
V = np.array([4, 1, 1, 3, -2], "int32")
ROWS = np.array([2, 0, 2], "int32")
EIGHT, HALF = V.astype("int8"), X.astype("float16")
PLACES = np.array([[0, 1], [0, 1], [-1, 2], [9, 0]], "int32")
VALUES = np.array([10, 20, -30, 40], "float32")
IDS = np.array([0, -1, 2], "int32")


WALK = [
    *[(name, X) for name in ("fliplr", "diag", "trace", "tril")],
    *[(name, V) for name in ("diag", "sort", "argsort", "vander")],
    *[(name, x, a) for name in ("sort", "argsort") for x in (X, EIGHT) for a in (None, 0)],
    *[("top_k", x, 2) for x in (EIGHT, np.array([1, np.nan, 3], "float32"))],
    ("in_top_k", np.array([1, 2, 9], "int32"), X, 2),
    *[("take", X, np.array([[0, -1], [2, 1]], "int32"), a) for a in (None, -1)],
    ("take", X, 1, 0),
    ("take_along_axis", X, np.array([[1, -1]], "int32"), 1),
    ("get_item", X, (slice(None), 1)),
    ("append", X, V),
    ("append", X, X.astype("int32"), 0),
    ("array_split", X, 3, 1),
    ("dsplit", X[None].repeat(2, 0), 2),
    ("hsplit", V[:4], 2),
    ("unstack", X, 4, 1),
    *[(name, [V, EIGHT]) for name in ("hstack", "vstack", "dstack", "stack")],
    ("concatenate", [X, HALF], None),
    ("meshgrid", V),
    ("roll", X, (1, -2), (0, 1)),
    ("roll", X, 1, (0, 1)),
    *[("rot90", X, k) for k in (-1, 1, 2)],
    ("rot90", X[None], 1, (2, 1)),
    ("diag", X, -1),
    ("diagonal", X[None], 1, 1, 2),
    ("trace", EIGHT[:4].reshape(2, 2)),
    ("vander", VALUES, 3, True),
    *[("arange", *a) for a in ((3,), (1, 7, 2), (3, 0, -1), (0.0, 1.0, 0.25), (3, None, 2))],
    ("arange", 3, None, None, "float16"),
    ("linspace", 0, 5, 4),
    ("linspace", 0, -5, 3, False, False, "int32"),
    ("linspace", 0, 1, 3, True, True),
    ("linspace", V, VALUES[0], 3, True, True, None, -1),
    ("linspace", 0, 1, 0),
    ("logspace", 0, 2, 3, True, 2),
    ("logspace", IDS.astype("float32"), 2, 3, False, 10, None, 1),
    ("geomspace", 1, 8, 4, True, "int32"),
    ("geomspace", -1, -100, 3),
    ("geomspace", VALUES[:2], 5.0, 3, False, None, -1),
    ("full", (2, 2), VALUES[:2]),
    ("full", 2, 7),
    ("full_like", X, VALUES),
    ("empty_like", V),
    ("slice", X, [1, 3], [2, 2]),
    ("slice", X, np.array([-1, 1], "int32"), [1, 2]),
    ("slice_update", X, [2, 3], -np.ones((2, 2), "float32")),
    ("slice_update", X, np.array([0, -1], "int32"), -np.ones((1, 1), "float32")),
    ("scatter", PLACES, VALUES, (3, 4)),
    *[("scatter_update", X, PLACES, VALUES, r) for r in (None, "max")],
    ("scatter_update", V, PLACES[:2, :1], VALUES[:2], "add"),
    *[
        (f"segment_{name}", x, IDS, 4)
        for name in ("sum", "max", "min", "prod")
        for x in (X.astype("int32"),)
    ],
    ("isin", V, np.array([1.5, 3.0], "float32")),
    ("unravel_index", np.array([0, 5, -1, 99], "int32"), (3, 4)),
    ("view", X, "int32"),
    ("view", X, "int16"),
    ("view", EIGHT[:4], "int32"),
    ("repeat", X, 2),
    ("expand_dims", X, (0, -1)),
    ("squeeze", X[None, :, None], (0, 2)),
    ("where", X > 2, X, 0),
    ("where", X, V[:4], HALF),
    ("one_hot", X, 4),
    *[
        ("pad", x, ((1, 2), (2, 0)), mode)
        for x in (X, V[:4].reshape(2, 2))
        for mode in (
            "edge", "wrap", "maximum", "minimum", "mean", "median", "linear_ramp",
        )
        if x is X or mode == "mean"
    ],
    ("select", [X > 3, X > 1], [X, -X], 9),
]  # fmt: skip

NAMED = [
    ("isin", V, V[:2], {"invert": True}),
    ("meshgrid", V, VALUES, X[0], {"indexing": "ij"}),
    ("rearrange", X, "a (b c) -> c b a", {"c": 2}),
    ("sort", {"x": X, "axis": 0}),
    ("take", {"x": X, "indices": ROWS, "axis": 0}),
    ("scatter_update", {"inputs": X, "indices": PLACES, "updates": VALUES, "reduction": "add"}),
    ("segment_sum", {"data": X, "segment_ids": IDS, "num_segments": 4, "sorted": False}),
    ("eye", {"N": 2, "M": 3, "k": 1}),
    ("where", {"condition": X > 1, "x1": X, "x2": -X}),
    ("arange", {"start": 1, "stop": 7, "step": 2}),
    ("rot90", {"array": X, "k": 1, "axes": (1, 0)}),
    ("stack", {"x": [X, X], "axis": 1}),
]


def split_arguments(arguments):
    named = arguments[-1] if isinstance(arguments[-1], dict) else {}
    return (arguments[:-1] if named else arguments), named


def leaves(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [(name, arguments) for name, *arguments in WALK + NAMED],
    ids=[f"{i}-{case[0]}" for i, case in enumerate(WALK + NAMED)],
)
def test_like_keras(name, arguments):
    args, named = split_arguments(arguments)
    expected = leaves(getattr(keras.ops, name)(*args, **named))
    received = leaves(getattr(ops, name)(*args, **named))
    assert len(received) == len(expected)
    for y, wanted in zip(received, expected, strict=True):
        wanted = np.asarray(wanted)
        assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype.name)
        np.testing.assert_allclose(y.numpy(), wanted, rtol=3e-6, atol=1e-6)


def test_unique():
    v = np.array([4, 1, 1, 3, -2], "int32")
    found = ops.unique(v, return_index=True, return_inverse=True, return_counts=True)
    assert [part.tolist() for part in found] == [
        [-2, 1, 3, 4], [4, 1, 3, 0], [3, 1, 1, 2, 0], [1, 2, 1, 1],
    ]  # fmt: skip
    assert [part.dtype for part in found] == ["int32"] * 4
    filled, at, counts = ops.unique(v, size=6, fill_value=9, return_index=True, return_counts=True)
    assert (filled.tolist(), at.tolist()) == ([-2, 1, 3, 4, 9, 9], [4, 1, 3, 0, 4, 4])
    assert counts.tolist() == [1, 2, 1, 1, 0, 0]
    assert ops.unique(v, size=6).tolist() == [-2, 1, 3, 4, -2, -2]
    first, counts = ops.unique(v, size=2, return_counts=True)
    assert (first.tolist(), counts.tolist()) == ([-2, 1], [1, 2])
    columns, inverse = ops.unique([[3, 1, 3], [0, 5, 0]], axis=1, return_inverse=True)
    assert (columns.tolist(), inverse.tolist()) == ([[1, 3], [5, 0]], [1, 0, 1])
    with pytest.raises(ShapeError, match="unique: x has no elements to fill up with"):
        ops.unique(v[:0], size=2)


def test_nonzero():
    for found in (ops.nonzero(X[1]), ops.where(X[1] != 0)):
        assert [i.tolist() for i in found] == [[1, 2, 3]]
        assert found[0].dtype == "int32"


def test_argpartition_puts_one_element_where_it_belongs():
    for kth in (0, 2, -1):
        at = ops.argpartition(V, kth).numpy()
        assert at.dtype == "int32" and sorted(at) == [0, 1, 2, 3, 4]
        assert V[at[kth]] == sorted(V)[kth]
        assert all(V[at[:kth]] <= V[at[kth]]) or kth == -1


def test_segments_are_as_many_as_the_largest_id_says():
    assert ops.segment_sum([1.0, 2.0, 3.0], [2, 0, 2]).tolist() == [2, 0, 4]
    assert ops.segment_max(np.zeros((0, 2), "float32"), np.zeros(0, "int32")).shape == (0, 2)


def test_switch_clamps_its_index_and_runs_one_branch():
    calls = []

    def branch(number):
        def run(x):
            calls.append(number)
            return x * number

        return run

    branches = [branch(2), branch(3)]
    for index in (-4, 0, 1, 9, ops.array(9), np.int64(1)):
        assert float(ops.switch(index, branches, 5.0)) == (10 if int(index) <= 0 else 15)
    assert calls == [2, 2, 3, 3, 3, 3]
    symbol = ops.switch(SymbolicTensor((), "int32"), branches, SymbolicTensor((None, 3)))
    assert symbol.shape == (None, 3)


@pytest.mark.parametrize("name", ["nonzero", "where", "unique"])
def test_shapes_that_depend_on_values_are_unknown_of_symbolic_tensors(name):
    found = getattr(ops, name)(SymbolicTensor((None, 3)))
    expected = getattr(keras.ops, name)(keras.KerasTensor((None, 3)))
    if name == "where":  # Keras says (None, 3) here, and gives a tuple of vectors
        expected = keras.ops.nonzero(keras.KerasTensor((None, 3)))
    for y, wanted in zip(leaves(found), leaves(expected), strict=True):
        assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype)


def test_symbolic_shapes_are_those_of_keras():
    for call in (
        lambda o, t: o.diag(t(None)),
        lambda o, t: o.diagonal(t(None, 3, 4), 1, 0, 2),
        lambda o, t: o.trace(t(None, 3, 4), 0, 1, 2),
        lambda o, t: o.vander(t(None)),
        lambda o, t: o.sort(t(None, 3), axis=None),
        lambda o, t: o.top_k(t(None, 5), 2)[1],
        lambda o, t: o.take_along_axis(t(None, 3), o.cast(t(None, 2), "int32"), axis=1),
        lambda o, t: o.rot90(t(None, 3)),
        lambda o, t: o.split(t(None, 4), 2)[0],
        lambda o, t: o.meshgrid(t(None), t(3))[1],
        lambda o, t: o.slice(t(None, 3), [0, 1], [2, 2]),
        lambda o, t: o.scatter_update(t(None, 3), [[0]], t(1, 3)),
        lambda o, t: o.extract_sequences(t(2, None), 3, 2),
        lambda o, t: o.unique(t(4), size=3, return_inverse=True, return_counts=True)[1],
        lambda o, t: o.pad(t(None, 3), 1, mode="edge"),
        lambda o, t: o.reshape(t(None, None, 4), (None, None, 2, 2)),
        lambda o, t: o.expand_dims(t(None, 3), (0, 2)),
        lambda o, t: o.linspace(t(None), t(None), 3, axis=-1),
        lambda o, t: o.unstack(t(None, 3), num=3)[0],
        lambda o, t: o.view(t(None, 3), "int16"),
    ):
        expected = call(keras.ops, lambda *shape: keras.KerasTensor(shape, "float32"))
        received = call(ops, lambda *shape: SymbolicTensor(shape, "float32"))
        assert (received.shape, received.dtype) == (expected.shape, expected.dtype)


def test_what_a_tensor_is():
    x = ops.array(X)
    assert (ops.size(x), ops.ndim(x), ops.dtype(x)) == (12, 2, "float32")
    assert (ops.size([1, 2]), ops.ndim(X), ops.dtype(1)) == (2, 2, "int32")
    assert ops.is_tensor(x) and not ops.is_tensor(X) and not ops.is_tensor([1])
    symbol = SymbolicTensor((None, 3), "int8")
    assert not ops.is_tensor(symbol)
    assert (ops.shape(symbol), ops.ndim(symbol), ops.dtype(symbol)) == ((None, 3), 2, "int8")
    assert isinstance(ops.view(x), Tensor) and ops.view(x) is x
    assert ops.empty((2, 3), "int8").shape == (2, 3)
