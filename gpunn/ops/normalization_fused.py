"""Fused ops of normalization, with all gradients at once. Channels, or normalized axes, come last.

Statistics and parameters are float32 for halves, else of x's dtype. The functions under Keras'
names are in `gpunn.ops.normalization`.
"""

from __future__ import annotations

from math import prod
from typing import Any

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import Joint, grad_like, op, same
from gpunn.autodiff.symbolic import Spec
from gpunn.autodiff.tape import accumulate
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.normalization_channels import (
    batch_norm_backward,
    channel_backward,
    channel_normalize,
    moments_backward,
)
from gpunn.ops.normalization_rows import row_norm_backward, row_norm_forward, row_norm_sums
from gpunn.ops.normalization_statistics import (
    channel_sums,
    combine_moments,
    moments_of_parts,
    part_count,
    statistics_dtype,
    together,
)
from gpunn.ops.reduce import reduce_sum

# --- arrays ---


def _matrix(x: Array, channels: int) -> Array:
    """X (R, W): x (..., channels) with some neighbouring rows taken together."""
    rows = x.size // channels if channels else 0
    k = together(rows, channels)
    return packed(x).reshape(rows // k, k * channels)


def _packed(vector: Array | None) -> Array | None:
    return None if vector is None else packed(vector)


def _statistic(x: Array, *shape: int) -> Array:
    return empty(shape, statistics_dtype(x.dtype), x)


def _moments_of(X: Array, channels: int) -> tuple[Array, Array]:
    """Mean and variance of each channel."""
    shape = part_count(*X.shape), X.shape[1]
    means, squares = _statistic(X, *shape), _statistic(X, *shape)
    moments_of_parts(X, means, squares)
    mean, variance = _statistic(X, channels), _statistic(X, channels)
    combine_moments(means, squares, mean, variance, rows=X.shape[0])
    return mean, variance


def _total(sums: Array, channels: int) -> Array:
    """(2, channels): the sums (2, parts, W) of all parts together."""
    out = empty((2, channels), sums.dtype, sums)
    reduce_sum(
        sums.reshape(2, sums.size // (2 * channels) if channels else 0, channels), out, axes=(1,)
    )
    return out


def _channel_totals(X: Array, dY: Array, mean: Array) -> Array:
    """Σ dy and Σ dy · (x - mean) of each channel."""
    sums = _statistic(X, 2, part_count(*X.shape), X.shape[1])
    channel_sums(X, dY, mean, sums)
    return _total(sums, len(mean))


def _moments_gradient(X: Array, mean: Array, dmean: Array | None, dvariance: Array | None) -> Array:
    dX = empty_like(X)
    moments_backward(X, mean, _packed(dmean), _packed(dvariance), dX)
    return dX


# --- fused ops, channels last ---


def _vectors_rule(x: Any, *vectors: Any, **_: Any) -> Spec:
    """Statistics and parameters have one element a channel."""
    shapes = {tuple(v.shape) for v in vectors if v is not None}
    if not shapes <= {(x.shape[-1],)}:
        raise ShapeError(
            f"batch_normalization: mean, variance, offset and scale need one element for each of "
            f"{x.shape[-1]} channels, received shapes {sorted(shapes)}. Check `axis`."
        )
    return same(x)


def _batch_rule(x: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-3) -> Any:
    statistic = Spec((x.shape[-1],), statistics_dtype(as_dtype(x.dtype)))
    return _vectors_rule(x, gamma, beta), statistic, statistic


@op(shape=_batch_rule)
def batch_norm(
    x: Array, gamma: Array | None = None, beta: Array | None = None, epsilon: float = 1e-3
) -> Any:
    """y = (x - mean) / √(variance + ε) · γ + β, mean and variance: those of x (..., C) itself."""
    C = x.shape[-1]
    X, gamma, beta = _matrix(x, C), _packed(gamma), _packed(beta)
    mean, variance = _moments_of(X, C)
    Y = empty_like(X)
    channel_normalize(X, mean, variance, gamma, beta, Y, epsilon=epsilon)

    def gradients(dys: tuple, needed: tuple[bool, ...]) -> tuple[Array | None, ...]:
        dy, dmean, dvariance = dys
        dX = dgamma = dbeta = None
        if dy is not None:
            dY = packed(dy).reshape(X.shape)
            dX = empty_like(X) if needed[0] else None
            dgamma = grad_like(gamma) if gamma is not None and needed[1] else None
            dbeta = grad_like(beta) if beta is not None and needed[2] else None
            totals = _channel_totals(X, dY, mean)
            batch_norm_backward(
                X, dY, mean, variance, gamma, totals, dX, dgamma, dbeta, epsilon=epsilon
            )
        if needed[0] and (dmean is not None or dvariance is not None):
            more = _moments_gradient(X, mean, dmean, dvariance)
            if dX is not None:
                accumulate(more, dX, more)
            dX = more
        dx = None if dX is None else dX.reshape(x.shape)
        return (dx, dgamma, dbeta)[: len(needed)]

    return (Y.reshape(x.shape), mean, variance), Joint(gradients)


@op(shape=_vectors_rule)
def channel_norm(
    x: Array,
    mean: Array,
    variance: Array,
    scale: Array | None = None,
    offset: Array | None = None,
    epsilon: float = 1e-3,
) -> Any:
    """y = (x - mean) / √(variance + ε) · scale + offset for each channel of x (..., C)."""
    C = x.shape[-1]
    X, mean, variance = _matrix(x, C), packed(mean), packed(variance)
    scale, offset = _packed(scale), _packed(offset)
    Y = empty_like(X)
    channel_normalize(X, mean, variance, scale, offset, Y, epsilon=epsilon)

    def gradients(dy: Array, needed: tuple[bool, ...]) -> tuple[Array | None, ...]:
        dY = packed(dy).reshape(X.shape)
        inputs = X, mean, variance, scale, offset
        outs = [
            (grad_like if i > 2 else empty_like)(v) if v is not None and wanted else None
            for i, (v, wanted) in enumerate(zip(inputs, needed, strict=False))
        ]
        full = outs + [None] * (5 - len(outs))
        totals = _channel_totals(X, dY, mean)
        channel_backward(dY, variance, scale, totals, *full, epsilon=epsilon)
        if outs[0] is not None:
            outs[0] = outs[0].reshape(x.shape)
        return tuple(outs)

    return Y.reshape(x.shape), Joint(gradients)


def _moments_rule(x: Any, leading: int) -> Any:
    return (Spec(tuple(x.shape[leading:]), as_dtype(x.dtype)),) * 2


@op(shape=_moments_rule)
def leading_moments(x: Array, leading: int) -> Any:
    """Mean and variance over the leading axes."""
    kept = x.shape[leading:]
    X = _matrix(x, prod(kept))
    mean, variance = _moments_of(X, prod(kept))

    def gradients(dys: tuple, needed: tuple[bool, ...]) -> tuple[Array]:
        flat = [None if d is None else packed(d, mean.dtype).reshape(-1) for d in dys]
        return (_moments_gradient(X, mean, *flat).reshape(x.shape),)

    outs = tuple(packed(s, x.dtype).reshape(kept) for s in (mean, variance))
    return outs, Joint(gradients)


# --- fused ops, normalized axes last ---


def _rows_rule(x: Any, gamma: Any = None, beta: Any = None, **_: Any) -> Spec:
    return same(x)


@op(shape=_rows_rule)
def row_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    axes: int = 1,
    epsilon: float = 1e-3,
    centered: bool = True,
) -> Any:
    """y = (x - μ) / √(Σ (x - μ)² / n + ε) · γ + β over the last axes, μ = mean x, or 0."""
    n = prod(x.shape[x.ndim - axes :])
    X = packed(x).reshape(x.size // n if n else 0, n)
    gamma, beta, inverse = _packed(gamma), _packed(beta), _statistic(X, len(X))
    mean = empty_like(inverse) if centered else None
    Y = empty_like(X)
    row_norm_forward(X, gamma, beta, Y, mean, inverse, epsilon=epsilon)

    def gradients(dy: Array, needed: tuple[bool, ...]) -> tuple[Array | None, ...]:
        dY = packed(dy).reshape(X.shape)
        dx = dgamma = dbeta = None
        if needed[0]:
            dX = empty_like(X)
            row_norm_backward(X, dY, gamma, mean, inverse, dX)
            dx = dX.reshape(x.shape)
        if any(needed[1:]):
            sums = _statistic(X, 2, part_count(*X.shape), n)
            row_norm_sums(X, dY, mean, inverse, sums)
            dbeta, dgamma = _total(sums, n)
        return (dx, dgamma, dbeta)[: len(needed)]

    return Y.reshape(x.shape), Joint(gradients)


@op(shape=_rows_rule)
def group_norm(x: Array, groups: int, epsilon: float = 1e-3) -> Any:
    """x (N, ..., C) normalized over all positions and the C / groups channels of each group."""
    N, C = x.shape[0], x.shape[-1]
    sizes = N, prod(x.shape[1:-1]), groups, C // groups

    def as_rows(a: Array) -> Array:
        """One row for each sample and group."""
        n = sizes[1] * sizes[3]
        return packed(packed(a).reshape(sizes).swapaxes(1, 2)).reshape(N * groups, n)

    def as_image(rows: Array) -> Array:
        return packed(rows.reshape(N, groups, sizes[1], sizes[3]).swapaxes(1, 2)).reshape(x.shape)

    X = as_rows(x)
    Y, mean, inverse = empty_like(X), _statistic(X, len(X)), _statistic(X, len(X))
    row_norm_forward(X, None, None, Y, mean, inverse, epsilon=epsilon)

    def gradient(dy: Array) -> Array:
        dX = empty_like(X)
        row_norm_backward(X, as_rows(dy), None, mean, inverse, dX)
        return as_image(dX)

    return as_image(Y), (gradient,)
