"""CTC: the likely sequences of labels, by the best path, or by a beam of prefixes.

Beam search keeps the prefixes l with the largest P(l) after each step, in two parts: p_b of the
paths that end with a blank, p_n of those that end with the last label:

    p_b'(l) = (p_b + p_n)(l) y(blank)
    p_n'(l) = p_n(l) y(l_last) + Σ (p_b (+ p_n, where k differs from its last label))(l less k) y(k)

Graves 2012, Supervised Sequence Labelling, 7.5. It runs on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, log
from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, to_float
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec, SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.backend.devices import empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.creation import cast, convert_to_numpy, convert_to_tensor
from gpunn.ops.examples import normal, unwritten

# --- the best path ---


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    for n, steps, classes, blank, merges in (
        (3, 7, 3, 0, True),
        (2, 9, 4, 3, False),
        (1, 1, 2, 1, True),
    ):
        x = normal(rng, (n, steps, classes), dtype)
        lengths = rng.integers(0, steps + 1, n).astype(np.int32)
        outputs = unwritten((n, steps), "int32"), unwritten((n, 1), dtype)
        yield (x, lengths, *outputs), {"blank": blank, "merges": merges}


@kernel(examples=_examples)
def ctc_best_path(
    xp: Any, x: Array, lengths: Array, labels: Array, scores: Array, blank: int, merges: bool
) -> None:
    """labels = the largest class of each step without blanks (and repetitions), then -1; scores =
    -Σ of the largest logits
    """
    n, steps, _ = x.shape
    inside = xp.arange(steps) < lengths[:, None]
    best = xp.where(inside, xp.argmax(x, axis=2), blank)
    total = xp.sum(xp.where(inside, xp.max(x, axis=2), 0), axis=1, keepdims=True)
    scores[...] = -total
    kept = best != blank
    if merges:
        kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    place = xp.where(kept, xp.cumsum(kept, axis=1) - 1, steps)
    wide = xp.full((n, steps + 1), -1, labels.dtype)  # the last column takes what is left out
    wide[xp.arange(n)[:, None], place] = best
    labels[...] = wide[:, :steps]


def _rule(x: Any, lengths: Any, blank: int, merges: bool) -> tuple[Spec, Spec]:
    return Spec(tuple(x.shape[:2]), as_dtype("int32")), Spec((x.shape[0], 1), as_dtype(x.dtype))


@op(shape=_rule)
def _best_path(x: Array, lengths: Array, blank: int, merges: bool) -> Any:
    labels = empty(x.shape[:2], "int32", x)
    scores = empty((x.shape[0], 1), x.dtype, x)
    ctc_best_path(packed(x), packed(lengths), labels, scores, blank=blank, merges=merges)
    return (labels, scores), None


# --- beams ---


def _sum(a: float, b: float) -> float:
    """log(e^a + e^b)"""
    if a < b:
        a, b = b, a
    return a if b == -inf else a + log(1 + exp(b - a))


def _step(
    beams: dict[tuple[int, ...], tuple[float, float]],
    log_y: Sequence[float],
    blank: int,
    width: int,
) -> dict[tuple[int, ...], tuple[float, float]]:
    """The best prefixes, with (log p_b, log p_n), one step later."""
    blanks: dict[tuple[int, ...], float] = {}
    ends: dict[tuple[int, ...], float] = {}
    for prefix, (p_b, p_n) in beams.items():
        either = _sum(p_b, p_n)
        blanks[prefix] = either + log_y[blank]
        for k, y in enumerate(log_y):
            if k == blank:
                continue
            if prefix and prefix[-1] == k:
                ends[prefix] = _sum(ends.get(prefix, -inf), p_n + y)
                p = p_b + y
            else:
                p = either + y
            longer = (*prefix, k)
            ends[longer] = _sum(ends.get(longer, -inf), p)
    found = {k: (blanks.get(k, -inf), ends.get(k, -inf)) for k in {**blanks, **ends}}
    best = sorted(found, key=lambda prefix: -_sum(*found[prefix]))[:width]
    return {prefix: found[prefix] for prefix in best}


def _beam_search(
    logits: np.ndarray, lengths: np.ndarray, width: int, paths: int, blank: int
) -> tuple[np.ndarray, np.ndarray]:
    """(paths, N, T) labels, -1 behind them, and (N, paths) log-probabilities"""
    n, steps, _ = logits.shape
    labels = np.full((paths, n, steps), -1, np.int32)
    scores = np.full((n, paths), -inf)
    top = logits.max(axis=2, keepdims=True)
    log_y = logits - top - np.log(np.exp(logits - top).sum(axis=2, keepdims=True))
    for i, length in enumerate(lengths):
        beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -inf)}
        for row in log_y[i, :length].tolist():
            beams = _step(beams, row, blank, width)
        for j, (prefix, parts) in enumerate(list(beams.items())[:paths]):
            labels[j, i, : len(prefix)] = prefix
            scores[i, j] = _sum(*parts)
    return labels, scores


# --- public ---


def _check(x: Any, lengths: Any, strategy: str, mask_index: int) -> None:
    if strategy not in ("greedy", "beam_search"):
        raise unknown_name("strategy of ctc_decode", strategy, ("greedy", "beam_search"))
    shapes = tuple(x.shape), tuple(lengths.shape)
    fits = tuple(map(len, shapes)) == (3, 1)
    if not fits or len({shapes[0][0], shapes[1][0]} - {None}) > 1:
        raise ShapeError(
            f"ctc_decode: expected inputs (N, T, classes) and sequence_lengths (N,), received "
            f"{shapes[0]} and {shapes[1]}."
        )
    if x.shape[2] is not None and not 0 <= mask_index < x.shape[2]:
        raise ValueError(
            f"ctc_decode: mask_index must be one of the {x.shape[2]} classes, received "
            f"{mask_index}."
        )


def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> tuple[Any, Any]:
    """The likely labels of logits (N, T, classes); the first `sequence_lengths` (N,) steps count.

    "greedy": the best class of each step; labels (1, N, T), and -Σ of the best logits (N, 1).
    "beam_search": the `top_paths` most likely of `beam_width` sequences; labels (top_paths, N, T),
    and their log-probabilities (N, top_paths). It reads its inputs on the host, so it takes no
    symbolic tensors. Labels are int32, with -1 behind the end. `mask_index`: the blank.
    `merge_repeated` is of "greedy"; repetitions without a blank between are always one in a beam.

    >>> labels, scores = gpunn.ops.ctc_decode(logits, [12, 9], strategy="beam_search")
    """
    x, lengths = convert_to_tensor(inputs), convert_to_tensor(sequence_lengths, "int32")
    _check(x, lengths, strategy, mask_index)
    dtype = to_float(x.dtype)
    x = cast(x, "float32" if dtype.itemsize < 4 else dtype)
    if strategy == "greedy":
        from gpunn.ops.shaping import expand_dims

        labels, scores = _best_path(x, lengths, blank=mask_index, merges=merge_repeated)
        return expand_dims(labels, 0), scores
    if not 1 <= top_paths <= beam_width:
        raise ValueError(
            f"ctc_decode: top_paths must be from 1 to beam_width ({beam_width}), received "
            f"{top_paths}."
        )
    if isinstance(x, SymbolicTensor) or isinstance(lengths, SymbolicTensor):
        raise TypeError(
            "ctc_decode: beam search reads its inputs on the host, so it takes no symbolic "
            "tensors. Decode what predict() returns."
        )
    found = _beam_search(
        np.asarray(convert_to_numpy(x), np.float64), convert_to_numpy(lengths), beam_width,
        top_paths, mask_index,
    )  # fmt: skip
    labels, scores = (
        Tensor(asarray(a, d, x.data)) for a, d in zip(found, ("int32", x.dtype), strict=True)
    )
    return labels, scores
