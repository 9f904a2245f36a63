"""Cases of padding, enlarging and resampling: oracles are loops over indices."""

from math import pi, sin

import numpy as np

from gpunn import ops
from gpunn.ops.enlarge import enlarge
from tests.ops.cases import add, elements, uniform


def source(i, n, mode):
    """Where element i of a padded axis comes from, for i counted from the first of n; None: new."""
    if 0 <= i < n:
        return i
    order = list(range(n))
    if mode == "symmetric":
        return (order[::-1] + order + order[::-1])[i + n]
    if mode == "reflect":
        return (order[:0:-1] + order + order[-2::-1])[i + n - 1]
    return None


def padded(widths, mode, value=0.0):
    def oracle(x):
        def pick(index):
            found = [source(i - a, n, mode) for i, (a, _), n in zip(index, widths, x.shape)]
            return value if None in found else x[tuple(found)]

        return elements([n + a + b for n, (a, b) in zip(x.shape, widths)], pick)

    return oracle


for mode in ("constant", "reflect", "symmetric"):
    for shape, widths in (
        ((3, 4), ((2, 0), (1, 3))),
        ((2, 3, 4, 2), ((0, 0), (1, 2), (3, 1), (0, 0))),
    ):
        add(
            "pad",
            f"{mode} {len(shape)} axes",
            uniform(shape),
            padded(widths, mode),
            call=lambda x, w=widths, m=mode: ops.pad(x, w, mode=m),
            batch=() if widths[0] != (0, 0) and mode != "constant" else (0,),
        )

for shape, factors in (
    ((2, 3), (1, 3)),
    ((2, 3, 4, 2), (1, 2, 3, 1)),
    ((1, 2, 3, 2, 2), (1, 2, 1, 3, 1)),
):
    add(
        "enlarge",
        str(factors),
        uniform(shape),
        lambda x, f=factors: elements(
            [n * k for n, k in zip(x.shape, f)],
            lambda i: x[tuple(a // k for a, k in zip(i, f))],
        ),
        call=lambda x, f=factors: enlarge(x, factors=f),
    )

# --- resampling, from its definition ---


def keys(x):
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2


def lanczos(x, r):
    return 1.0 if x == 0 else r * sin(pi * x) * sin(pi * x / r) / (pi * x) ** 2


WEIGHTS = {
    "bilinear": (1, lambda x: 1 - x),
    "bicubic": (2, keys),
    "lanczos3": (3, lambda x: lanczos(x, 3)),
    "lanczos5": (5, lambda x: lanczos(x, 5)),
}


def resampled_row(row, m, method, antialias):
    n, out = len(row), []
    for i in range(m):
        if method == "nearest":
            out.append(row[int((i + 0.5) * n / m)])
            continue
        radius, f = WEIGHTS[method]
        stretch = max(1, n / m) if antialias else 1
        s = (i + 0.5) * n / m - 0.5
        near = [
            (f(abs(s - j) / stretch), v) for j, v in enumerate(row) if abs(s - j) / stretch < radius
        ]
        out.append(sum(w * v for w, v in near) / sum(w for w, _ in near))
    return out


def resampled(axes, size, method, antialias):
    def oracle(x):
        for axis, m in zip(axes, size):
            moved = np.moveaxis(x, axis, -1)
            rows = [
                resampled_row(r, m, method, antialias) for r in moved.reshape(-1, x.shape[axis])
            ]
            x = np.moveaxis(np.array(rows).reshape(*moved.shape[:-1], m), -1, axis)
        return x

    return oracle


for method in ("nearest", *WEIGHTS):
    for size, antialias in (((7, 4), False), ((2, 9), True), ((3, 5), False)):
        add(
            "resample",
            f"{method} {size} {'antialias' if antialias else ''}",
            uniform((2, 4, 5, 2)),
            resampled((1, 2), size, method, antialias),
            call=lambda x, s=size, m=method, a=antialias: ops.image.resize(x, s, m, a),
        )
add(
    "resample",
    "channels_first",
    uniform((2, 2, 3, 4)),
    resampled((2, 3), (5, 2), "bilinear", False),
    call=lambda x: ops.image.resize(x, (5, 2), data_format="channels_first"),
)
