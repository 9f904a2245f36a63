"""Cases of rare mathematics, bits and running products: loops, `math`, sums of series."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from tests.ops.cases import add, loop, uniform


def inverse_erf(x):
    """By bisection."""
    low, high = -6.0, 6.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < x else (low, middle)
    return middle


def bessel(x):
    """I₀(x) = Σ (x/2)^2k / k!²"""
    return math.fsum((x / 2) ** (2 * k) / math.factorial(k) ** 2 for k in range(40))


def running_product(x, axis):
    out = np.array(x)
    for i in range(1, x.shape[axis]):
        here, before = [slice(None)] * x.ndim, [slice(None)] * x.ndim
        here[axis], before[axis] = i, i - 1
        out[tuple(here)] = out[tuple(before)] * x[tuple(here)]
    return out


UNARY = {
    "cbrt": (lambda x: x ** (1 / 3), 0.2, 5),
    "erfc": (math.erfc, -3, 5),
    "erfinv": (inverse_erf, -0.9, 0.9),
    "i0": (bessel, -4, 4),
    "copy": (lambda x: x, -1, 1),
}
BINARY = {
    "arctan2": math.atan2,
    "hypot": math.hypot,
    "logaddexp": lambda x, y: math.log(math.exp(x) + math.exp(y)),
    "fmod": math.fmod,
    "nextafter": math.nextafter,
}
INTEGER = {
    "bitwise_and": lambda x, y: x & y,
    "bitwise_or": lambda x, y: x | y,
    "bitwise_xor": lambda x, y: x ^ y,
    "left_shift": lambda x, y: x << y,
    "right_shift": lambda x, y: x >> y,
    "gcd": math.gcd,
    "lcm": math.lcm,
}

for name, (function, low, high) in UNARY.items():
    add(name, "loop", uniform((3, 5), low=low, high=high), loop(function), tolerance=1e-9)
for name, function in BINARY.items():
    add(
        name,
        "signs",
        lambda rng: (
            rng.uniform(0.5, 3, (4, 3)) * [1, -1, 1],
            rng.uniform(0.5, 3, (4, 3)) * [1, 1, -1],
        ),
        loop(function),
        differentiable=(0, 1),
        batch=(0, 1),
    )
add("hypot", "row", uniform((3, 4), (4,)), loop(math.hypot), differentiable=(0, 1))
for name, function in INTEGER.items():
    add(
        name,
        "integers",
        lambda rng: (
            rng.integers(-9, 10, (3, 4)).astype("int32"),
            rng.integers(0, 7, (4,)).astype("int32"),
        ),
        loop(function),
        differentiable=(),
        result="int32",
    )
add(
    "bitwise_not",
    "integers",
    lambda rng: (rng.integers(-9, 10, (3, 4)).astype("int32"),),
    loop(lambda x: ~x),
    differentiable=(),
    result="int32",
)
add(
    "signbit",
    "special",
    lambda rng: (np.array([[0.0, -0.0, math.inf], [-math.inf, 1.0, -2.0]]),),
    loop(lambda x: math.copysign(1, x) < 0),
    differentiable=(),
    result="bool",
)
for axis, zeros in product((0, -1), (False, True)):
    add(
        "cumprod",
        f"axis={axis} zeros={zeros}",
        lambda rng, z=zeros: (rng.uniform(0.5, 2, (3, 4)) * (rng.random((3, 4)) > 0.3 * z),),
        lambda x, a=axis: running_product(x, a),
        options={"axis": axis},
    )
add(
    "prod",
    "zeros",
    lambda rng: (rng.uniform(0.5, 2, (5, 4)) * (rng.random((5, 4)) > 0.3),),
    lambda x: np.array([math.prod(row) for row in x.tolist()]),
    options={"axis": 1},
)
