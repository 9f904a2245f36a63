"""Random tensors and dropout. Each takes a stream `state` = [seed, draws] and advances it."""

from __future__ import annotations

from typing import Any

from gpunn.autodiff.dtypes import as_dtype, to_float
from gpunn.autodiff.op import op, same
from gpunn.autodiff.symbolic import Spec, SymbolicTensor, tracing
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import random
from gpunn.backend.devices import empty
from gpunn.backend.kernel import Kernel
from gpunn.backend.protocol import Array, Shape
from gpunn.ops.arithmetic import multiply_kernel
from gpunn.ops.creation import cast
from gpunn.ops.rules import broadcast_shapes


def _drawn(state: Array, run: Kernel, shape: Shape, dtype: Any, **options: float) -> Array:
    """An array from the next draw of a stream."""
    out = empty(shape, dtype, state)
    run(state, out, **options)
    random.advance(state[1:])
    return out


def _sample_rule(state: Any, run: Kernel, shape: Shape, dtype: Any) -> Spec:
    return Spec(shape, as_dtype(dtype))


@op(shape=_sample_rule)
def _sample(state: Array, run: Kernel, shape: Shape, dtype: str) -> Any:
    return _drawn(state, run, shape, as_dtype(dtype)), None


def _in_dtype(state: Tensor, run: Kernel, shape: Any, dtype: Any) -> Any:
    """Drawn in float32 or float64, then cast."""
    dtype = to_float(dtype)
    if tracing.on:
        return SymbolicTensor(tuple(shape), dtype)
    drawn = "float64" if dtype.name == "float64" else "float32"
    return cast(_sample(state, run=run, shape=tuple(shape), dtype=drawn), dtype)


def uniform(
    state: Tensor, shape: Any, minval: float = 0, maxval: float = 1, dtype: Any = None
) -> Any:
    """Numbers from U[minval, maxval)."""
    unit = _in_dtype(state, random.random_uniform, shape, as_dtype(dtype))
    return unit * (maxval - minval) + minval


def normal(state: Tensor, shape: Any, mean: float = 0, stddev: float = 1, dtype: Any = None) -> Any:
    """Numbers from N(mean, stddev²)."""
    return _in_dtype(state, random.random_normal, shape, as_dtype(dtype)) * stddev + mean


def _noise_rule(x: Any, state: Any, rate: float, noise_shape: Any = None) -> Spec:
    if noise_shape is not None:
        broadcast_shapes("dropout", x.shape, noise_shape)
    return same(x)


@op(shape=_noise_rule)
def dropout(x: Array, state: Array, rate: float, noise_shape: Shape | None = None) -> Any:
    """y = x · m / (1 - rate), m = 0 with probability `rate`, else 1.  Srivastava et al. 2014

    `noise_shape` is the shape of m, where lengths of 1 share one choice along an axis.
    """
    mask = _drawn(state, random.dropout_mask, noise_shape or x.shape, x.dtype, rate=rate)
    y = empty(x.shape, x.dtype, x)
    multiply_kernel(x, mask, y)

    def gradient(dy: Array) -> Array:
        dx = empty(x.shape, x.dtype, x)
        multiply_kernel(dy, mask, dx)
        return dx

    return y, (gradient, None)
