"""Cases of affine maps: the oracle moves pixel by pixel through an endless, folded image."""

from math import copysign, floor

import numpy as np

from gpunn import ops
from tests.ops.cases import add, elements

# Multiples of 1/16 are exact in every float type; odd ones never lie halfway between two pixels.
MAPS = np.array(
    [
        [6, -5, 19, 3, 7, -21, 0, 0],  # turned and shrunk
        [-9, 1, 29, 2, 11, -43, 0, 0],  # in a mirror, mostly outside
    ]
) * [1 / 8, 1 / 8, 1 / 16, 1 / 8, 1 / 8, 1 / 16, 1, 1]
PERSPECTIVE = np.array([1, 0.125, 0.25, -0.25, 1, 0.25, 1 / 32, -1 / 32])


def folded(i, n, mode):
    """The pixel at position i of the endless axis, by walking along its period."""
    inside = list(range(n))
    if 0 <= i < n:
        return i
    if mode == "constant":
        return None
    if mode == "nearest":
        return 0 if i < 0 else n - 1
    period = {
        "wrap": inside,
        "mirror": inside + inside[-2:0:-1],
        "reflect": inside + inside[::-1],
    }[mode]
    while i < 0:
        i += len(period)
    while i >= len(period):
        i -= len(period)
    return period[i]


def taps(position, interpolation):
    if interpolation == "nearest":
        return [(int(position + copysign(0.5, position)), 1.0)]
    base = floor(position)
    return [(base, 1 - (position - base)), (base + 1, position - base)]


def moved(image, t, interpolation, mode, fill):
    """One image (H, W, C) under a map."""
    height, width, _ = image.shape

    def pick(index):
        v, u, c = index
        k = t[6] * u + t[7] * v + 1
        x, y = (t[0] * u + t[1] * v + t[2]) / k, (t[3] * u + t[4] * v + t[5]) / k
        total = 0.0
        for i, w in taps(y, interpolation):
            for j, w_j in taps(x, interpolation):
                row, column = folded(i, height, mode), folded(j, width, mode)
                outside = row is None or column is None
                total += w * w_j * (fill if outside else image[row, column, c])
        return total

    return elements(image.shape, pick)


def oracle(interpolation, mode, fill):
    def values(images, maps):
        rows = np.broadcast_to(maps, (len(images), 8))
        return np.stack(
            [moved(x, t.tolist(), interpolation, mode, fill) for x, t in zip(images, rows)]
        )

    return values


def case(label, maps, interpolation, mode, fill=0.0, shape=(2, 4, 5, 2)):
    add(
        "affine",
        label,
        lambda rng: (rng.uniform(-2, 2, shape), maps.copy()),
        oracle(interpolation, mode, fill),
        call=lambda x, t: ops.image.affine_transform(x, t, interpolation, mode, fill),
    )


for mode in ("constant", "nearest", "wrap", "mirror", "reflect"):
    for interpolation in ("bilinear", "nearest"):
        case(f"{interpolation} {mode}", MAPS, interpolation, mode, 0.7)
case("one map for all images", MAPS[0], "bilinear", "constant")
case("perspective", PERSPECTIVE, "bilinear", "reflect")
case("one pixel", MAPS, "bilinear", "mirror", shape=(2, 1, 1, 5))
case("larger than a tile", MAPS, "bilinear", "wrap", shape=(2, 9, 10, 1))
