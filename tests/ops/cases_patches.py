"""Cases of windows of pixels as rows, and of such rows added up: oracles are loops."""

from itertools import product
from math import prod

import numpy as np

from gpunn import ops
from tests.ops.cases import add, uniform


def windows_of(sizes, size, strides, dilation, before, out):
    """(window, tap, pixel) of all taps that lie in the image."""
    for o in product(*map(range, out)):
        for number, t in enumerate(product(*map(range, size))):
            axes = zip(o, strides, t, dilation, before)
            pixel = tuple(a * s + b * d - p for a, s, b, d, p in axes)
            if all(0 <= i < n for i, n in zip(pixel, sizes)):
                yield o, number, pixel


def extracted(size, strides, dilation, before, out):
    def oracle(x):
        n, *sizes, channels = x.shape
        y = np.zeros((n, *out, prod(size), channels))
        for o, t, pixel in windows_of(sizes, size, strides, dilation, before, out):
            y[(slice(None), *o, t)] = x[(slice(None), *pixel)]
        return y.reshape(n, *out, -1)

    return oracle


def folded(sizes, size, strides, dilation, before, out):
    def oracle(columns):
        n = len(columns)
        rows = columns.reshape(n, -1, prod(size), *out)
        x = np.zeros((n, rows.shape[1], *sizes))
        for (i, j), t, (a, b) in windows_of(sizes, size, strides, dilation, before, out):
            x[:, :, a, b] += rows[:, :, t, i, j]
        return x

    return oracle


add(
    "patches",
    "2-D same",
    uniform((2, 4, 5, 2)),
    extracted((2, 3), (1, 1), (2, 1), (1, 1), (4, 5)),
    call=lambda x: ops.image.extract_patches(x, (2, 3), 1, (2, 1), "same", "channels_last"),
)
add(
    "patches",
    "3-D",
    uniform((1, 4, 3, 5, 1)),
    extracted((2, 2, 2), (2, 1, 3), (1, 1, 1), (0, 0, 0), (2, 2, 2)),
    call=lambda x: ops.image.extract_patches_3d(x, 2, (2, 1, 3), data_format="channels_last"),
)
add(
    "overlay",
    "fold",
    uniform((2, 12, 6)),
    folded((4, 5), (2, 3), (2, 2), (1, 1), (0, 1), (2, 3)),
    call=lambda x: ops.fold(x, (4, 5), (2, 3), stride=2, padding=(0, 1)),
)
