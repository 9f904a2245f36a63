"""Counts of classifiers' hits and errors, in place: the state of Precision, AUC, IoU and others.

CUDA twin: kernels/metrics.cu. Nothing is read on the host, so a training step that contains them
can be recorded; unweighted counts are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpunn.autodiff.tensor import Tensor
from gpunn.backend.cuda import THREADS, blocks, contiguous, raw
from gpunn.backend.devices import empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.ops.examples import normal, unwritten

#: What can become of a prediction, in the order of the kernel's arrays.
KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")

_COLUMNS = 8  # predicted classes that one block of threads counts
_OTHERS = -1e10  # what takes the place of scores that are not among the largest

# --- kernels ---


def _threads(n: int) -> int:
    return THREADS if n <= 4096 else 1024


def _launch_confusion(*arrays: Array | None) -> Any:
    given = [a for a in arrays if a is not None]
    scores, thresholds = arrays[5], arrays[7]
    if any(a.dtype != scores.dtype for a in given) or not contiguous(*given):  # type: ignore[union-attr]
        return NotImplemented
    n, labels = scores.shape  # type: ignore[union-attr]
    cells = thresholds.size * labels  # type: ignore[union-attr]
    if cells == 0:
        return NotImplemented
    return (cells,), (_threads(n),), (*arrays, np.int32(n), np.int32(labels)), 0


def _confusion_examples(rng: np.random.Generator, dtype: str) -> Any:
    for n, labels, cuts in ((0, 1, 2), (7, 1, 1), (300, 1, 3), (20, 3, 5), (5000, 1, 2)):
        counts: list[Any] = [np.ones((cuts, labels), dtype) for _ in KINDS]
        t = rng.integers(0, 2, (n, labels)).astype(dtype)
        p = np.round(rng.uniform(0, 1, (n, labels)) * 8).astype(dtype) / 8  # some at a threshold
        p[:1] = np.nan
        thresholds = (rng.permutation(8)[:cuts] / 8).astype(dtype)
        w = rng.integers(0, 3, (n, labels)).astype(dtype)
        yield (*counts, t, p, None, thresholds), {}
        yield (counts[0].copy(), None, None, counts[3].copy(), t, p, w, thresholds), {}


@kernel(
    cuda=raw("metrics.cu", "add_confusion", _launch_confusion, lambda *arrays: (arrays[5].dtype,)),
    examples=_confusion_examples,
)
def add_confusion(
    xp: Any, tp: Array | None, fp: Array | None, tn: Array | None, fn: Array | None,
    targets: Array, scores: Array, weights: Array | None, thresholds: Array,
) -> None:  # fmt: skip
    """tp[i, l] += Σ w [t ≠ 0] [s > θ_i] over the rows of targets t and scores s `(n, labels)`,
    and so on: fp of [t = 0] [s > θ_i], tn of [t = 0] [s ≤ θ_i], fn of [t ≠ 0] [s ≤ θ_i]

    A score goes into the bin of the number of thresholds below it: O(n log thresholds). NaN is
    greater than none.
    """
    labels, bins = scores.shape[1], thresholds.size + 1
    order = xp.argsort(thresholds)
    bin_of = xp.searchsorted(thresholds[order], scores)
    bin_of *= scores == scores
    cells = ((targets != 0) * bins + bin_of) * labels + xp.arange(labels)
    parts = None if weights is None else weights.ravel()
    sums = xp.bincount(cells.ravel(), parts, minlength=2 * bins * labels)
    sums = sums.reshape(2, bins, labels)
    at_most = xp.cumsum(sums, axis=1)[:, :-1]
    above = xp.cumsum(sums[:, ::-1], axis=1)[:, -2::-1]
    for count, new in ((tp, above[1]), (fp, above[0]), (tn, at_most[0]), (fn, at_most[1])):
        if count is not None:
            count[order] = count[order] + new


def _launch_pairs(
    matrix: Array, targets: Array, labels: Array, weights: Array | None, ignored: int
) -> Any:
    arrays = [matrix, targets, labels, *([] if weights is None else [weights])]
    same = weights is None or weights.dtype == matrix.dtype
    classes = matrix.shape[0]
    if not same or classes == 0 or not contiguous(*arrays):
        return NotImplemented
    grid = classes, -(-classes // _COLUMNS)
    sizes = np.int32(targets.size), np.int32(classes), np.int32(ignored)
    return grid, (_threads(targets.size),), (matrix, targets, labels, weights, *sizes), 0


def _pair_examples(rng: np.random.Generator, dtype: str) -> Any:
    for n, classes in ((0, 2), (9, 1), (500, 3), (300, 11)):
        t, p = (rng.integers(-1, classes + 1, n).astype("int32") for _ in range(2))
        matrix = np.ones((classes, classes), dtype)
        w = rng.integers(0, 3, n).astype(dtype)
        yield (matrix, t, p, None), {"ignored": -1}
        yield (matrix.copy(), t, p, w), {"ignored": 1}


@kernel(
    cuda=raw("metrics.cu", "add_pairs", _launch_pairs),
    examples=_pair_examples,
    dtypes=("float32", "float64", "float16", "int32"),
)
def add_pairs(
    xp: Any, matrix: Array, targets: Array, labels: Array, weights: Array | None, ignored: int
) -> None:
    """matrix[i, j] += Σ w [t = i] [l = j]; targets t = `ignored` and what is no class are left out

    matrix `(classes, classes)`, targets t and predicted labels l `(n,)` int32.
    """
    classes = matrix.shape[0]
    known = (targets >= 0) & (targets < classes) & (labels >= 0) & (labels < classes)
    known &= targets != ignored
    cells = targets[known].astype(np.int64) * classes + labels[known]
    parts = None if weights is None else weights[known]
    sums = xp.bincount(cells, parts, minlength=classes * classes)
    xp.add(matrix, sums.reshape(matrix.shape), out=matrix, casting="unsafe")


def _launch_largest(x: Array, out: Array, k: int) -> Any:
    if x.size == 0 or not contiguous(x, out):
        return NotImplemented
    sizes = np.int64(x.size), np.int32(x.shape[1]), np.int32(k)
    return (blocks(x.size),), (THREADS,), (x, out, *sizes), 0


def _largest_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape in ((1, 1), (5, 9), (3, 70)):
        x = np.round(normal(rng, shape, dtype) * 2)  # rounded, so that there are ties
        for k in (1, 3, shape[1]):
            yield (x, unwritten(shape, dtype)), {"k": k}


@kernel(cuda=raw("metrics.cu", "keep_largest", _launch_largest), examples=_largest_examples)
def keep_largest(xp: Any, x: Array, out: Array, k: int) -> None:
    """out = x where fewer than k entries of the row are larger, or equal and to the left; -1e10
    elsewhere
    """
    best = xp.argsort(-x, axis=1, kind="stable")[:, :k]
    rows = xp.arange(x.shape[0])[:, None]
    with np.errstate(over="ignore"):  # -inf in float16
        out.fill(_OTHERS)
    out[rows, best] = x[rows, best]


# --- for tensors: the state changes, there is no result ---


def accumulate_confusion(
    counts: Mapping[str, Tensor], targets: Tensor, scores: Tensor, weights: Tensor | None,
    thresholds: Tensor, by_label: bool = False,
) -> None:  # fmt: skip
    """Add to each of the `counts`, named by `KINDS`, what `add_confusion` says, in place.

    Targets, scores and weights have one shape, and all arrays one dtype. Counts `(thresholds,)` of
    all elements, or `by_label`, of scores `(n, labels)`, `(thresholds, labels)`.
    """
    shape = scores.shape if by_label else (scores.size, 1)
    cells = thresholds.size, shape[1]
    places = [counts[kind].data.reshape(cells) if kind in counts else None for kind in KINDS]
    w = None if weights is None else packed(weights.data).reshape(shape)
    t, s = packed(targets.data).reshape(shape), packed(scores.data).reshape(shape)
    add_confusion(*places, t, s, w, thresholds.data)


def accumulate_pairs(
    matrix: Tensor, targets: Tensor, labels: Tensor, weights: Tensor | None, ignored: int = -1
) -> None:
    """matrix[i, j] += Σ w [t = i] [l = j], in place; t, l `(n,)` int32, w of the matrix's dtype."""
    w = None if weights is None else packed(weights.data)
    add_pairs(matrix.data, packed(targets.data), packed(labels.data), w, ignored=ignored)


def largest_kept(x: Tensor, k: int) -> Tensor:
    """x `(..., n)` with -1e10 in place of all but the k largest along the last axis. Constant."""
    rows = packed(x.data).reshape(-1, x.shape[-1])
    out = empty_like(rows)
    keep_largest(rows, out, k=k)
    return Tensor(out.reshape(x.shape))
