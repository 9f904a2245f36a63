"""Operations on tensors, under the names of `keras.ops`. They differentiate and infer shapes."""

from gpunn.autodiff.tape import no_grad
from gpunn.ops import image as image
from gpunn.ops import operators as _operators
from gpunn.ops.activations import (
    celu,
    elu,
    gelu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
from gpunn.ops.activations import hard_silu as hard_swish
from gpunn.ops.activations import silu as swish
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
from gpunn.ops.conv import conv, conv_transpose
from gpunn.ops.creation import (
    arange,
    cast,
    convert_to_numpy,
    convert_to_tensor,
    eye,
    full,
    full_like,
    linspace,
    one_hot,
    ones,
    ones_like,
    shape,
    stop_gradient,
    zeros,
    zeros_like,
)
from gpunn.ops.depthwise import depthwise_conv, separable_conv
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
    erf,
    exp,
    exp2,
    expm1,
    floor,
    log1p,
    log2,
    log10,
    negative,
    reciprocal,
    rint,
    rsqrt,
    sign,
    sin,
    sinh,
    square,
    tan,
    trunc,
)
from gpunn.ops.elementwise import log_ as log
from gpunn.ops.elementwise import sqrt_ as sqrt
from gpunn.ops.encoding import digitize, multi_hot, searchsorted, token_counts
from gpunn.ops.gemm import dense, matmul
from gpunn.ops.indexing import flip, getitem, split, take, unstack
from gpunn.ops.noise import dropout
from gpunn.ops.normalization import (
    batch_normalization,
    layer_normalization,
    moments,
    rms_normalization,
)
from gpunn.ops.padding import pad
from gpunn.ops.pooling import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    max_pool,
)
from gpunn.ops.prelu import prelu
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
from gpunn.ops.softmax import log_softmax, softmax
from gpunn.ops.sparsemax import sparsemax
from gpunn.ops.statistics import logsumexp, norm, normalize, std, var

_operators.install()

__all__ = [name for name, value in list(globals().items()) if name[0] != "_" and callable(value)]
