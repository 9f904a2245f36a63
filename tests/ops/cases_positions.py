"""Cases of what picks, moves and updates elements by their positions."""

from __future__ import annotations

import math

import numpy as np

from gpunn import ops
from tests.ops.cases import add, elements, uniform


def integers(high, shape, low=0):
    return lambda rng: rng.integers(low, high, shape).astype("int32")


def inputs(*makers):
    """Inputs by functions of a generator, or uniform numbers of a shape."""
    return lambda rng: tuple(
        make(rng) if callable(make) else np.asarray(rng.uniform(-2, 2, make)) for make in makers
    )


# --- take ---

for axis, shape, batch in ((None, (3, 4), (0,)), (0, (3, 4), (1,)), (1, (3, 4, 2), (0, 1))):
    n = 12 if axis is None else shape[axis]
    add(
        "take",
        f"axis={axis}",
        inputs(shape, integers(n, (2, 4), -n)),
        lambda x, i, a=axis: (
            elements(i.shape, lambda at: x.ravel()[i[at]])
            if a is None
            else elements((*i.shape, 4), lambda at: x[i[at[:2]], at[2]])
            if a == 0
            else elements((3, *i.shape, 2), lambda at: x[at[0], i[at[1:3]], at[3]])
        ),
        call=lambda x, i, a=axis: ops.take(x, i, a),
        batch=batch,
    )
for axis, shape in ((1, (3, 5)), (0, (1, 4)), (None, (6,))):
    add(
        "take_along_axis",
        f"axis={axis}",
        inputs((3, 4), integers(3, shape, -3)),
        lambda x, i, a=axis: (
            elements(i.shape, lambda at: x.ravel()[i[at]])
            if a is None
            else elements((3, 5), lambda at: x[at[0], i[at]])
            if a == 1
            else elements((1, 4), lambda at: x[i[at], at[1]])
        ),
        call=lambda x, i, a=axis: ops.take_along_axis(x, i, a),
        batch=() if axis == 0 else (0, 1) if axis == 1 else (0,),
    )

# --- sorting ---


def by_columns(function):
    return lambda x: np.array([function(list(column)) for column in x.T]).T


def ties(rng):
    return np.round(rng.normal(size=(6, 3)) * 2)


for label, axis, oracle in (
    ("axis=0", 0, by_columns(sorted)),
    ("axis=-1", -1, lambda x: np.array([sorted(row) for row in x])),
    ("flat", None, lambda x: np.array(sorted(x.ravel()))),
):
    add("order", label, uniform((4, 3)), oracle, call=lambda x, a=axis: ops.sort(x, a))
add(
    "order",
    "argsort of ties",
    inputs(ties),
    by_columns(lambda column: sorted(range(len(column)), key=column.__getitem__)),
    call=lambda x: ops.argsort(x, axis=0),
    differentiable=(),
    result="int32",
)
add(
    "order",
    "top_k values",
    uniform((3, 5)),
    lambda x: np.array([sorted(row)[:-4:-1] for row in x]),
    call=lambda x: ops.top_k(x, 3)[0],
)
add(
    "order",
    "top_k positions of ties",
    inputs(ties),
    lambda x: np.array([sorted(range(3), key=lambda i: -row[i])[:2] for row in x]),
    call=lambda x: ops.top_k(x, 2)[1],
    differentiable=(),
    result="int32",
)

# --- parts ---

for label, call, cuts in (
    ("equal", lambda x: ops.split(x, 3, axis=1), (2, 4)),
    ("cuts", lambda x: ops.split(x, [1, 1, -2], axis=1), (1, 1, 4)),
    ("unequal", lambda x: ops.array_split(x, 4, axis=1), (2, 4, 5)),
):
    add(
        "split",
        label,
        uniform((3, 6)),
        lambda x, c=cuts: np.array(
            [[v for a, b in reversed([*zip((0, *c), (*c, 6))]) for v in row[a:b]] for row in x]
        ),
        call=lambda x, f=call: ops.concatenate(f(x)[::-1], axis=1),
    )
