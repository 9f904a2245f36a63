"""Cases of moments and normalization: loops in float64."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from gpunn import ops
from gpunn.ops import normalization
from tests.ops.cases import add, elements, uniform


def groups_of(x, axes, label=None):
    """{where the kept axes are: the elements there}; `label` names a group by its index."""
    groups = {}
    kept = [a for a in range(x.ndim) if a not in axes]
    for index in product(*map(range, x.shape)):
        place = tuple(index[a] for a in kept)
        groups.setdefault(label(index) if label else place, []).append(float(x[index]))
    return groups, kept


def mean_of(values):
    return math.fsum(values) / len(values)


def variance_of(values, center=None):
    center = mean_of(values) if center is None else center
    return math.fsum((v - center) ** 2 for v in values) / len(values)


def statistic(function, axes, keepdims=False):
    def oracle(x):
        reduced = [a % x.ndim for a in axes]
        groups, kept = groups_of(x, reduced)
        out = elements([x.shape[a] for a in kept], lambda i: function(groups[i]))
        return np.expand_dims(out, reduced) if keepdims else out

    return oracle


def normalized(x, axes, epsilon, rms=False, label=None):
    """(x - mean) / √(variance + ε) over the axes, or x / √(mean x² + ε)."""
    groups, kept = groups_of(x, axes, label)
    centers = {k: 0.0 if rms else mean_of(v) for k, v in groups.items()}
    roots = {k: math.sqrt(variance_of(v, centers[k]) + epsilon) for k, v in groups.items()}

    def pick(index):
        place = label(index) if label else tuple(index[a] for a in kept)
        return (x[index] - centers[place]) / roots[place]

    return elements(x.shape, pick)


def along(vector, axis, ndim):
    """The vector, shaped to broadcast along an axis; None is nothing."""
    return vector.reshape([-1 if a == axis % ndim else 1 for a in range(ndim)])


for i, function in enumerate((mean_of, variance_of)):
    for axes, keepdims in product(([0], [0, 1], [1], [2], [0, 2], [-1, 0, 1]), (False, True)):
        add(
            "leading_moments",
            f"{function.__name__} {axes} {keepdims}",
            uniform((3, 4, 5), low=0.5),
            statistic(function, axes, keepdims),
            call=lambda x, i=i, axes=axes, keepdims=keepdims: ops.moments(x, axes, keepdims)[i],
            batch=(0,) if keepdims or 0 not in axes else (),
        )
add(
    "leading_moments",
    "both of many",
    uniform((300, 7), low=5, high=6),
    lambda x: np.stack([statistic(f, [0])(x) for f in (mean_of, variance_of)]),
    call=lambda x: ops.stack(ops.moments(x, 0)),
    differentiable=(),
    batch=(),
)

# --- batches ---

for shape, axis, scaled, shifted in (
    ((4, 3), -1, True, True),
    ((4, 3), 1, False, True),
    ((2, 3, 4), 1, True, False),
    ((2, 3, 4), 0, True, True),
    ((2, 2, 2, 3), 3, False, False),
):
    C = shape[axis]
    vectors = ((C,),) * (2 + scaled + shifted)

    def with_statistics(x, mean, variance, *rest, axis=axis, scaled=scaled, shifted=shifted):
        mean, variance, *rest = (along(v, axis, x.ndim) for v in (mean, variance, *rest))
        y = (x - mean) / np.vectorize(math.sqrt)(variance + 1e-2)
        y = y * rest[0] if scaled else y
        return y + rest[-1] if shifted else y

    def call(x, mean, variance, *rest, axis=axis, scaled=scaled, shifted=shifted):
        scale, offset = rest[0] if scaled else None, rest[-1] if shifted else None
        return ops.batch_normalization(x, mean, variance, axis, offset, scale, epsilon=1e-2)

    add(
        "channel_norm",
        f"{shape} axis={axis}",
        uniform(shape, *vectors, low=0.5),
        with_statistics,
        call=call,
        differentiable=tuple(range(1 + len(vectors))),
        batch=(0,) if axis else (),
    )

    def of_batch(x, *rest, axis=axis, scaled=scaled, shifted=shifted):
        y = normalized(x, [a for a in range(x.ndim) if a != axis % x.ndim], 1e-2)
        y = y * along(rest[0], axis, x.ndim) if scaled else y
        return y + along(rest[-1], axis, x.ndim) if shifted else y

    def call(x, *rest, axis=axis, scaled=scaled, shifted=shifted):
        scale, offset = rest[0] if scaled else None, rest[-1] if shifted else None
        return normalization.normalize_batch(x, axis % len(x.shape), scale, offset, 1e-2)[0]

    add(
        "batch_norm",
        f"{shape} axis={axis}",
        uniform(shape, *vectors[2:], low=0.5),
        of_batch,
        call=call,
        differentiable=tuple(range(len(vectors) - 1)),
        batch=(0,) if axis else (),
    )

for i, function in enumerate((mean_of, variance_of)):
    # The statistics that the fused op returns differentiate too, also beside y.
    add(
        "batch_norm",
        f"{function.__name__}",
        uniform((4, 3), (3,), (3,), low=0.5),
        lambda x, g, b, f=function: statistic(f, [0])(x),
        call=lambda x, g, b, i=i: ops.cast(
            normalization.normalize_batch(x, 1, g, b, 1e-2)[1 + i], x.dtype
        ),
        batch=(0,),
    )


def all_of_batch(x, g, b):
    y = normalized(x, [0], 1e-2) * g + b
    return y * statistic(variance_of, [0])(x) + statistic(mean_of, [0])(x)


def use_all(x, g, b):
    y, mean, variance = normalization.normalize_batch(x, 1, g, b, 1e-2)
    return ops.cast(y * variance + mean, x.dtype)


add(
    "batch_norm",
    "y and its statistics",
    uniform((4, 3), (3,), (3,), low=0.5),
    all_of_batch,
    call=use_all,
    differentiable=(0, 1, 2),
)

# --- layers and groups ---

for shape, axis in (
    ((3, 5), -1), ((2, 3, 4), -1), ((2, 3, 4), (1, 2)), ((3, 2, 4), 1), ((2, 3, 4), (-1, 1)),
    ((2, 3, 2, 2), (1, 3)),
):  # fmt: skip
    axes = sorted(a % len(shape) for a in ((axis,) if isinstance(axis, int) else axis))
    lengths = tuple(shape[a] for a in axes)

    def spread(v, shape=shape, axes=axes):
        return v.reshape([n if a in axes else 1 for a, n in enumerate(shape)])

    def layer(x, *rest, axes=axes, spread=spread):
        y = normalized(x, axes, 1e-2)
        y = y * spread(rest[0]) if rest else y
        return y + spread(rest[1]) if len(rest) > 1 else y

    def root_mean_square(x, *rest, axes=axes, spread=spread):
        y = normalized(x, axes, 1e-2, rms=True)
        return y * spread(rest[0]) if rest else y

    def rms_scaling(x, g, axes=axes, spread=spread):
        groups = statistic(variance_of, axes, keepdims=True)(x)
        return x / np.vectorize(math.sqrt)(groups + 1e-2) * spread(g)

    for count in range(3):
        add(
            "row_norm",
            f"layer {shape} {axis} {count}",
            uniform(shape, *[lengths] * count),
            layer,
            call=lambda *a, k=axis: ops.layer_normalization(*a, axis=k, epsilon=1e-2),
            differentiable=tuple(range(count + 1)),
        )
    for count in range(2):
        add(
            "row_norm",
            f"rms {shape} {axis} {count}",
            uniform(shape, *[lengths] * count),
            root_mean_square,
            call=lambda *a, k=axis: ops.rms_normalization(*a, axis=k, epsilon=1e-2),
            differentiable=tuple(range(count + 1)),
        )
    add(
        "leading_moments",
        f"rms_scaling {shape} {axis}",
        uniform(shape, lengths),
        rms_scaling,
        call=lambda x, g, k=axis: ops.layer_normalization(
            x, g, axis=k, epsilon=1e-2, rms_scaling=True
        ),
        differentiable=(0, 1),
    )

for shape, groups, axis in (
    ((2, 3, 4), 2, 2), ((2, 6), 3, 1), ((2, 4, 3), 4, 1), ((2, 2, 2, 4), 1, 3), ((2, 4, 2, 2), 2, 1)
):  # fmt: skip

    def grouped(x, g, b, groups=groups, axis=axis):
        size = x.shape[axis] // groups
        y = normalized(x, [], 1e-2, label=lambda i: (i[0], i[axis] // size))
        return y * along(g, axis, x.ndim) + along(b, axis, x.ndim)

    add(
        "group_norm",
        f"{shape} {groups} axis={axis}",
        uniform(shape, (shape[axis],), (shape[axis],)),
        grouped,
        call=lambda x, g, b, n=groups, k=axis: normalization.group_normalization(
            x, n, k, g, b, 1e-2
        ),
        differentiable=(0, 1, 2),
    )
