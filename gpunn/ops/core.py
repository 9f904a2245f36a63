"""The functions of `keras.ops` that are in no other namespace: casts, control flow, segments."""

from gpunn.ops.creation import cast, convert_to_numpy, convert_to_tensor, shape, stop_gradient
from gpunn.ops.elementwise import erf, rsqrt
from gpunn.ops.indexing import unstack
from gpunn.ops.statistics import logsumexp, norm
