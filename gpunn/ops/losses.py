"""Fused losses: the values of all rows and the gradient in one pass. CUDA twins: kernels/losses.cu.

Each op returns one loss a row (the last axis is gone). Reduction and weights come above, in
`gpunn.losses`. Targets have no gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import contiguous, raw
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import FLOATS, Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.softmax import exp_shifted, row_sums

_SHORT = 32  # elements of a row whose sum is done one by one

# --- kernels: (x, target, loss, dx) with x of shape (rows, n), loss (rows,) ---


def _launch(x: Array, target: Array, loss: Array, dx: Array, **options: float) -> Any:
    if x.size == 0 or not contiguous(x, target, loss, dx):
        return NotImplemented
    rows, n = x.shape
    numbers = tuple(np.float64(v) for v in options.values())
    threads = 32 if n <= 64 else 256
    return (rows,), (threads,), (x, target, loss, dx, np.int32(n), *numbers), 0


def _examples(make_x: Callable, make_target: Callable, **options: float) -> Callable:
    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for rows, n in ((1, 1), (6, 10), (3, 300)):
            x = np.asarray(make_x(rng, rows, n), dtype)
            target = np.asarray(make_target(rng, rows, n))
            target = target if target.dtype.kind == "i" else target.astype(dtype)
            yield (x, target, unwritten((rows,), dtype), unwritten((rows, n), dtype)), options

    return examples


def _logits(rng: np.random.Generator, rows: int, n: int) -> Array:
    return normal(rng, (rows, n), "float64") * 3


def _probabilities(rng: np.random.Generator, rows: int, n: int) -> Array:
    p = rng.uniform(0.05, 1.0, (rows, n))
    return p / p.sum(1, keepdims=True)


def _labels(rng: np.random.Generator, rows: int, n: int) -> Array:
    return rng.integers(0, n, rows, dtype=np.int32)


def _binary(rng: np.random.Generator, rows: int, n: int) -> Array:
    return rng.uniform(0, 1, (rows, n)).round(1)


def _loss_kernel(make_x: Callable, make_target: Callable, **options: float) -> Callable:
    """Register a reference as the kernel of its name in losses.cu."""

    def decorate(reference: Callable) -> Kernel:
        cuda = raw("losses.cu", reference.__name__, _launch)
        return kernel(cuda=cuda, examples=_examples(make_x, make_target, **options))(reference)

    return decorate


def _mark(xp: Any, labels: Array, n: int) -> tuple[Array, Array]:
    """Where the label of each row is in x.reshape(-1), and which labels are within range."""
    within = labels % n
    return xp.arange(0, labels.shape[0] * n, n) + within, within == labels


def _row_means(xp: Any, values: Array, out: Array) -> None:
    """out = Σ values / n; of short rows as a product: NumPy needs longer to begin a row's sum"""
    n = values.shape[1]
    if 1 < n <= _SHORT and values.dtype.itemsize > 2:
        xp.matmul(values, xp.ones(n, values.dtype), out=out)
        out *= 1 / n
    else:
        xp.mean(values, axis=1, out=out)


@_loss_kernel(_logits, _labels)
def sparse_softmax_cross_entropy(xp: Any, x: Array, labels: Array, loss: Array, dx: Array) -> None:
    """loss = log Σ e^x - x[label]; dx = softmax(x) - [label]; NaN if no such label"""
    marked, valid = _mark(xp, labels, x.shape[1])
    xp.subtract(x, x.max(axis=1, keepdims=True), out=dx)
    flat = dx.reshape(-1)
    picked = flat[marked]
    xp.exp(dx, out=dx)
    total = row_sums(xp, dx)
    values = xp.log(total[:, 0]) - picked
    xp.copyto(loss, xp.where(valid, values, xp.nan), casting="same_kind")
    dx /= total
    flat[marked] -= valid


