"""The functions of `keras.ops.numpy`: NumPy's, on tensors."""

from gpunn.ops.activations import tanh
from gpunn.ops.arithmetic import (
    add,
    divide,
    floor_divide,
    maximum,
    minimum,
    mod,
    multiply,
    power,
    subtract,
)
from gpunn.ops.arithmetic import divide as true_divide
from gpunn.ops.compare import (
    all,
    any,
    equal,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    where,
)
from gpunn.ops.creation import (
    arange,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from gpunn.ops.elementwise import abs_ as abs
from gpunn.ops.elementwise import abs_ as absolute
from gpunn.ops.elementwise import (
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctanh,
    ceil,
    clip,
    cos,
    cosh,
    exp,
    exp2,
    expm1,
    floor,
    log1p,
    log2,
    log10,
    negative,
    reciprocal,
    sign,
    sin,
    sinh,
    square,
    tan,
    trunc,
)
from gpunn.ops.elementwise import log_ as log
from gpunn.ops.elementwise import sqrt_ as sqrt
from gpunn.ops.encoding import digitize, searchsorted
from gpunn.ops.gemm import matmul
from gpunn.ops.indexing import flip, split, take
from gpunn.ops.padding import pad
from gpunn.ops.reduce import argmax, argmin, cumsum, max, mean, min, sum
from gpunn.ops.reduce import prod_ as prod
from gpunn.ops.shaping import (
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    ravel,
    repeat,
    reshape,
    squeeze,
    stack,
    swapaxes,
    tile,
    transpose,
)
from gpunn.ops.statistics import std, var
