"""Cases of pooling: the windows of each output element are gathered by loops."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from gpunn import ops
from tests.ops.cases import add, uniform


def ranges(n, size, stride, padding):
    """The positions of each window along an axis, without those outside of the image."""
    if padding == "valid":
        return [range(s, s + size) for s in range(0, n - size + 1, stride)]
    out = math.ceil(n / stride)
    front = max((out - 1) * stride + size - n, 0) // 2
    starts = [i * stride - front for i in range(out)]
    return [[p for p in range(s, s + size) if 0 <= p < n] for s in starts]


def divided(n, out):
    """The positions of each of `out` parts of an axis."""
    return [range(math.floor(i * n / out), math.ceil((i + 1) * n / out)) for i in range(out)]


def pooled(function, windows, order):
    """function([elements]) of each window; `windows(axis, n)` are those of a spatial axis."""

    def oracle(x):
        first = order == "channels_first"
        x = np.moveaxis(x, 1, -1) if first else x
        axes = [windows(d, n) for d, n in enumerate(x.shape[1:-1])]
        out = np.empty((len(x), *map(len, axes), x.shape[-1]))
        for n, c in product(range(len(x)), range(x.shape[-1])):
            for index in product(*(range(len(a)) for a in axes)):
                places = product(*(a[i] for a, i in zip(axes, index)))
                out[(n, *index, c)] = function([float(x[(n, *p, c)]) for p in places])
        return np.moveaxis(out, -1, 1) if first else out

    return oracle


def average(values):
    return math.fsum(values) / len(values)


SLIDING = [  # sizes, window, strides, padding
    ((6,), 2, None, "valid"),
    ((7,), 3, 2, "same"),
    ((5,), 2, 3, "valid"),  # gaps
    ((4,), 1, 3, "same"),
    ((4, 6), (2, 3), None, "valid"),
    ((5, 7), 3, 2, "SAME"),
    ((4, 5), 3, 1, "same"),
    ((5, 6), (3, 2), (1, 2), "valid"),
    ((4, 5), (2, 9), (2, 3), "same"),  # larger than the image
    ((3, 4, 4), 2, None, "valid"),
    ((3, 4, 5), (2, 3, 2), (1, 2, 2), "same"),
]
ADAPTIVE = [((7,), 3), ((3,), 5), ((6,), 2), ((5, 6), (1, 4)), ((4, 7), 4), ((4, 5, 3), (2, 3, 3))]
FUNCTIONS = {"max_pool": max, "average_pool": average}
BY_NAME = {
    "max_pool": (ops.max_pool, ops.adaptive_max_pool),
    "average_pool": (ops.average_pool, ops.adaptive_average_pool),
}


def each(value, d):
    return value[d] if isinstance(value, tuple) else value


def shape_of(sizes, order):
    return (2, *sizes, 3) if order == "channels_last" else (2, 3, *sizes)


for (name, function), order in product(FUNCTIONS.items(), ("channels_last", "channels_first")):
    slide, adapt = BY_NAME[name]
    for sizes, size, strides, padding in SLIDING:
        add(
            name,
            f"{sizes} {size} {strides} {padding} {order}",
            uniform(shape_of(sizes, order)),
            pooled(
                function,
                lambda d, n, k=size, s=strides or size, p=padding: ranges(
                    n, each(k, d), each(s, d), p.lower()
                ),
                order,
            ),
            call=lambda x, f=slide, a=(size, strides, padding, order): f(x, *a),
        )
    for sizes, out in ADAPTIVE:
        add(
            name,
            f"adaptive {sizes} {out} {order}",
            uniform(shape_of(sizes, order)),
            pooled(function, lambda d, n, o=out: divided(n, each(o, d)), order),
            call=lambda x, f=adapt, a=(out, order): f(x, *a),
        )
