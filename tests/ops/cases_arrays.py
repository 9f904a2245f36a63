"""Cases of reductions, shapes and indexing."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from gpunn import ops
from tests.ops.cases import add, elements, uniform

# --- reductions ---


def reduced(function, axes, keepdims):
    """Of an array of 3 axes, gather the elements of each result in a list and reduce it."""

    def oracle(x):
        kept = [a for a in range(3) if a not in axes]
        groups = {}
        for index in product(*map(range, x.shape)):
            groups.setdefault(tuple(index[a] for a in kept), []).append(float(x[index]))
        shape = tuple(x.shape[a] for a in kept)
        out = np.array([function(groups[i]) for i in product(*map(range, shape))]).reshape(shape)
        return np.array(
            out.reshape([1 if a in axes else n for a, n in enumerate(x.shape)]) if keepdims else out
        )

    return oracle


REDUCTIONS = {
    "sum": math.fsum,
    "mean": lambda v: math.fsum(v) / len(v),
    "prod": math.prod,
    "max": max,
    "min": min,
}
AXES = [None, 0, 1, 2, -1, (0, 1), (0, 2), (1, 2), (2, 0, 1), ()]
for name, function in REDUCTIONS.items():
    for axis, keepdims in product(AXES, (False, True)):
        axes = range(3) if axis is None else [axis % 3] if isinstance(axis, int) else list(axis)
        fixed = not keepdims and 0 in list(axes)
        add(
            name,
            f"axis={axis} keepdims={keepdims}",
            uniform((2, 3, 4)),
            reduced(function, list(axes), keepdims),
            options={"axis": axis, "keepdims": keepdims},
            batch=() if fixed and name != "sum" else (0,),
        )
for name, function in {"argmax": max, "argmin": min}.items():
    for axis, keepdims in product([None, 0, 1, 2, -1], (False, True)):
        axes = [0, 1, 2] if axis is None else [axis % 3]
        add(
            name,
            f"axis={axis} keepdims={keepdims}",
            lambda rng: (np.round(rng.normal(size=(2, 3, 4)) * 2),),
            reduced(lambda v, f=function: v.index(f(v)), axes, keepdims),
            differentiable=(),
            options={"axis": axis, "keepdims": keepdims},
            result="int32",
        )


def running_sum(x, axis):
    out = np.array(x)
    for i in range(1, x.shape[axis]):
        here, before = [slice(None)] * x.ndim, [slice(None)] * x.ndim
        here[axis], before[axis] = i, i - 1
        out[tuple(here)] = out[tuple(before)] + x[tuple(here)]
    return out


for axis in (0, 1, -1):
    add(
        "cumsum",
        f"axis={axis}",
        uniform((3, 4)),
        lambda x, a=axis: running_sum(x, a),
        options={"axis": axis},
    )

# --- shapes ---


for shape, batch in (((6, 2), ()), ((-1, 4), (0,)), ((2, -1), ()), ((3, 2, 2), ()), ((-1,), (0,))):
    add(
        "reshape",
        str(shape),
        uniform((3, 4)),
        lambda x, s=shape: np.array(x.ravel().tolist()).reshape(s),
        call=lambda x, s=shape: ops.reshape(x, s),
        batch=batch,
    )
for axes in (None, (0, 2, 1), (2, 0, 1), (-1, 0, 1)):
    order = [a % 3 for a in axes] if axes else [2, 1, 0]
    add(
        "transpose",
        str(axes),
        uniform((2, 3, 4)),
        lambda x, o=order: elements(
            [x.shape[a] for a in o], lambda i: x[tuple(i[o.index(a)] for a in range(3))]
        ),
        call=lambda x, a=axes: ops.transpose(x, a),
    )
for axis in (0, 1, -1, 2):
    add(
        "expand_dims",
        str(axis),
        uniform((3, 4)),
        lambda x, a=axis: np.array(
            [x] if a == 0 else [[row] for row in x] if a == 1 else [[[v] for v in row] for row in x]
        ),
        options={"axis": axis},
    )
for axis in (None, 1, -1, (1, 3)):
    add(
        "squeeze",
        str(axis),
        uniform((3, 1, 4, 1)),
        lambda x, a=axis: (
            x[:, 0, :, 0] if a in (None, (1, 3)) else x[:, 0] if a == 1 else x[..., 0]
        ),
        call=lambda x, a=axis: ops.squeeze(x, a),
    )
add(
    "broadcast_to",
    "columns",
    uniform((3, 1)),
    lambda x: elements((2, 3, 4), lambda i: x[i[1], 0]),
    call=lambda x: ops.broadcast_to(x, (2, 3, 4)),
    batch=(),
)
add(
    "broadcast_to",
    "number",
    uniform(()),
    lambda x: elements((2, 3), lambda i: x),
    call=lambda x: ops.broadcast_to(x, (2, 3)),
    batch=(),
)
add(
    "broadcast_to",
    "unknown length",
    uniform((3, 1)),
    lambda x: elements((3, 4), lambda i: x[i[0], 0]),
    call=lambda x: ops.broadcast_to(x, (x.shape[0], 4)),
)
for axis in (0, 1, -2):
    add(
        "repeat",
        f"axis={axis}",
        uniform((3, 4)),
        lambda x, a=axis: (
            elements((9, 4), lambda i: x[i[0] // 3, i[1]])
            if a in (0, -2)
            else elements((3, 12), lambda i: x[i[0], i[1] // 3])
        ),
        call=lambda x, a=axis: ops.repeat(x, 3, a),
    )
add(
    "repeat",
    "flat",
    uniform((3, 4)),
    lambda x: np.array([v for v in x.ravel() for _ in range(2)]),
    call=lambda x: ops.repeat(x, 2),
)
for repeats in ((2, 3), (1, 2), (3,), (2, 1, 2)):
    full = (1,) * (2 - len(repeats)) + repeats
    add(
        "tile",
        str(repeats),
        uniform((3, 4)),
        lambda x, f=full: elements(
            (*f[:-2], 3 * f[-2], 4 * f[-1]), lambda i: x[i[-2] % 3, i[-1] % 4]
        ),
        call=lambda x, r=repeats: ops.tile(x, r),
    )
for axis in (0, 1, -1):
    add(
        "concatenate",
        f"axis={axis}",
        uniform((3, 4), (3, 4), (3, 4)),
        lambda *xs, a=axis: np.array(
            [r for x in xs for r in x]
            if a == 0
            else [[v for x in xs for v in x[i]] for i in range(3)]
        ),
        call=lambda *xs, a=axis: ops.concatenate(xs, axis=a),
        differentiable=(0, 1, 2),
        batch=(0, 1, 2),
    )
    add(
        "concatenate",
        f"stack axis={axis}",
        uniform((3, 4), (3, 4)),
        lambda x, y, a=axis: np.array(
            [x, y]
            if a == 0
            else [[p, q] for p, q in zip(x, y)]
            if a == 1
            else [[[u, v] for u, v in zip(p, q)] for p, q in zip(x, y)]
        ),
        call=lambda *xs, a=axis: ops.stack(xs, axis=a),
        differentiable=(0, 1),
        batch=(0, 1),
    )
for width, pairs in ((1, ((1, 1), (1, 1))), ((0, 2), ((0, 2), (0, 2))), (((1, 0), (2, 1)),) * 2):
    add(
        "pad",
        str(width),
        uniform((3, 4)),
        lambda x, p=pairs: elements(
            [n + sum(w) for n, w in zip(x.shape, p)],
            lambda i: (
                x[i[0] - p[0][0], i[1] - p[1][0]]
                if p[0][0] <= i[0] < p[0][0] + 3 and p[1][0] <= i[1] < p[1][0] + 4
                else -1.5
            ),
        ),
        call=lambda x, w=width: ops.pad(x, w, constant_values=-1.5),
    )

# --- indexing ---

INDICES = {
    "int": 1,
    "negative": -1,
    "slice": slice(1, None),
    "step": slice(None, None, -2),
    "column": (slice(None), 2),
    "number": (1, 2),
    "rest": (..., 0),
    "new axis": (None, 1),
    "new last": (..., None),
    "nothing": (),
    "empty": slice(2, 2),
    "two slices": (slice(0, 2), slice(1, 4, 2)),
    "list": [0, 2, 0],
    "array": np.array([[1, 1], [0, 2]]),
    "mask": np.array([True, False, True]),
    "pairs": ([0, 2, 2], [1, 3, 3]),
    "mixed": (slice(None), [3, 0, 0]),
    "whole": slice(None),
    "column of all": (slice(None), slice(1, 3)),
}
KEEP_THE_BATCH = ("column", "rest", "new last", "nothing", "whole", "column of all")
for label, key in INDICES.items():
    add(
        "getitem",
        label,
        uniform((3, 4)),
        lambda x, k=key: np.array(x.tolist())[k],
        call=lambda x, k=key: x[k] if hasattr(x, "dtype") else ops.getitem(x, k),
        batch=(0,) if label in KEEP_THE_BATCH else (),
    )
for axis in (None, 0, 1, (0, -1)):
    ends = {None: (-1, -1), 0: (-1, 1), 1: (1, -1), (0, -1): (-1, -1)}[axis]
    add(
        "getitem",
        f"flip axis={axis}",
        uniform((3, 4)),
        lambda x, e=ends: np.array([list(row)[:: e[1]] for row in list(x)[:: e[0]]]),
        call=lambda x, a=axis: ops.flip(x, a),
        batch=() if ends[0] < 0 else (0,),
    )
add(
    "one_hot",
    "labels",
    lambda rng: (np.array([[0, 3], [-1, 2], [4, 1]], "int32"),),
    lambda k: elements((3, 2, 4), lambda i: float(k[i[0], i[1]] == i[2])),
    result="float32",
    call=lambda k: ops.one_hot(k, 4),
    differentiable=(),
)
add(
    "one_hot",
    "first axis",
    lambda rng: (np.array([0, 3, 2], "int32"),),
    lambda k: elements((4, 3), lambda i: float(k[i[1]] == i[0])),
    result="float64",
    batch=(),
    call=lambda k: ops.one_hot(k, 4, axis=0, dtype="float64"),
    differentiable=(),
)
