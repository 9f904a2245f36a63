"""Integers as rows of counts, and numbers as the bins they fall in. CUDA twin: kernels/encoding.cu.

multi_hot: y[r, k] = 1 if k is among x[r, :], else 0. Counts: y[r, k] = Σ_j w[r, j] · (x[r, j] = k).
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec, SymbolicShape
from gpunn.backend.cuda import THREADS, blocks, contiguous, cuda_type, raw
from gpunn.backend.devices import empty
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.creation import cast, convert_to_tensor, one_hot, refuse_sparse
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.indexing import gather
from gpunn.ops.reduce import max as maximum_of
from gpunn.ops.shaping import moveaxis

# --- kernels: x (rows, n), y (rows, classes) ---

_SIZES = (((1, 1), 1), ((3, 7), 5), ((2, 300), 40), ((4, 5), 700), ((3, 0), 4))


def _types(x: Array, weights: Array | None, out: Array, present: bool) -> tuple:
    return cuda_type(x.dtype), cuda_type(out.dtype), "true" if present else "false"


def _launch_encode(x: Array, weights: Array | None, out: Array, present: bool) -> Any:
    arrays = (x, out) if weights is None else (x, weights, out)
    same = weights is None or weights.dtype == out.dtype
    if out.size == 0 or not same or not contiguous(*arrays):
        return NotImplemented
    rows, n = x.shape
    threads = 64 if max(n, out.shape[1]) <= 256 else THREADS
    return (rows,), (threads,), (x, weights, out, np.int32(n), np.int32(out.shape[1])), 0


def _encode_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, classes in _SIZES:
        for integer in ("int32", "int64"):
            x = rng.integers(-1, classes + 1, shape).astype(integer)
            out = unwritten((shape[0], classes), dtype)
            yield (x, None, out), {"present": True}
            yield (x, None, out.copy()), {"present": False}
        yield (x, normal(rng, shape, dtype), out.copy()), {"present": False}


@kernel(
    cuda=raw("encoding.cu", "encode_tokens", _launch_encode, _types),
    examples=_encode_examples,
    dtypes=(*FLOATS, "int32", "int64"),
)
def encode_tokens(xp: Any, x: Array, weights: Array | None, out: Array, present: bool) -> None:
    """out[r, k] = Σ_j w[r, j] · (x[r, j] = k), or, if `present`, 1 where there is such a j"""
    rows, classes = out.shape
    valid = (x >= 0) & (x < classes)
    row = xp.broadcast_to(xp.arange(rows)[:, None], x.shape)[valid]
    if present:
        out[...] = 0
        out[row, x[valid]] = 1
        return
    parts = None if weights is None else weights[valid]
    sums = xp.bincount(row * classes + x[valid], parts, minlength=rows * classes)
    xp.copyto(out, sums.reshape(out.shape), casting="unsafe")


def _launch_weights(x: Array, dy: Array, dw: Array) -> Any:
    if x.size == 0 or not contiguous(x, dy, dw):
        return NotImplemented
    sizes = np.int64(x.size), np.int32(x.shape[1]), np.int32(dy.shape[1])
    return (blocks(x.size),), (THREADS,), (x, dy, dw, *sizes), 0


def _weights_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, classes in _SIZES:
        x = rng.integers(-1, classes + 1, shape).astype("int32")
        yield (x, normal(rng, (shape[0], classes), dtype), unwritten(shape, dtype)), {}


@kernel(
    cuda=raw(
        "encoding.cu", "encode_weights", _launch_weights, lambda x, dy, dw: (x.dtype, dy.dtype)
    ),
    examples=_weights_examples,
)
def encode_weights(xp: Any, x: Array, dy: Array, dw: Array) -> None:
    """dw[r, j] = dy[r, x[r, j]], 0 where x is no class"""
    classes = dy.shape[1]
    valid = (x >= 0) & (x < classes)
    found = xp.take_along_axis(dy, xp.where(valid, x, 0).astype(np.int64), axis=1)
    xp.multiply(found, valid, out=dw)


def _launch_search(sorted_sequence: Array, values: Array, out: Array, right: bool) -> Any:
    if values.size == 0 or not contiguous(sorted_sequence, values, out):
        return NotImplemented
    sizes = np.int32(sorted_sequence.size), np.int64(values.size)
    return (blocks(values.size),), (THREADS,), (sorted_sequence, values, out, *sizes), 0


def _search_types(sorted_sequence: Array, values: Array, out: Array, right: bool) -> tuple:
    return cuda_type(values.dtype), cuda_type(out.dtype), "true" if right else "false"


def _search_examples(rng: np.random.Generator, dtype: str) -> Any:
    for n, shape in ((1, (4,)), (7, (5, 33)), (300, (2, 300)), (6, ())):
        edges = np.sort(np.round(rng.normal(size=n) * 3)).astype(dtype)  # rounded: there are ties
        values = np.asarray(np.round(rng.normal(size=shape) * 3), dtype)
        if values.ndim and values.dtype.kind == "f":
            values.flat[:3] = np.nan, np.inf, -np.inf
        for right in (False, True):
            yield (edges, values, unwritten(shape, "int32")), {"right": right}


@kernel(
    cuda=raw("encoding.cu", "search_sorted", _launch_search, _search_types),
    examples=_search_examples,
    dtypes=(*FLOATS, "int32", "int64"),
)
def search_sorted(xp: Any, sorted_sequence: Array, values: Array, out: Array, right: bool) -> None:
    """out = how many elements of the sequence are < the value (≤, if `right`); all for NaN"""
    found = xp.searchsorted(sorted_sequence, values, side="right" if right else "left")
    xp.copyto(out, found, casting="unsafe")


# --- ops ---


def _encode_rule(
    x: Any, weights: Any, num_classes: int, present: bool = False, dtype: Any = None
) -> Spec:
    shape: SymbolicShape = tuple(x.shape)
    if not shape:
        raise ShapeError("encode_tokens: x has no axis to sum over (x ()). Give a row of integers.")
    if as_dtype(x.dtype).kind not in "iu":
        raise ShapeError(
            f"encode_tokens: x must hold integers, received dtype {as_dtype(x.dtype).name}. Cast "
            f"it to 'int32'."
        )
    if weights is not None and tuple(weights.shape) != shape:
        raise ShapeError(
            f"encode_tokens: weights need the shape of x (weights {tuple(weights.shape)}, x "
            f"{shape}). Give one weight an element."
        )
    return Spec((*shape[:-1], num_classes), as_dtype(dtype if weights is None else weights.dtype))


@op(shape=_encode_rule)
def _encode_tokens(
    x: Array, weights: Array | None, num_classes: int, present: bool = False, dtype: Any = None
) -> Any:
    """y[..., k] = Σ_j w[..., j] · (x[..., j] = k), or, if `present`, 1 where there is such a j."""
    spec = _encode_rule(x, weights, num_classes, present, dtype)
    shape = prod(x.shape[:-1]), x.shape[-1]
    labels = packed(x).reshape(shape)
    rows = None if weights is None else packed(weights).reshape(shape)
    y = empty(spec.shape, spec.dtype, x)
    encode_tokens(labels, rows, y.reshape(shape[0], num_classes), present=present)

    def gradient(dy: Array) -> Array:
        dw = empty(x.shape, dy.dtype, dy)
        encode_weights(labels, packed(dy).reshape(shape[0], num_classes), dw.reshape(shape))
        return dw

    return y, (None, gradient)


def multi_hot(
    inputs: Any,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
) -> Any:
    """1 at the position of each integer of a sample, else 0: (batch, n) -> (batch, num_classes).

    The samples are summed up along axis 1 (of one sample, along axis 0); other integers than 0 to
    `num_classes - 1` leave no trace. `axis` is that of the classes before this summing, as in
    Keras.

    >>> gpunn.ops.multi_hot([0, 4], num_classes=5)
    """
    refuse_sparse("multi_hot", sparse)
    x = _labels("multi_hot", inputs, num_classes)
    if axis in (-1, x.ndim):
        return _encode_tokens(
            _samples(x), None, num_classes=num_classes, present=True, dtype=as_dtype(dtype)
        )
    return maximum_of(one_hot(x, num_classes, axis, dtype), axis=min(1, x.ndim - 1))  # type: ignore[arg-type]


def token_counts(x: Any, num_classes: int, weights: Any = None, dtype: Any = None) -> Any:
    """y[r, k] = Σ_j w[r, j] · (x[r, j] = k), w = 1 unless given: (batch, n) -> (batch, classes).

    With weights y has their dtype and differentiates by them. Axes are those of `multi_hot`.
    """
    x = _samples(_labels("token_counts", x, num_classes))
    if weights is not None:
        weights = _samples(convert_to_tensor(weights))
    return _encode_tokens(x, weights, num_classes=num_classes, dtype=as_dtype(dtype))


def _labels(name: str, x: Any, num_classes: int | None) -> Any:
    if num_classes is None or num_classes < 1:
        raise ValueError(f"{name}: num_classes must be at least 1, received {num_classes!r}.")
    x = convert_to_tensor(x)
    return x if as_dtype(x.dtype).kind in "iu" else cast(x, "int32")


def _samples(x: Any) -> Any:
    """The axis to sum over last; it is axis 1, or 0 of a single sample."""
    return moveaxis(x, 1, -1) if len(x.shape) > 2 else x


def _search_rule(sorted_sequence: Any, values: Any, right: bool) -> Spec:
    if len(sorted_sequence.shape) != 1:
        raise ShapeError(
            f"searchsorted: the sorted sequence must have one axis, received "
            f"{tuple(sorted_sequence.shape)}. Search each row by itself."
        )
    return Spec(tuple(values.shape), np.dtype("int32"))


@op(shape=_search_rule, promotes="common")
def _search_sorted(sorted_sequence: Array, values: Array, right: bool) -> Any:
    out = empty(values.shape, "int32", values)
    search_sorted(packed(sorted_sequence), packed(values), out, right=right)
    return out, None


@op(shape=lambda table, indices: Spec(tuple(indices.shape), as_dtype(table.dtype)))
def entries_of(table: Array, indices: Array) -> Any:
    """y = table[indices], for a table of one axis and indices that are inside of it. Constant."""
    y = empty(indices.shape, table.dtype, table)
    gather(table, y, indices, key=("array",))
    return y, None


def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
    """How many elements of an ascending sequence are < a value (side "right": <=); int32.

    NaN counts as larger than all numbers. The values may have any shape.

    >>> gpunn.ops.searchsorted([1.0, 2.0, 3.0], [2.0, 9.0])
    """
    if side not in ("left", "right"):
        raise unknown_name("side", side, ("left", "right"))
    values = convert_to_tensor(values)
    return _search_sorted(convert_to_tensor(sorted_sequence), values, right=side == "right")


def digitize(x: Any, bins: Any) -> Any:
    """The number of the bin of each element: i where bins[i - 1] <= x < bins[i]; int32.

    >>> gpunn.ops.digitize([0.0, 1.0, 3.0], [0.0, 3.0])
    """
    return searchsorted(bins, x, side="right")