@_loss_kernel(_logits, _probabilities)
def softmax_cross_entropy(xp: Any, x: Array, target: Array, loss: Array, dx: Array) -> None:
    """loss = Σ t · (log Σ e^x - x); dx = softmax(x) · Σ t - t"""
    total = exp_shifted(xp, x, dx)
    log_softmax = x - xp.max(x, axis=1, keepdims=True) - xp.log(total)
    xp.negative(xp.sum(target * log_softmax, axis=1), out=loss)
    dx *= xp.sum(target, axis=1, keepdims=True) / total
    dx -= target


@_loss_kernel(_probabilities, _labels, epsilon=1e-7)
def sparse_cross_entropy(
    xp: Any, x: Array, labels: Array, loss: Array, dx: Array, epsilon: float
) -> None:
    """loss = -log p with p = x[label] / Σ x clipped to [ε, 1 - ε]; NaN if no such label"""
    marked, valid = _mark(xp, labels, x.shape[1])
    total = xp.sum(x, axis=1)
    target = x.reshape(-1)[marked]
    p = target / total
    inside = valid & (p >= epsilon) & (p <= 1 - epsilon)
    values = -xp.log(xp.clip(p, epsilon, 1 - epsilon))
    xp.copyto(loss, xp.where(valid, values, xp.nan), casting="same_kind")
    xp.copyto(dx, (inside / total)[:, None], casting="same_kind")
    dx.reshape(-1)[marked] -= inside / xp.where(inside, target, 1)


@_loss_kernel(_probabilities, _probabilities, epsilon=1e-7)
def cross_entropy(xp: Any, x: Array, target: Array, loss: Array, dx: Array, epsilon: float) -> None:
    """loss = -Σ t · log p with p = x / Σ x clipped to [ε, 1 - ε]"""
    total = xp.sum(x, axis=1, keepdims=True)
    p = x / total
    inside = (p >= epsilon) & (p <= 1 - epsilon)
    clipped = xp.clip(p, epsilon, 1 - epsilon)
    xp.negative(xp.sum(target * xp.log(clipped), axis=1), out=loss)
    slope = -target / clipped * inside  # d loss / d p
    xp.copyto(dx, (slope - xp.sum(slope * p, axis=1, keepdims=True)) / total, casting="same_kind")


@_loss_kernel(_logits, _binary)
def sigmoid_cross_entropy(xp: Any, x: Array, target: Array, loss: Array, dx: Array) -> None:
    """loss = mean over the row of max(x, 0) - x t + log(1 + e^-|x|); dx = (sigmoid(x) - t) / n"""
    e = xp.exp(-xp.abs(x))
    u = 1 + e
    log1p = xp.log(u) + (e - (u - 1)) / u  # and what u was rounded by: thrice as fast as log1p
    _row_means(xp, xp.maximum(x, 0) - x * target + log1p, loss)
    sigmoid = (e + (x >= 0) * (1 - e)) / u  # 1 / u or e / u
    xp.subtract(sigmoid, target, out=dx)
    dx /= x.shape[1]


@_loss_kernel(lambda rng, r, n: rng.uniform(0.02, 0.98, (r, n)), _binary, epsilon=1e-7)
def binary_cross_entropy(
    xp: Any, x: Array, target: Array, loss: Array, dx: Array, epsilon: float
) -> None:
    """loss = mean over the row of -t log p - (1 - t) log(1 - p), p = x clipped to [ε, 1 - ε]"""
    p = xp.clip(x, epsilon, 1 - epsilon)
    values = target * xp.log(p) + (1 - target) * xp.log(1 - p)
    _row_means(xp, values, loss)
    xp.negative(loss, out=loss)
    inside = (x >= epsilon) & (x <= 1 - epsilon)
    xp.copyto(
        dx, inside * (p - target) / (p * (1 - p) * x.dtype.type(x.shape[1])), casting="same_kind"
    )


