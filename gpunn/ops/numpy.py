"""The functions of `keras.ops.numpy`: NumPy's, on tensors."""

from gpunn.ops.accumulate import divide_no_nan
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
from gpunn.ops.bands import eye, identity, tri, vander
from gpunn.ops.bits import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    gcd,
    lcm,
    left_shift,
    right_shift,
)
from gpunn.ops.bits import bitwise_not as bitwise_invert
from gpunn.ops.bits import left_shift as bitwise_left_shift
from gpunn.ops.bits import right_shift as bitwise_right_shift
from gpunn.ops.choosing import select
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
    signbit,
    where,
)
from gpunn.ops.creation import (
    array,
    empty,
    empty_like,
    full,
    full_like,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from gpunn.ops.diagonals import diag, diagflat, diagonal, trace, tril, triu
from gpunn.ops.einsum import einsum
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
from gpunn.ops.floats import (
    allclose,
    copy,
    fmax,
    fmin,
    isclose,
    isneginf,
    isposinf,
    isreal,
    nan_to_num,
    round,
)
from gpunn.ops.gathering import take, take_along_axis
from gpunn.ops.gemm import matmul
from gpunn.ops.histograms import bincount, histogram
from gpunn.ops.indexing import flip, get_item
from gpunn.ops.inspecting import ndim, size, view
from gpunn.ops.joining import (
    append,
    dstack,
    fliplr,
    flipud,
    hstack,
    meshgrid,
    roll,
    rot90,
    vstack,
)
from gpunn.ops.mathematics import (
    angle,
    arctan2,
    cbrt,
    conjugate,
    deg2rad,
    fabs,
    fmod,
    heaviside,
    hypot,
    i0,
    imag,
    ldexp,
    logaddexp,
    logaddexp2,
    nextafter,
    rad2deg,
    real,
    sinc,
)
from gpunn.ops.mathematics import conjugate as conj
from gpunn.ops.matrices import slogdet
from gpunn.ops.nan import (
    nanargmax,
    nanargmin,
    nancumprod,
    nancumsum,
    nanmax,
    nanmean,
    nanmin,
    nanprod,
    nanstd,
    nansum,
    nanvar,
)
from gpunn.ops.padding import pad
from gpunn.ops.products import cross, dot, inner, kron, outer, tensordot, vdot
from gpunn.ops.quantiles import (
    median,
    nanmedian,
    nanpercentile,
    nanquantile,
    percentile,
    quantile,
)
from gpunn.ops.ranges import arange, geomspace, linspace, logspace
from gpunn.ops.reduce import argmax, argmin, max, mean, min, sum
from gpunn.ops.scans import cumprod, cumsum
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
from gpunn.ops.signals import (
    bartlett,
    blackman,
    correlate,
    diff,
    hamming,
    hanning,
    kaiser,
    trapezoid,
)
from gpunn.ops.sorting import argpartition, argsort, sort
from gpunn.ops.splitting import array_split, dsplit, hsplit, split, vsplit
from gpunn.ops.statistics import (
    amax,
    amin,
    average,
    corrcoef,
    count_nonzero,
    prod,
    ptp,
    std,
    var,
)
from gpunn.ops.values import isin, nonzero, unique, unravel_index
from gpunn.ops.vectorize import vectorize
