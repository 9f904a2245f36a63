"""Cases of convolution with max pooling: loops over windows of the loops' convolution."""

from __future__ import annotations

import math

import numpy as np

from gpunn.ops.conv_pool import convolution_max_pool
from gpunn.ops.pooling import Sliding
from tests.ops.cases import add, uniform
from tests.ops.cases_conv import convolved, each, images, options, taps_of


def pooled(z, size, strides, padding):
    """The maximum of each window, of what lies inside."""
    rank = z.ndim - 2
    axes = [
        taps_of(n, *geometry, 1, padding)
        for n, *geometry in zip(z.shape[1:-1], each(size, rank), each(strides, rank))
    ]
    y = np.full((len(z), *map(len, axes), z.shape[-1]), -math.inf)
    for n, *o, k in np.ndindex(*y.shape):
        for place in np.ndindex(*z.shape[1:-1]):
            if all(p in axis[i] for p, axis, i in zip(place, axes, o)):
                y[(n, *o, k)] = max(y[(n, *o, k)], z[(n, *place, k)])
    return y


# sizes, C, kernel, K, groups, strides, padding, pool size, pool strides, pool padding
CASES = [
    ((7,), 2, (3,), 2, 1, 1, "valid", 2, 2, "valid"),
    ((6,), 2, (2,), 2, 1, 1, "causal", 3, 2, "same"),
    ((6, 5), 2, (3, 2), 2, 1, 1, "same", (2, 2), (2, 2), "valid"),
    ((7, 6), 2, (2, 2), 4, 2, (2, 1), "valid", (2, 3), (1, 2), "same"),
    ((4, 4, 3), 1, (2, 2, 1), 2, 1, 1, "same", (2, 2, 2), (2, 2, 2), "valid"),
    # pixels, of which some are read
    ((5, 3), 2, (1, 1), 3, 1, 1, "valid", (2, 2), (2, 2), "valid"),
    ((3, 3, 3), 2, (1, 1, 1), 2, 1, 1, "same", (2, 2, 2), (2, 2, 2), "valid"),
    ((9, 8), 2, (2, 3), 2, 1, (2, 1), "same", (2, 4), (2, 4), "valid"),
]

for sizes, c, kernel, k, groups, strides, padding, size, steps, pool_padding in CASES:
    rank = len(sizes)
    of_op = options(rank, strides, padding, 1)
    sliding = Sliding("max_pool", each(size, rank), each(steps, rank), pool_padding)
    add(
        "convolution_max_pool",
        f"{sizes} {c} {kernel} {k} {groups} {strides} {padding} {size} {steps} {pool_padding}",
        uniform(images(sizes, c), (*kernel, c // groups, k)),
        lambda x, w, a=(strides, padding), p=(size, steps, pool_padding): pooled(
            convolved(x, w, None, *a), *p
        ),
        call=lambda x, w, o=of_op, s=sliding: convolution_max_pool(x, w, pool=s, **o),
        differentiable=(0, 1),
    )