@_loss_kernel(_logits, _logits)
def squared_error(xp: Any, x: Array, target: Array, loss: Array, dx: Array) -> None:
    """loss = mean over the row of (x - t)²; dx = 2 (x - t) / n"""
    xp.subtract(x, target, out=dx)
    _row_means(xp, dx * dx, loss)
    dx *= 2 / x.shape[1]


@_loss_kernel(_logits, _logits)
def absolute_error(xp: Any, x: Array, target: Array, loss: Array, dx: Array) -> None:
    """loss = mean over the row of |x - t|; dx = sign(x - t) / n"""
    xp.subtract(x, target, out=dx)
    _row_means(xp, xp.abs(dx), loss)
    xp.sign(dx, out=dx)
    dx *= 1 / x.shape[1]


def _weigh_examples(rng: np.random.Generator, dtype: str) -> Any:
    dloss, dx = normal(rng, (5,), dtype), normal(rng, (5, 7), dtype)
    yield (dloss, dx, unwritten((5, 7), dtype)), {}


@kernel(examples=_weigh_examples, dtypes=FLOATS)
def weigh_rows(xp: Any, dloss: Array, gradient: Array, dx: Array) -> None:
    """dx = dloss · gradient, row by row"""
    xp.multiply(dloss[:, None], gradient, out=dx)


# --- ops ---


def _rule(name: str, sparse: bool) -> Callable[..., Spec]:
    def rule(x: Any, target: Any, **_: Any) -> Spec:
        expected = tuple(x.shape[:-1]) if sparse else tuple(x.shape)
        given = tuple(target.shape)
        if (
            not x.shape
            or len(given) != len(expected)
            or any(a != b and None not in (a, b) for a, b in zip(given, expected, strict=True))
        ):
            raise ShapeError(
                f"{name}: targets do not fit the predictions (targets {given}, predictions "
                f"{tuple(x.shape)}). Give targets of shape {expected}."
            )
        return Spec(tuple(x.shape[:-1]), as_dtype(x.dtype))

    return rule


def _loss_op(name: str, run: Kernel, sparse: bool = False) -> Callable[..., Any]:
    """An op (x, target) -> loss of each row, from a kernel that gives loss and gradient."""

    def function(x: Array, target: Array, **options: float) -> Any:
        n = x.shape[-1]
        rows = x.size // n if n else 0
        loss, gradient = empty((rows,), x.dtype, x), empty((rows, n), x.dtype, x)
        targets = packed(target, as_dtype("int32") if sparse else x.dtype)
        targets = targets.reshape(rows) if sparse else targets.reshape(rows, n)
        run(packed(x).reshape(rows, n), targets, loss, gradient, **options)

        def gradients(dloss: Array, needed: tuple[bool, ...]) -> tuple:
            dx = empty_like(gradient)
            weigh_rows(packed(dloss, x.dtype).reshape(rows), gradient, dx)
            return dx.reshape(x.shape), None

        return loss.reshape(x.shape[:-1]), Joint(gradients)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = run.__doc__
    return op(shape=_rule(name, sparse))(function)


sparse_softmax_cross_entropy_loss = _loss_op(
    "sparse_softmax_cross_entropy_loss", sparse_softmax_cross_entropy, sparse=True
)
softmax_cross_entropy_loss = _loss_op("softmax_cross_entropy_loss", softmax_cross_entropy)
sparse_cross_entropy_loss = _loss_op("sparse_cross_entropy_loss", sparse_cross_entropy, sparse=True)
cross_entropy_loss = _loss_op("cross_entropy_loss", cross_entropy)
sigmoid_cross_entropy_loss = _loss_op("sigmoid_cross_entropy_loss", sigmoid_cross_entropy)
binary_cross_entropy_loss = _loss_op("binary_cross_entropy_loss", binary_cross_entropy)
squared_error_loss = _loss_op("squared_error_loss", squared_error)
absolute_error_loss = _loss_op("absolute_error_loss", absolute_error)
