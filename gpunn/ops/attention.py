"""Attention: y = softmax(Q Kᵀ · scale) V, and which positions may see which."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import elementwise
from gpunn.backend.devices import empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.errors import ShapeError
from gpunn.ops.activations import tanh
from gpunn.ops.arithmetic import add, divide, multiply
from gpunn.ops.compare import logical_and, where
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.gemm import matmul
from gpunn.ops.rules import broadcast_shapes
from gpunn.ops.shaping import repeat, transpose
from gpunn.ops.softmax import softmax

UNBOUNDED = 1 << 30  # more steps than any sequence has


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, before, after in (((4, 4), UNBOUNDED, 0), ((3, 7), 2, 2), ((7, 3), 0, 1)):
        out = np.asarray(rng.integers(0, 2, shape), dtype)
        yield (out,), {"columns": shape[1], "before": before, "after": after}


@kernel(
    cuda=elementwise(
        "int64 columns, int64 before, int64 after -> T out",
        "long long apart = i % columns - i / columns; out = -before <= apart && apart <= after",
    ),
    examples=_examples,
    dtypes=("bool",),
)
def fill_band(xp: Any, out: Array, columns: int, before: int, after: int) -> None:
    """out_ij = -before <= j - i <= after, for a matrix of so many columns"""
    apart = xp.arange(columns) - xp.arange(out.shape[0])[:, None]
    xp.logical_and(apart >= -before, apart <= after, out=out)


def _band_rule(x: Any, before: int = UNBOUNDED, after: int = UNBOUNDED) -> Spec:
    return Spec(tuple(x.shape[-2:]), np.dtype("bool"))


@op(shape=_band_rule)
def band(x: Array, before: int = UNBOUNDED, after: int = UNBOUNDED) -> Any:
    """(T, S) for scores x (..., T, S): True where -before <= j - i <= after.

    `after=0` is a causal mask: position i sees no later one.
    """
    out = empty(x.shape[-2:], "bool", x)
    fill_band(out, columns=x.shape[-1], before=before, after=after)
    return out, None


def masked_softmax(scores: Any, mask: Any = None) -> Any:
    """softmax(scores) over what the mask lets through; of a row that sees nothing, a plain mean."""
    if mask is not None:
        scores = where(mask, scores, -3e4 if scores.dtype == "float16" else -2e38)
    return softmax(scores)


def _heads(q: Any, k: Any, v: Any) -> int:
    """How many heads of the query share one of the keys."""
    shapes = [tuple(x.shape) for x in (q, k, v)]
    if tuple(map(len, shapes)) != (4, 4, 4):
        raise ShapeError(
            f"dot_product_attention: query (B, T, N, H), key and value (B, S, K, H) have rank 4, "
            f"received {shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    (_, _, n, h), (_, s, shared, h_k), (_, s_v, shared_v, _) = shapes
    if h != h_k or s != s_v or shared != shared_v or not shared or n % shared:
        raise ShapeError(
            f"dot_product_attention: query (B, T, N, H) and key (B, S, K, H) need one H, key and "
            f"value one S and one K, and N must be a multiple of K; received {shapes[0]}, "
            f"{shapes[1]} and {shapes[2]}."
        )
    return n // shared


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """softmax(Q Kᵀ · scale + bias) V for each head: (B, T, N, H).  arXiv:1706.03762

    query (B, T, N, H), key and value (B, S, K, H), where each of the K heads serves N / K heads of
    the query. `mask`: True where a key counts; it and `bias` broadcast to (B, N, T, S). `scale`:
    1/√H unless given. `is_causal`: no query sees a later key. `attn_logits_soft_cap` c makes the
    scores c · tanh(scores / c).

    >>> gpunn.ops.dot_product_attention(q, k, v, is_causal=True).shape
    """
    if flash_attention:
        raise ValueError(
            "dot_product_attention: flash_attention=True is not supported. Leave it out."
        )
    q, k, v = (convert_to_tensor(x) for x in (query, key, value))
    shared = _heads(q, k, v)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    q, k, v = (transpose(x, (0, 2, 1, 3)) for x in (q, k, v))
    if shared > 1:
        k, v = repeat(k, shared, axis=1), repeat(v, shared, axis=1)
    scores = matmul(multiply(q, scale), transpose(k, (0, 1, 3, 2)))
    if bias is not None:
        bias = _fitting("bias", convert_to_tensor(bias), scores)
        scores = add(scores, cast(bias, scores.dtype))
    if attn_logits_soft_cap is not None:
        cap = attn_logits_soft_cap
        scores = multiply(tanh(divide(scores, cap)), cap)
    seen = None if mask is None else _fitting("mask", cast(mask, "bool"), scores)
    if is_causal:
        causal = band(scores, after=0)
        seen = causal if seen is None else logical_and(seen, causal)
    return transpose(matmul(masked_softmax(scores, seen), v), (0, 2, 1, 3))


def _fitting(what: str, x: Any, scores: Any) -> Any:
    """x, which must broadcast to the scores (B, N, T, S)."""
    if len(x.shape) > 4 or broadcast_shapes(
        f"dot_product_attention ({what} with the scores)", x.shape, scores.shape
    ) != tuple(scores.shape):
        raise ShapeError(
            f"dot_product_attention: {what} must broadcast to (B, N, T, S) = "
            f"{tuple(scores.shape)}, received {tuple(x.shape)}."
        )
    return x
