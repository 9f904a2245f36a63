"""Cases of elementwise ops: one number at a time, with `math`."""

from __future__ import annotations

import math

import numpy as np

from gpunn import ops
from gpunn.autodiff.op import registry
from tests.ops.cases import add, loop, uniform


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softplus(x):
    return math.log1p(math.exp(-abs(x))) + max(x, 0)


def normal_cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

UNARY = {
    "exp": math.exp,
    "exp2": lambda x: 2.0**x,
    "expm1": math.expm1,
    "sin": math.sin,
    "cos": math.cos,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "arctan": math.atan,
    "arcsinh": math.asinh,
    "tanh": math.tanh,
    "erf": math.erf,
    "negative": lambda x: -x,
    "absolute": abs,
    "square": lambda x: x**2,
    "sign": lambda x: math.copysign(1, x),
    "floor": math.floor,
    "ceil": math.ceil,
    "rint": round,
    "trunc": math.trunc,
    "identity": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "hard_sigmoid": lambda x: min(max(x / 6 + 0.5, 0.0), 1.0),
    "hard_silu": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "hard_tanh": lambda x: min(max(x, -1.0), 1.0),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "log_sigmoid": lambda x: -softplus(-x),
    "softsign": lambda x: x / (1 + abs(x)),
    "mish": lambda x: x * math.tanh(softplus(x)),
    "tanh_shrink": lambda x: x - math.tanh(x),
    "selu": lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * math.expm1(x)),
    "gelu": lambda x: x * normal_cdf(x),
    "gelu_tanh": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "sparse_plus": lambda x: 0.0 if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4,
    "sparse_sigmoid": lambda x: 0.0 if x <= -1 else 1.0 if x >= 1 else (x + 1) / 2,
}
DOMAINS = {
    "log": (math.log, 0.1, 5),
    "log2": (math.log2, 0.1, 5),
    "log10": (math.log10, 0.1, 5),
    "log1p": (math.log1p, -0.9, 5),
    "sqrt": (math.sqrt, 0.1, 5),
    "tan": (math.tan, -1.2, 1.2),
    "arcsin": (math.asin, -0.9, 0.9),
    "arccos": (math.acos, -0.9, 0.9),
    "arccosh": (math.acosh, 1.1, 5),
    "arctanh": (math.atanh, -0.9, 0.9),
    "reciprocal": (lambda x: 1 / x, -5, -0.1),
    "rsqrt": (lambda x: x**-0.5, 0.1, 5),
    "relu6": (lambda x: min(max(x, 0.0), 6.0), -3, 9),
}
#: f(x, option...), with the default and with another value of the options.
WITH_OPTIONS = {
    "leaky_relu": (lambda x, s: x if x > 0 else s * x, {"negative_slope": 0.2}, [0.05]),
    "elu": (lambda x, a: x if x > 0 else a * math.expm1(x), {"alpha": 1.0}, [0.3]),
    "celu": (lambda x, a: max(x, 0) + min(0, a * math.expm1(x / a)), {"alpha": 1.0}, [2.0]),
    "hard_shrink": (lambda x, t: x if abs(x) > t else 0.0, {"threshold": 0.5}, [1.1]),
    "soft_shrink": (
        lambda x, t: math.copysign(max(abs(x) - t, 0), x),
        {"threshold": 0.5},
        [1.1],
    ),
    "squareplus": (lambda x, b: (x + math.sqrt(x * x + b)) / 2, {"b": 4.0}, [1.0]),
    "threshold": (
        lambda x, t, v: x if x > t else v,
        {"threshold": 0.0, "default_value": 0.0},
        [0.3, -7.0],
    ),
    "clip": (lambda x, a, b: min(max(x, a), b), {"x_min": -1.0, "x_max": 1.0}, [-0.2, 1.5]),
}

for name, function in UNARY.items():
    tolerance = 1e-9 if name == "erf" or "gelu" in name else 1e-10
    add(
        name,
        "loop",
        uniform((3, 5), low=-4, high=4),
        loop(function),
        tolerance=tolerance,
        differentiable=() if name == "identity" else (0,),
    )
    add(
        name,
        "number",
        uniform((), low=-4, high=4),
        loop(function),
        tolerance=tolerance,
        batch=(),
        differentiable=() if name == "identity" else (0,),
    )
for name, (function, low, high) in DOMAINS.items():
    add(name, "loop", uniform((3, 5), low=low, high=high), loop(function))
for name, (function, defaults, other) in WITH_OPTIONS.items():
    values = tuple(defaults.values())
    add(name, "defaults", uniform((3, 5)), loop(lambda x, f=function, v=values: f(x, *v)))
    add(
        name,
        "options",
        uniform((3, 5)),
        loop(lambda x, f=function, v=other: f(x, *v)),
        options=dict(zip(defaults, other)),
    )
    add(
        name,
        "positional",
        uniform((3, 5)),
        loop(lambda x, f=function, v=other: f(x, *v)),
        call=lambda x, n=name, v=other: registry[n](x, *v),
    )