add(
    "unstack",
    "last axis",
    uniform((3, 4)),
    lambda x: x[:, 3] * x[:, 1],
    call=lambda x: (lambda parts: parts[3] * parts[1])(ops.unstack(x, axis=-1)),
)
add(
    "slice",
    "numbers",
    uniform((3, 5)),
    lambda x: np.array([row[2:5] for row in x[1:3]]),
    call=lambda x: ops.slice(x, [1, 4], [2, 3]),
    batch=(),
)
add(
    "slice",
    "tensor",
    inputs((4, 5), integers(6, (2,), -3)),
    lambda x, i: (lambda r, c: np.array([row[c : c + 3] for row in x[r : r + 2]]))(
        min(i[0] + 4 * (i[0] < 0), 2), min(i[1] + 5 * (i[1] < 0), 2)
    ),
    call=lambda x, i: ops.slice(x, i, [2, 3]),
)


def with_window(x, at, window):
    out = x.copy()
    for i, row in enumerate(window):
        for j, value in enumerate(row):
            out[at[0] + i, at[1] + j] = value
    return out


add(
    "slice_update",
    "numbers",
    uniform((3, 5), (2, 2)),
    lambda x, u: with_window(x, (1, 3), u),
    call=lambda x, u: ops.slice_update(x, [-2, 4], u),
    differentiable=(0, 1),
    batch=(),
)
add(
    "slice_update",
    "tensor",
    inputs((3, 5), integers(2, (2,)), (2, 2)),
    with_window,
    call=ops.slice_update,
    differentiable=(0, 2),
)
add(
    "extract_sequences",
    "overlapping",
    uniform((2, 9)),
    lambda x: elements((2, 3, 4), lambda i: x[i[0], 2 * i[1] + i[2]]),
    call=lambda x: ops.extract_sequences(x, 4, 2),
)
add(
    "extract_sequences",
    "apart",
    uniform((2, 9)),
    lambda x: elements((2, 2, 3), lambda i: x[i[0], 5 * i[1] + i[2]]),
    call=lambda x: ops.extract_sequences(x, 3, 5),
)

# --- diagonals ---

for k in (-1, 0, 2):
    add(
        "diagonal",
        f"k={k}",
        uniform((2, 3, 4)),
        lambda x, k=k: np.array([[m[i][i + k] for i in range(3) if 0 <= i + k < 4] for m in x]),
        call=lambda x, k=k: ops.diagonal(x, k, axis1=1, axis2=2),
    )
    add(
        "matrix_of",
        f"k={k}",
        uniform((3,)),
        lambda x, k=k: elements(
            (3 + abs(k),) * 2, lambda i: x[min(i)] if i[1] - i[0] == k else 0.0
        ),
        call=lambda x, k=k: ops.diag(x, k),
    )
    for name, keeps in (("tril", int.__le__), ("triu", int.__ge__)):
        add(
            "band",
            f"{name} k={k}",
            uniform((2, 3, 4)),
            lambda x, k=k, keeps=keeps: elements(
                x.shape, lambda i: x[i] if keeps(i[2] - i[1], k) else 0.0
            ),
            call=lambda x, k=k, name=name: getattr(ops, name)(x, k),
        )
add(
    "diagonal",
    "trace",
    uniform((4, 3)),
    lambda x: np.array(x[0, 1] + x[1, 2]),
    call=lambda x: ops.trace(x, 1),
)

# --- arrangements ---

for shift, axis in ((2, None), (-1, 0), ((1, 7), (1, 0))):
    r, c = (0, 0) if axis is None else (shift, 0) if axis == 0 else (7, 1)
    add(
        "roll",
        f"{shift} along {axis}",
        uniform((3, 4)),
        lambda x, s=shift, a=axis, r=r, c=c: (
            elements(x.shape, lambda i: x.ravel()[(4 * i[0] + i[1] - s) % 12])
            if a is None
            else elements(x.shape, lambda i: x[(i[0] - r) % 3, (i[1] - c) % 4])
        ),
        call=lambda x, s=shift, a=axis: ops.roll(x, s, a),
    )
