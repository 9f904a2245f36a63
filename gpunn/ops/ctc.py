"""CTC: the likelihood of a sequence of labels, summed over all its alignments to the time steps.

A path of classes (one a step) means the labels that are left without repetitions, and then without
blanks. For the states z = (blank, l_1, blank, l_2, ..., blank), of which there are S = 2 L + 1, and
log y = log softmax(x):

    α_t(s) = log Σ e^α_{t-1}(s'),  s' in {s, s - 1, s - 2},  + log y_t(z_s)
    β_t(s) = log Σ e^(β_{t+1}(s') + log y_{t+1}(z_s')),      s' in {s, s + 1, s + 2}
    loss   = -log P,  log P = log Σ e^α_T(s) over the last two states
    dx_t(k) = y_t(k) - Σ e^(α_t(s) + β_t(s) - log P) over the states s with z_s = k

where two states are skipped over only if the one between is a blank between different labels.
Graves et al. 2006, Connectionist Temporal Classification. CUDA twin: kernels/ctc.cu.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype, to_float
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import contiguous, raw
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.columns import work_dtype
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.losses import weigh_rows

# --- kernel: x (N, T, C), labels (N, L), lengths (N,) ---


def _launch(
    x: Array, labels: Array, label_lengths: Array, lengths: Array, loss: Array, dx: Array,
    blank: int,
) -> Any:  # fmt: skip
    if x.size == 0 or not contiguous(x, labels, label_lengths, lengths, loss, dx):
        return NotImplemented
    n, steps, classes = x.shape
    states = 2 * labels.shape[1] + 1
    space = empty((n, (steps + 3) * states + steps), work_dtype(x), x)
    same = empty((n, states), "int32", x)
    numbers = map(np.int32, (steps, classes, labels.shape[1], blank))
    threads = min(512, max(64, -(-states // 32) * 32))
    arguments = (x, labels, label_lengths, lengths, loss, dx, space, same, *numbers)
    return (n,), (threads,), arguments, 0


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    for n, steps, classes, longest in ((1, 1, 2, 0), (3, 7, 4, 3), (4, 12, 3, 6), (2, 40, 50, 9)):
        labels = rng.integers(1, classes, (n, longest)).astype(np.int32)
        label_lengths = rng.integers(0, longest + 1, n).astype(np.int32)
        lengths = rng.integers(0, steps + 1, n).astype(np.int32)
        lengths[0] = steps
        x = normal(rng, (n, steps, classes), dtype)
        arrays = x, labels, label_lengths, lengths
        yield (*arrays, unwritten((n,), dtype), unwritten(x.shape, dtype)), {"blank": 0}
    labels[labels == classes - 1] = 0
    arrays = x, labels, label_lengths, lengths
    last = {"blank": classes - 1}
    yield (*arrays, unwritten((n,), dtype), unwritten(x.shape, dtype)), last


def _log_sum(xp: Any, *terms: Array) -> Array:
    """log Σ e^term; -inf of nothing"""
    top = terms[0]
    for term in terms[1:]:
        top = xp.maximum(top, term)
    safe = xp.where(top == -xp.inf, 0, top)
    total = sum(xp.exp(term - safe) for term in terms)
    with np.errstate(divide="ignore"):
        return xp.log(total) + safe


def _moved(xp: Any, a: Array, by: int) -> Array:
    """a by some states further on (back, where negative); -inf comes in"""
    out = xp.full_like(a, -xp.inf)
    n = a.shape[1]
    if 0 < by < n:
        out[:, by:] = a[:, :-by]
    elif 0 < -by < n:
        out[:, :by] = a[:, -by:]
    return out


def _states(
    xp: Any, labels: Array, last: Array, classes: int, blank: int
) -> tuple[Array, Array, Array]:
    """The class of each state, (N, S); whether it exists; whether the blank before is skippable."""
    z = xp.full((len(labels), 2 * labels.shape[1] + 1), blank, np.int64)
    z[:, 1::2] = labels
    exists = (xp.arange(z.shape[1]) <= last) & (z >= 0) & (z < classes)
    skips = xp.zeros(z.shape, bool)
    skips[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    return xp.where(exists, z, blank), exists, skips


@kernel(cuda=raw("ctc.cu", "ctc", _launch), examples=_examples)
def ctc(
    xp: Any, x: Array, labels: Array, label_lengths: Array, lengths: Array, loss: Array, dx: Array,
    blank: int,
) -> None:  # fmt: skip
    """loss = -log P(labels | x), inf where they do not fit the steps; dx, 0 where they do not"""
    n, steps, classes = x.shape
    x = x.astype(work_dtype(x), copy=False)
    lengths = xp.clip(lengths, 0, steps)
    last = 2 * xp.clip(label_lengths, 0, labels.shape[1])[:, None]
    z, exists, skips = _states(xp, labels, last, classes, blank)
    top = xp.max(x, axis=2, keepdims=True)
    log_y = x - top - xp.log(xp.sum(xp.exp(x - top), axis=2, keepdims=True))
    emitted = xp.take_along_axis(log_y, xp.broadcast_to(z[:, None], (n, steps, z.shape[1])), axis=2)
    emitted = xp.where(exists[:, None], emitted, -xp.inf)
    state = xp.arange(z.shape[1])
    ends = xp.where((state == last) | (state == last - 1), 0, -xp.inf).astype(x.dtype)

    alpha = xp.full(emitted.shape, -xp.inf, x.dtype)
    before = xp.broadcast_to(xp.where(state == 0, 0, -xp.inf).astype(x.dtype), z.shape)
    start = before
    for t in range(steps):
        skipped = xp.where(skips, _moved(xp, before, 2), -xp.inf)
        before = _log_sum(xp, before, _moved(xp, before, 1), skipped) + emitted[:, t]
        alpha[:, t] = before
    final = xp.where(lengths[:, None] > 0, alpha[xp.arange(n), lengths - 1], start)
    log_p = _log_sum(xp, *xp.moveaxis(final + ends, 1, 0))
    loss[...] = -log_p

    beta, shares = ends, xp.zeros(emitted.shape, x.dtype)
    fits = xp.isfinite(log_p)
    inside = fits[:, None] & (xp.arange(steps) < lengths[:, None])
    log_p = xp.where(fits, log_p, 0)[:, None]
    for t in range(steps - 1, -1, -1):
        beta = xp.where((t == lengths - 1)[:, None], ends, beta)
        log_share = xp.where(inside[:, t, None], alpha[:, t] + beta - log_p, -xp.inf)
        xp.exp(log_share, out=shares[:, t])
        onward = beta + emitted[:, t]
        skipped = _moved(xp, xp.where(skips, onward, -xp.inf), -2)
        beta = _log_sum(xp, onward, _moved(xp, onward, -1), skipped)
    places = xp.arange(n * steps).reshape(n, steps, 1) * classes + z[:, None]
    taken = xp.bincount(places.reshape(-1), shares.reshape(-1), minlength=x.size)
    dx[...] = xp.where(inside[..., None], xp.exp(log_y) - taken.reshape(x.shape), 0)


# --- op ---


def _rule(x: Any, labels: Any, label_lengths: Any, lengths: Any, blank: int) -> Spec:
    shapes = [tuple(a.shape) for a in (x, labels, label_lengths, lengths)]
    counts = {shape[0] for shape in shapes if shape} - {None}
    if tuple(map(len, shapes)) != (3, 2, 1, 1) or len(counts) > 1:
        raise ShapeError(
            f"ctc_loss: expected output (N, T, classes), target (N, L), and a target_length and an "
            f"output_length of (N,); received {shapes[0]}, {shapes[1]}, {shapes[2]}, {shapes[3]}."
        )
    classes = shapes[0][2]
    if 0 in shapes[0][1:]:
        raise ShapeError(f"ctc_loss: there are no steps or no classes (output {shapes[0]}).")
    if classes is not None and not 0 <= blank < classes:
        raise ValueError(
            f"ctc_loss: mask_index must be one of the {classes} classes, received {blank}."
        )
    return Spec(shapes[0][:1], to_float(x.dtype))


@op(shape=_rule)
def _ctc(x: Array, labels: Array, label_lengths: Array, lengths: Array, blank: int) -> Any:
    x = packed(x, to_float(x.dtype))
    n = len(x)
    loss, slope = empty((n,), x.dtype, x), empty_like(x)
    integers = (packed(a, as_dtype("int32")) for a in (labels, label_lengths, lengths))
    ctc(x, *integers, loss, slope, blank=blank)

    def gradients(dloss: Array, needed: tuple[bool, ...]) -> tuple:
        dx = empty_like(slope)
        shape = n, slope.size // max(n, 1)
        weigh_rows(packed(dloss, x.dtype), slope.reshape(shape), dx.reshape(shape))
        return dx, None, None, None

    return loss, Joint(gradients)


def ctc_loss(
    target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0
) -> Any:
    """-log P(target | output) of each sample, summed over all alignments.  Graves et al. 2006

    output (N, T, classes): logits, of which the first output_length (N,) steps count. target
    (N, L): labels, of which the first target_length (N,) count. `mask_index`: the blank, which is
    no label. A target that does not fit into its steps loses inf, and has a gradient of 0.

    >>> gpunn.ops.ctc_loss(target=[[1, 2]], output=logits, target_length=[2], output_length=[9])
    """
    x = convert_to_tensor(output)
    others = (convert_to_tensor(a) for a in (target, target_length, output_length))
    return _ctc(x, *others, blank=mask_index)