BINARY = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "power": lambda x, y: x**y,
    "maximum": max,
    "minimum": min,
    "floor_divide": lambda x, y: float(x // y),
    "mod": lambda x, y: x % y,
    "divide_no_nan": lambda x, y: x / y if y else 0.0,
}
COMPARE = {
    "equal": lambda x, y: x == y,
    "not_equal": lambda x, y: x != y,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "logical_and": lambda x, y: bool(x and y),
    "logical_or": lambda x, y: bool(x or y),
    "logical_xor": lambda x, y: bool(x) != bool(y),
}
SHAPES = {
    "same": ((3, 4), (3, 4)),
    "row": ((3, 4), (4,)),
    "column": ((3, 1), (3, 4)),
    "outer": ((3, 1), (1, 4)),
    "number": ((3, 4), ()),
    "deep": ((2, 1, 4), (3, 1)),
}

for name, function in BINARY.items():
    for label, shapes in SHAPES.items():
        add(
            name,
            label,
            uniform(*shapes, low=0.5, high=3.0),
            loop(function),
            differentiable=(0, 1),
            batch=(0, 1) if label == "same" else (0,),
        )
for name in ("mod", "floor_divide", "multiply", "subtract"):
    add(
        name,
        "signs",
        lambda rng: (
            rng.uniform(0.5, 3, (4, 3)) * [1, -1, 1],
            rng.uniform(0.5, 3, (4, 3)) * [1, 1, -1],
        ),
        loop(BINARY[name]),
        differentiable=(0, 1),
    )
for name in ("maximum", "minimum"):
    add(
        name,
        "constant",
        uniform((3, 4)),
        loop(lambda x, f=BINARY[name]: f(x, 0.25)),
        call=lambda x, n=name: getattr(ops, n)(x, 0.25),
    )
add("power", "constant", uniform((3, 4)), loop(lambda x: x**3), call=lambda x: x**3)
add("power", "base", uniform((3, 4)), loop(lambda x: 2.5**x), call=lambda x: 2.5**x)
add("subtract", "swapped", uniform((3, 4)), loop(lambda x: 1 - x), call=lambda x: 1 - x)
add(
    "divide", "swapped", uniform((3, 4), low=1, high=2), loop(lambda x: 1 / x), call=lambda x: 1 / x
)


def with_ties(rng):
    return rng.integers(-1, 2, (4, 5)).astype(float), rng.integers(-1, 2, (4, 5)).astype(float)


for name, function in COMPARE.items():
    add(name, "ties", with_ties, loop(function), differentiable=(), batch=(0, 1), result="bool")
    add(
        name,
        "row",
        lambda rng: (with_ties(rng)[0], with_ties(rng)[1][0]),
        loop(function),
        differentiable=(),
        result="bool",
    )


def special(rng):
    return (np.array([[0.0, math.nan, math.inf], [-math.inf, 1.0, -0.0]]),)


for name, function in {
    "isnan": math.isnan,
    "isinf": math.isinf,
    "isfinite": math.isfinite,
    "logical_not": lambda x: not x,
}.items():
    add(name, "special", special, loop(function), differentiable=(), result="bool")

add(
    "where",
    "all broadcast",
    lambda rng: (rng.random((3, 4)) > 0.5, rng.normal(size=(3, 4)), rng.normal(size=(4,))),
    loop(lambda c, x, y: x if c else y),
    call=ops.where,
    differentiable=(1, 2),
    batch=(0, 1),
)
add(
    "where",
    "numbers",
    lambda rng: (rng.random((3, 4)) > 0.5, rng.normal(size=(3, 4))),
    loop(lambda c, x: x if c else -1.0),
    call=lambda c, x: ops.where(c, x, -1),
    differentiable=(1,),
    batch=(0, 1),
)
add(
    "where",
    "narrow condition",
    lambda rng: (rng.random((3, 1)) > 0.5, *uniform((3, 4), (1, 4))(rng)),
    loop(lambda c, x, y: x if c else y),
    call=ops.where,
    differentiable=(1, 2),
    batch=(0, 1),
)
add(
    "prelu",
    "shared over rows",
    uniform((3, 4), (4,)),
    loop(lambda x, a: x if x > 0 else a * x),
    differentiable=(0, 1),
)
add(
    "prelu",
    "of a number",
    uniform((3, 4), ()),
    loop(lambda x, a: x if x > 0 else a * x),
    differentiable=(0, 1),
)
add(
    "cast",
    "to float32",
    uniform((3, 4)),
    lambda x: x.astype("float32").astype("float64"),
    call=lambda x: ops.cast(ops.cast(x, "float32"), "float64"),
    differentiable=(),
    result="float64",
)
add(
    "cast",
    "to int32",
    uniform((3, 4), low=-9, high=9),
    loop(math.trunc),
    call=lambda x: ops.cast(x, "int32"),
    differentiable=(),
    result="int32",
)
add(
    "cast",
    "between floats",
    uniform((3, 4)),
    lambda x: x,
    differentiable=(0,),
    result="float64",
    call=lambda x: ops.cast(x, "float64"),
)
for value in (0, 1, 3):
    add(
        "full_like",
        str(value),
        uniform((3, 4)),
        lambda x, v=value: np.array([[v] * 4] * 3),
        call=lambda x, v=value: ops.full_like(x, v),
        differentiable=(),
    )
