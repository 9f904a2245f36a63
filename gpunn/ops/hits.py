"""Hits of classifiers: 1 where a prediction is right, else 0. No derivative.

CUDA twin: kernels/metrics.cu.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import contiguous, cuda_type, elementwise, raw
from gpunn.backend.devices import empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.examples import normal, unwritten

# --- kernels ---


def _launch(x: Array, labels: Array, hits: Array, k: int, earlier_wins: bool) -> Any:
    if x.size == 0 or not contiguous(x, labels, hits):
        return NotImplemented
    rows, n = x.shape
    threads = 32 if n <= 64 else 256
    return (rows,), (threads,), (x, labels, hits, np.int32(n), np.int32(k)), 0


def _types(x: Array, labels: Array, hits: Array, k: int, earlier_wins: bool) -> tuple:
    return cuda_type(x.dtype), cuda_type(hits.dtype), "true" if earlier_wins else "false"


def _label_examples(rng: np.random.Generator, dtype: str) -> Any:
    for rows, n in ((1, 1), (6, 10), (40, 4), (3, 300)):
        x = np.round(normal(rng, (rows, n), dtype) * 2)  # rounded, so that there are ties
        labels = rng.integers(-1, n + 1, rows, dtype=np.int32)
        for k, earlier_wins in ((1, True), (1, False), (3, False), (n, False)):
            arrays = x, labels, unwritten((rows,), "float32")
            yield arrays, {"k": k, "earlier_wins": earlier_wins}
    x = np.array([[np.nan, 1, 2], [0, 3, np.nan], [np.nan, np.nan, 1]], dtype)
    for label in range(3):
        labels = np.full(3, label, np.int32)
        yield (x, labels, unwritten((3,), "float32")), {"k": 1, "earlier_wins": True}
        yield (x, labels, unwritten((3,), "float32")), {"k": 2, "earlier_wins": False}


@kernel(cuda=raw("metrics.cu", "label_hits", _launch, _types), examples=_label_examples)
def count_label_hits(
    xp: Any, x: Array, labels: Array, hits: Array, k: int, earlier_wins: bool
) -> None:
    """hits = 1 if fewer than k entries of the row stand before x[label], else 0.

    Larger entries do, NaNs too and, if `earlier_wins`, equal ones to the left of the label.
    """
    if k == 1 and earlier_wins:  # the label is the argmax, NaNs apart: NumPy's argmax takes them
        best = xp.argmax(x, axis=1)
        right = best == labels
        right &= x[xp.arange(x.shape[0]), best] == x[xp.arange(x.shape[0]), best]
        xp.copyto(hits, right, casting="unsafe")
        return
    n = x.shape[1]
    valid = (labels >= 0) & (labels < n)
    score = x[xp.arange(x.shape[0]), xp.where(valid, labels, 0)][:, None]
    before = ~(x <= score)
    if earlier_wins:
        before |= (x == score) & (xp.arange(n) < labels[:, None])
    xp.copyto(hits, valid & (xp.sum(before, axis=1) < k), casting="unsafe")


def _threshold_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in ((), (0, 3), (7,), (5, 33)):
        x = np.asarray(rng.uniform(0, 1, shape), dtype)
        target = np.asarray(rng.integers(0, 2, shape), dtype)
        yield (x, target, unwritten(shape, "float32")), {"threshold": 0.5}


@kernel(
    cuda=elementwise(
        "T x, T target, T threshold -> H hits",
        "hits = (x > threshold ? target == T(1) : target == T(0)) ? H(1) : H(0)",
    ),
    examples=_threshold_examples,
)
def count_threshold_hits(xp: Any, x: Array, target: Array, hits: Array, threshold: float) -> None:
    """hits = 1 where x > threshold says what the target (0 or 1) says, else 0"""
    xp.copyto(hits, (x > threshold) == target, casting="unsafe")


# --- ops ---


def _rows_rule(x: Any, labels: Any, **_: Any) -> Spec:
    expected = tuple(x.shape[:-1])
    if not x.shape or tuple(labels.shape) != expected:
        raise ShapeError(
            f"label_hits: labels do not fit the scores (labels {tuple(labels.shape)}, scores "
            f"{tuple(x.shape)}). Give one label a row: shape {expected}."
        )
    if x.shape[-1] == 0:
        raise ShapeError(f"label_hits: there are no classes (scores {tuple(x.shape)}).")
    return Spec(expected, as_dtype(None))


@op(shape=_rows_rule)
def label_hits(x: Array, labels: Array, k: int = 1, earlier_wins: bool = True) -> Any:
    """y = 1 where the label's score is among the k largest of its row, else 0; floatx.

    x `(..., classes)`, labels `(...)` int32. Of equal scores the left one is larger, as for argmax;
    without `earlier_wins` all of them are as large as the largest. NaN is larger than numbers, and
    never hits; labels out of range do not hit.
    """
    n = x.shape[-1]
    hits = empty(labels.shape, as_dtype(None), x)
    rows = packed(x).reshape(labels.size, n)
    count_label_hits(
        rows, packed(labels).reshape(-1), hits.reshape(-1), k=k, earlier_wins=earlier_wins
    )
    return hits, None


def _same_shapes(x: Any, target: Any, **_: Any) -> Spec:
    if tuple(x.shape) != tuple(target.shape):
        raise ShapeError(
            f"threshold_hits: targets do not fit the predictions (targets {tuple(target.shape)}, "
            f"predictions {tuple(x.shape)}). Give both the same shape."
        )
    return Spec(tuple(x.shape), as_dtype(None))


@op(shape=_same_shapes)
def threshold_hits(x: Array, target: Array, threshold: float = 0.5) -> Any:
    """y = 1 where x > threshold says what the target (0 or 1) says, else 0; floatx."""
    hits = empty(x.shape, as_dtype(None), x)
    count_threshold_hits(x, target, hits, threshold=threshold)
    return hits, None
