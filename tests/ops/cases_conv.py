"""Cases of convolution: loops over windows, taps and channels."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from gpunn import ops
from gpunn.ops.conv import convolution, transposed_convolution
from tests.ops.cases import add, uniform


def each(value, rank):
    return value if isinstance(value, tuple) else (value,) * rank


def taps_of(n, k, stride, dilation, padding):
    """For each window along an axis, the position that each tap reads; some are outside of it."""
    padding, extent = padding.lower(), dilation * (k - 1) + 1
    out, front = (n - extent) // stride + 1, 0
    if padding == "same":
        out = math.ceil(n / stride)
        front = max((out - 1) * stride + extent - n, 0) // 2
    elif padding == "causal":
        out, front = math.ceil(n / stride), extent - 1
    return [[o * stride - front + t * dilation for t in range(k)] for o in range(out)]


def read(x, n, place, c):
    inside = all(0 <= p < size for p, size in zip(place, x.shape[1:-1]))
    return float(x[(n, *place, c)]) if inside else 0.0


def convolved(x, w, b=None, strides=1, padding="valid", dilation=1):
    """y[n, o, k]: filter k reads the channels of its group"""
    *kernel, per_group, filters = w.shape
    rank, groups = len(kernel), x.shape[-1] // per_group
    axes = [
        taps_of(*geometry, padding)
        for geometry in zip(x.shape[1:-1], kernel, each(strides, rank), each(dilation, rank))
    ]
    y = np.empty((len(x), *map(len, axes), filters))
    for n, *o, k in np.ndindex(*y.shape):
        first = k // (filters // groups) * per_group
        terms = [0.0 if b is None else float(b[k])]
        for t in np.ndindex(*kernel):
            place = [axis[i][j] for axis, i, j in zip(axes, o, t)]
            terms += [read(x, n, place, first + c) * w[(*t, c, k)] for c in range(per_group)]
        y[(n, *o, k)] = math.fsum(terms)
    return y


def transposed(x, w, strides=1, padding="valid", dilation=1, output_padding=None):
    """x with stride - 1 zeros between its elements, padded, correlated with the mirrored kernel:
    how Keras' JAX backend states it, w (*kernel, filters, channels).
    """
    *kernel, _, _ = w.shape
    rank, fill = len(kernel), []
    for n, k, s, d, more in zip(
        x.shape[1:-1], kernel, each(strides, rank), each(dilation, rank),
        each(output_padding, rank),
    ):  # fmt: skip
        extent = d * (k - 1) + 1
        if padding == "valid":
            front = extent - 1
            back = extent - 1 + (max(extent, s) - extent if more is None else more)
        else:
            both = s + extent - 2 if more is None else extent + extent % 2 - 2 + more
            front = min(math.ceil(both / 2), extent - 1)
            back = both - front
        fill.append((n, s, front, back))
    sizes = [front + (n - 1) * s + 1 + back for n, s, front, back in fill]
    spread = np.zeros((len(x), *sizes, x.shape[-1]))
    for place in product(*(range(n) for n, *_ in fill)):
        wide = [front + i * s for i, (_, s, front, _) in zip(place, fill)]
        spread[(slice(None), *wide)] = x[(slice(None), *place)]
    mirrored = w[(slice(None, None, -1),) * rank]
    return convolved(spread, np.swapaxes(mirrored, -1, -2), dilation=dilation)


def depthwise(x, w, strides=1, padding="valid", dilation=1):
    """One group a channel: filter c · m + j is w[..., c, j]."""
    return convolved(x, w.reshape(*w.shape[:-2], 1, -1), None, strides, padding, dilation)


def separable(x, w, mix, strides=1, padding="valid", dilation=1):
    return convolved(depthwise(x, w, strides, padding, dilation), mix)


def options(rank, strides, padding, dilation):
    """As the ops themselves take them."""
    return {
        "strides": each(strides, rank), "padding": padding, "dilation": each(dilation, rank),
    }  # fmt: skip


def in_order(oracle, order):
    def of_images(x, *others):
        if order == "channels_last":
            return oracle(x, *others)
        return np.moveaxis(oracle(np.moveaxis(x, 1, -1), *others), -1, 1)

    return of_images


def images(sizes, channels, order="channels_last"):
    return (2, *sizes, channels) if order == "channels_last" else (2, channels, *sizes)


# sizes, C, kernel, K, groups, strides, padding, dilation
CONV = [
    ((5,), 2, (3,), 2, 1, 1, "valid", 1),
    ((6,), 2, (3,), 2, 1, 2, "same", 1),
    ((6,), 1, (3,), 2, 1, 1, "causal", 2),
    ((7,), 2, (2,), 1, 1, 3, "causal", 1),
    ((2,), 2, (5,), 1, 1, 1, "same", 1),  # a kernel larger than the image
    ((4,), 4, (2,), 2, 2, 1, "valid", 1),
    ((5,), 1, (1,), 2, 1, 3, "same", 1),  # gaps
    ((3, 4), 2, (3, 2), 2, 1, 1, "same", 1),
    ((3, 3), 2, (1, 1), 3, 1, 1, "valid", 1),
    ((4, 5), 1, (2, 3), 2, 1, (2, 1), "valid", 1),
    ((5, 4), 1, (3, 2), 1, 1, 2, "same", 1),
    ((5, 3), 2, (2, 2), 2, 2, 1, "same", (2, 1)),
    ((5, 5), 1, (2, 2), 1, 1, 2, "valid", (3, 1)),
    ((2, 3, 2), 2, (2, 2, 1), 1, 1, 1, "valid", 1),
    ((3, 2, 3), 2, (2, 3, 2), 2, 2, (2, 1, 2), "same", 1),
]
ACTIVATIONS = {
    None: lambda z: z,
    "relu": lambda z: np.where(z > 0, z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
}

for sizes, c, kernel, k, groups, strides, padding, dilation in CONV:
    shapes = images(sizes, c), (*kernel, c // groups, k)
    add(
        "convolution",
        f"{sizes} {c} {kernel} {k} {groups} {strides} {padding} {dilation}",
        uniform(*shapes),
        lambda x, w, a=(strides, padding, dilation): convolved(x, w, None, *a),
        differentiable=(0, 1),
        options=options(len(sizes), strides, padding, dilation),
    )
for activation, function in ACTIVATIONS.items():
    add(
        "convolution",
        f"bias {activation}",
        uniform((2, 4, 3, 2), (2, 3, 1, 4), (4,)),
        lambda x, w, b, f=function: f(convolved(x, w, b, padding="same")),
        differentiable=(0, 1, 2),
        options={**options(2, 1, "same", 1), "activation": activation},
    )
add(
    "convolution",
    "relu without bias",
    uniform((2, 5, 1), (2, 1, 3)),
    lambda x, w: np.maximum(convolved(x, w, strides=2), 0),
    call=lambda x, w: convolution(x, w, None, activation="relu", **options(1, 2, "valid", 1)),
    differentiable=(0, 1),
)
for order, (strides, padding, dilation) in product(
    ("channels_last", "channels_first"), ((2, "SAME", 1), ((1, 1), "valid", (1, 2)))
):
    add(
        "convolution",
        f"conv {order} {strides} {padding} {dilation}",
        uniform(images((3, 4), 2, order), (2, 2, 2, 2)),
        in_order(lambda x, w, a=(strides, padding, dilation): convolved(x, w, None, *a), order),
        call=lambda x, w, a=(strides, padding, order, dilation): ops.conv(x, w, *a),
        differentiable=(0, 1),
    )

# sizes, C, kernel, K, strides, padding, dilation, output_padding
TRANSPOSED = [
    ((4,), 2, (3,), 1, 1, "valid", 1, None),
    ((4,), 2, (4,), 2, 1, "same", 1, None),
    ((3,), 1, (3,), 2, 2, "same", 1, None),
    ((3,), 1, (2,), 2, 3, "valid", 1, None),  # gaps
    ((3,), 2, (5,), 1, 3, "same", 1, 2),
    ((3,), 1, (3,), 1, 2, "valid", 1, 1),
    ((4,), 1, (3,), 2, 1, "same", 2, None),
    ((3, 2), 2, (3, 2), 1, 2, "same", 1, None),
    ((2, 3), 1, (3, 3), 2, (2, 1), "same", 1, (1, 0)),
    ((3, 3), 1, (2, 2), 1, 1, "valid", (1, 2), None),
    ((2, 2, 2), 1, (2, 3, 1), 2, (2, 1, 2), "valid", 1, None),
]

for sizes, c, kernel, k, strides, padding, dilation, more in TRANSPOSED:
    rank = len(sizes)
    of_op = options(rank, strides, padding, dilation)
    of_op["output_padding"] = None if more is None else each(more, rank)
    add(
        "transposed_convolution",
        f"{sizes} {c} {kernel} {k} {strides} {padding} {dilation} {more}",
        uniform(images(sizes, c), (*kernel, k, c)),
        lambda x, w, a=(strides, padding, dilation, more): transposed(x, w, *a),
        call=lambda x, w, o=of_op: transposed_convolution(x, w, **o),
        differentiable=(0, 1),
    )
for order, more in (("channels_last", 1), ("channels_first", (0, 1))):
    add(
        "transposed_convolution",
        f"conv_transpose {order}",
        uniform(images((2, 3), 2, order), (3, 2, 1, 2)),
        in_order(lambda x, w, m=more: transposed(x, w, 2, "same", 1, m), order),
        call=lambda x, w, m=more, o=order: ops.conv_transpose(x, w, 2, "Same", m, o),
        differentiable=(0, 1),
    )

# sizes, C, kernel, m, strides, padding, dilation
DEPTHWISE = [
    ((5,), 3, (3,), 1, 1, "same", 1),
    ((6,), 2, (2,), 2, 2, "valid", 1),
    ((6,), 2, (3,), 2, 1, "causal", 2),
    ((2,), 2, (5,), 1, 1, "same", 1),
    ((4, 3), 2, (3, 2), 1, 1, "same", 1),
    ((5, 4), 2, (2, 3), 2, (2, 1), "same", 1),
    ((5, 4), 1, (2, 2), 3, 1, "valid", (3, 1)),
    ((3, 2, 3), 2, (2, 2, 2), 1, 2, "same", 1),
]

for sizes, c, kernel, m, strides, padding, dilation in DEPTHWISE:
    add(
        "depthwise_convolution",
        f"{sizes} {c} {kernel} {m} {strides} {padding} {dilation}",
        uniform(images(sizes, c), (*kernel, c, m)),
        lambda x, w, a=(strides, padding, dilation): depthwise(x, w, *a),
        differentiable=(0, 1),
        options=options(len(sizes), strides, padding, dilation),
    )
for order, (strides, padding, dilation) in (
    ("channels_last", (2, "valid", 1)),
    ("channels_first", ((1, 1), "Same", 2)),
):
    add(
        "depthwise_convolution",
        f"depthwise_conv {order}",
        uniform(images((3, 4), 2, order), (2, 2, 2, 1)),
        in_order(lambda x, w, a=(strides, padding, dilation): depthwise(x, w, *a), order),
        call=lambda x, w, a=(strides, padding, order, dilation): ops.depthwise_conv(x, w, *a),
        differentiable=(0, 1),
    )
    add(
        "convolution",
        f"separable_conv {order}",
        uniform(images((3, 4), 2, order), (2, 2, 2, 2), (1, 1, 4, 3)),
        in_order(
            lambda x, w, mix, a=(strides, padding, dilation): separable(x, w, mix, *a),
            order,
        ),
        call=lambda x, w, mix, a=(strides, padding, order, dilation): ops.separable_conv(
            x, w, mix, *a
        ),
        differentiable=(0, 1, 2),
    )