for indexing in ("xy", "ij"):
    add(
        "meshgrid",
        indexing,
        uniform((3,), (4,)),
        lambda x, y, xy=indexing == "xy": elements(
            (4, 3) if xy else (3, 4), lambda i: x[i[xy]] * 3 + y[i[not xy]]
        ),
        call=lambda x, y, i=indexing: (lambda p, q: p * 3 + q)(*ops.meshgrid(x, y, indexing=i)),
        differentiable=(0, 1),
        batch=(0, 1),
    )
add(
    "rearrange",
    "heads",
    uniform((2, 3, 8)),
    lambda x: elements((2, 4, 3, 2), lambda i: x[i[0], i[2], 2 * i[1] + i[3]]),
    call=lambda x: ops.rearrange(x, "b t (h d) -> b h t d", h=4),
)
add(
    "rearrange",
    "merged",
    uniform((2, 3, 4)),
    lambda x: elements((4, 6), lambda i: x[i[1] % 2, i[1] // 2, i[0]]),
    call=lambda x: ops.rearrange(x, "b t c -> c (t b)"),
)
add(
    "isin",
    "rows",
    inputs(ties, lambda rng: np.round(rng.normal(size=5) * 2)),
    lambda x, e: elements(x.shape, lambda i: x[i] in e.tolist()).astype(bool),
    call=ops.isin,
    differentiable=(),
    batch=(0, 1),
    result="bool",
)
add(
    "view",
    "bits",
    lambda rng: (rng.integers(0, 2**31, (3, 4)).astype("int32"),),
    lambda x: np.array([[v >> s & 255 for v in row for s in (0, 8, 16, 24)] for row in x.tolist()]),
    call=lambda x: ops.view(x, "uint8"),
    differentiable=(),
    result="uint8",
)

# --- scatter ---


def updated(combine):
    def oracle(x, indices, updates):
        out, before = x.copy(), x
        for i, index in enumerate(indices):
            for j in np.ndindex(updates.shape[1:]):
                place = (*index, *j)
                out[place] = combine(out[place], updates[(i, *j)]) if combine else updates[(i, *j)]
        assert out.shape == before.shape
        return out

    return oracle


REDUCTIONS = {
    None: None,
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "max": max,
    "min": min,
}
for name, combine in REDUCTIONS.items():
    add(
        "scatter_update",
        f"{name} rows",
        inputs((4, 3), integers(3, (6, 1), -3), (6, 3)),
        updated(combine),
        call=lambda x, i, u, r=name: ops.scatter_update(x, i, u, reduction=r),
        differentiable=(0, 2),
        batch=(0,),
    )
    add(
        "scatter_update",
        f"{name} elements",
        inputs((2, 3), lambda rng: rng.integers(0, 2, (5, 2)).astype("int32"), (5,)),
        updated(combine),
        call=lambda x, i, u, r=name: ops.scatter_update(x, i, u, reduction=r),
        differentiable=(0, 2),
        batch=(0, 1, 2),
    )
add(
    "scatter_update",
    "scatter",
    inputs(integers(4, (5, 1)), (5, 2)),
    lambda i, v: updated(lambda a, b: a + b)(np.zeros((4, 2)), i, v),
    call=lambda i, v: ops.scatter(i, v, (4, 2)),
    differentiable=(1,),
    batch=(0, 1),
)
for name, reduce in {"sum": math.fsum, "prod": math.prod, "max": max, "min": min}.items():
    add(
        "scatter_update",
        f"segment_{name}",
        inputs((7, 2), lambda rng: rng.permutation([0, 0, 1, 1, 1, -1, 9]).astype("int32")),
        lambda x, ids, f=reduce: np.array(
            [[f([v for v, s in zip(column, ids) if s == k]) for column in x.T] for k in range(2)]
        ),
        call=lambda x, i, n=name: getattr(ops, f"segment_{n}")(x, i, num_segments=2),
        batch=(0, 1),
    )
