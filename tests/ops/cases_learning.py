"""Cases of products, softmax, losses and dropout."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from gpunn import ops
from gpunn.autodiff.op import registry
from gpunn.backend import random
from tests.ops.cases import add, elements, rows, uniform

# --- products ---


def matrix_product(a, b):
    out = np.zeros((a.shape[0], b.shape[1]))
    for i, j, k in product(range(a.shape[0]), range(b.shape[1]), range(a.shape[1])):
        out[i, j] += a[i, k] * b[k, j]
    return out


def batched_product(x, y):
    a, b = (x[None] if x.ndim == 1 else x), (y[:, None] if y.ndim == 1 else y)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    A, B = (np.broadcast_to(m, (*batch, *m.shape[-2:])) for m in (a, b))
    out = np.zeros((*batch, a.shape[-2], b.shape[-1]))
    for i in product(*map(range, batch)):
        out[i] = matrix_product(A[i], B[i])
    out = out[..., 0] if y.ndim == 1 else out
    return (out[..., 0] if y.ndim == 1 else out[..., 0, :]) if x.ndim == 1 else out


for a, b in (
    ((3, 4), (4, 2)),
    ((4,), (4, 2)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((2, 3, 4), (4, 2)),
    ((3, 4), (2, 4, 5)),
    ((5, 1, 3, 4), (2, 4, 2)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((1, 3, 4), (6, 4, 2)),
):
    add(
        "matmul",
        f"{a} {b}",
        uniform(a, b),
        batched_product,
        differentiable=(0, 1),
        batch=(0,) if len(a) > 1 and a[0] != 1 else (),
    )

FUSED = {
    None: lambda v: v,
    "relu": lambda v: max(v, 0),
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "tanh": math.tanh,
}
for (name, f), shape, bias in product(FUSED.items(), ((3, 4), (2, 3, 4), (4,)), (True, False)):

    def affine(x, w, b=None, f=f):
        z = matrix_product(x.reshape(-1, 4), w) + (0 if b is None else b)
        return np.array([[f(v) for v in row] for row in z.tolist()]).reshape(*x.shape[:-1], 2)

    shapes = (shape, (4, 2), (2,)) if bias else (shape, (4, 2))
    add(
        "dense",
        f"{name} {shape} bias={bias}",
        uniform(*shapes),
        affine,
        differentiable=tuple(range(len(shapes))),
        options={"activation": name},
        batch=(0,) if len(shape) > 1 else (),
    )

# --- softmax ---


def softmax(row):
    total = math.fsum(math.exp(v) for v in row)
    return [math.exp(v) / total for v in row]


def sparsemax(row):
    """The nearest point of the simplex, by bisection for the shift τ."""
    low, high = min(row) - 1, max(row)
    for _ in range(200):
        tau = (low + high) / 2
        low, high = (tau, high) if math.fsum(max(v - tau, 0) for v in row) > 1 else (low, tau)
    return [max(v - tau, 0) for v in row]


def along(axis, function):
    return lambda x: np.moveaxis(rows(function)(np.moveaxis(x, axis, -1)), -1, axis)


for axis in (-1, 0, 1):
    add("softmax", f"axis={axis}", uniform((2, 3, 4)), along(axis, softmax), options={"axis": axis})
    add(
        "log_softmax",
        f"axis={axis}",
        uniform((2, 3, 4)),
        along(axis, lambda row: [math.log(p) for p in softmax(row)]),
        options={"axis": axis},
    )
add(
    "softmax",
    "large",
    lambda rng: (np.array([[1000.0, 1000.0], [-1000.0, 0.0]]),),
    lambda x: np.array([[0.5, 0.5], [0.0, 1.0]]),
    differentiable=(),
)
for axis in (-1, 0):
    add(
        "sparsemax",
        f"axis={axis}",
        uniform((3, 5)),
        along(axis, sparsemax),
        call=lambda x, a=axis: ops.sparsemax(x, a),
    )

# --- losses: one number a row ---


def clip(p):
    return min(max(p, 1e-7), 1 - 1e-7)


def labels_and(make):
    return lambda rng: (make(rng), rng.integers(0, 5, (2, 3)).astype("int32"))


def two(make):
    return lambda rng: (make(rng), make(rng))


def logits(rng):
    return rng.normal(size=(2, 3, 5))


def chances(rng):
    return rng.uniform(0.05, 0.95, (2, 3, 5))


def n_mean(values):
    values = list(values)
    return math.fsum(values) / len(values)


LOSSES = {
    "sparse_softmax_cross_entropy_loss": (
        labels_and(logits),
        lambda x, k: -math.log(softmax(x)[k]),
        {},
    ),
    "softmax_cross_entropy_loss": (
        lambda rng: (logits(rng), chances(rng)),
        lambda x, t: -math.fsum(q * math.log(p) for p, q in zip(softmax(x), t)),
        {},
    ),
    "sparse_cross_entropy_loss": (
        labels_and(chances),
        lambda x, k: -math.log(clip(x[k] / sum(x))),
        {"epsilon": 1e-7},
    ),
    "cross_entropy_loss": (
        two(chances),
        lambda x, t: -sum(q * math.log(clip(p / sum(x))) for p, q in zip(x, t)),
        {"epsilon": 1e-7},
    ),
    "sigmoid_cross_entropy_loss": (
        lambda rng: (logits(rng), chances(rng)),
        lambda x, t: n_mean(math.log1p(math.exp(v)) - v * q for v, q in zip(x, t)),
        {},
    ),
    "binary_cross_entropy_loss": (
        two(chances),
        lambda x, t: n_mean(-q * math.log(p) - (1 - q) * math.log(1 - p) for p, q in zip(x, t)),
        {"epsilon": 1e-7},
    ),
    "squared_error_loss": (
        two(logits),
        lambda x, t: n_mean((a - b) ** 2 for a, b in zip(x, t)),
        {},
    ),
    "absolute_error_loss": (two(logits), lambda x, t: n_mean(abs(a - b) for a, b in zip(x, t)), {}),
}
for name, (inputs, function, options) in LOSSES.items():
    add(name, "rows", inputs, rows(function), options=options, batch=(0, 1))

# --- random numbers: with the same state, the same numbers ---


def philox(draws=3):
    return np.random.Generator(np.random.Philox(key=[11, 0], counter=[0, draws, 0, 0]))


def state(rng=None):
    return np.array([11, 3], np.uint32)


def dropped(x, _, shape=None):
    mask = philox().random(shape or x.shape, dtype="float32") >= np.float32(0.4)
    return np.where(mask, x / (1 - 0.4), 0.0)


add(
    "dropout",
    "elements",
    lambda rng: (rng.normal(size=(3, 5)), state()),
    dropped,
    options={"rate": 0.4},
)
add(
    "dropout",
    "rows",
    lambda rng: (rng.normal(size=(3, 5)), state()),
    lambda x, s: dropped(x, s, (3, 1)),
    options={"rate": 0.4, "noise_shape": (3, 1)},
    batch=(),
)
add(
    "sample",
    "uniform",
    lambda rng: (state(),),
    lambda s: philox().random((2, 3)),
    batch=(),
    call=lambda s: registry["sample"](s, run=random.random_uniform, shape=(2, 3), dtype="float64"),
    differentiable=(),
    result="float64",
)
add(
    "label_hits",
    "best",
    labels_and(logits),
    rows(lambda x, k: float(x.index(max(x)) == k)),
    differentiable=(),
    result="float32",
    batch=(),
)
add(
    "label_hits",
    "best three",
    labels_and(logits),
    rows(lambda x, k: float(sorted(x, reverse=True).index(x[k]) < 3)),
    differentiable=(),
    options={"k": 3, "earlier_wins": False},
    result="float32",
    batch=(),
)
add(
    "threshold_hits",
    "half",
    lambda rng: (chances(rng), rng.integers(0, 2, (2, 3, 5)) * 1.0),
    lambda x, t: elements(x.shape, lambda i: float((x[i] > 0.5) == (t[i] == 1))),
    differentiable=(),
    result="float32",
    batch=(0, 1),
)
