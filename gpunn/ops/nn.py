"""The functions of `keras.ops.nn`: activations, convolutions, losses."""

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
    tanh_shrink,
    threshold,
)
from gpunn.ops.activations import hard_silu as hard_swish
from gpunn.ops.activations import silu as swish
from gpunn.ops.attention import dot_product_attention
from gpunn.ops.blocks import depth_to_space, fold, glu, space_to_depth, unfold
from gpunn.ops.conv import conv, conv_transpose
from gpunn.ops.creation import one_hot
from gpunn.ops.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from gpunn.ops.ctc import ctc_loss
from gpunn.ops.ctc_decode import ctc_decode
from gpunn.ops.depthwise import depthwise_conv, separable_conv
from gpunn.ops.encoding import multi_hot
from gpunn.ops.normalization import (
    batch_normalization,
    layer_normalization,
    moments,
    rms_normalization,
)
from gpunn.ops.pooling import adaptive_average_pool, adaptive_max_pool, average_pool, max_pool
from gpunn.ops.softmax import log_softmax, softmax
from gpunn.ops.sparsemax import sparsemax
from gpunn.ops.statistics import normalize, polar, psnr
