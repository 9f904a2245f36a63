"""The functions of `keras.ops` that are in no other namespace: casts, control flow, segments."""

from gpunn.ops.choosing import switch
from gpunn.ops.control import cond, fori_loop, while_loop
from gpunn.ops.creation import cast, convert_to_numpy, convert_to_tensor, shape, stop_gradient
from gpunn.ops.custom_gradient import custom_gradient
from gpunn.ops.elementwise import erf, rsqrt
from gpunn.ops.floats import saturate_cast
from gpunn.ops.fourier import fft, fft2, ifft2, irfft, rfft
from gpunn.ops.framing import extract_sequences
from gpunn.ops.inspecting import dtype, is_tensor, view_as_complex, view_as_real
from gpunn.ops.mapping import associative_scan, scan, vectorized_map
from gpunn.ops.mapping import map_ as map
from gpunn.ops.mathematics import erfc, erfinv
from gpunn.ops.matrices import logdet
from gpunn.ops.products import cdist
from gpunn.ops.rearranging import rearrange
from gpunn.ops.scatter import (
    scatter,
    scatter_update,
    segment_max,
    segment_min,
    segment_prod,
    segment_sum,
)
from gpunn.ops.sorting import in_top_k, top_k
from gpunn.ops.spectrograms import istft, stft
from gpunn.ops.splitting import unstack
from gpunn.ops.statistics import logsumexp
from gpunn.ops.windows_at import slice_ as slice
from gpunn.ops.windows_at import slice_update
