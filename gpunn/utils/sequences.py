"""Sequences of different lengths as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.errors import ShapeError, unknown_name


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences (length, ...) as one array (samples, maxlen, ...), filled up with `value`.

    `padding` and `truncating`, "pre" or "post": at which end values are added, or dropped where a
    sequence is longer than `maxlen` (None: the longest one's length).

    >>> gpunn.utils.pad_sequences([[1], [2, 3], [4, 5, 6]])
    """
    _check(sequences, dtype, padding, truncating, value)
    length = max(map(len, sequences), default=0) if maxlen is None else maxlen
    if not is_whole(length, 0):
        raise ValueError(f"pad_sequences: maxlen must be at least 0, received {maxlen!r}.")
    rest = next((np.shape(s)[1:] for s in sequences if len(s)), ())
    out = np.full((len(sequences), length, *rest), value, dtype)
    for i, s in enumerate(sequences):
        kept = s[max(len(s) - length, 0) :] if truncating == "pre" else s[:length]
        if not len(kept):
            continue
        row = np.asarray(kept, dtype)
        if row.shape[1:] != rest:
            raise ShapeError(
                f"pad_sequences: steps of one shape are needed; the sequence at position {i} has "
                f"steps {row.shape[1:]}, the first one {rest}. Reshape it."
            )
        start = length - len(row) if padding == "pre" else 0
        out[i, start : start + len(row)] = row
    return out


def _check(sequences: Any, dtype: Any, padding: str, truncating: str, value: Any) -> None:
    for name, where in (("padding", padding), ("truncating", truncating)):
        if where not in ("pre", "post"):
            raise unknown_name(f"{name} of pad_sequences", where, ("pre", "post"))
    if not hasattr(sequences, "__len__"):
        raise ValueError(
            f"pad_sequences: `sequences` must be a list of sequences, received "
            f"{type(sequences).__name__}. Make a list of it."
        )
    for i, s in enumerate(sequences):
        if not hasattr(s, "__len__"):
            raise ValueError(
                f"pad_sequences: `sequences` must be a list of iterables, found {s!r} at position "
                f"{i}. Wrap single sequences in a list."
            )
    if isinstance(value, str) and np.dtype(dtype).kind not in "OUS":
        raise ValueError(
            f"pad_sequences: dtype {dtype} does not hold the value {value!r}. Give dtype=object "
            f"for strings of any length."
        )
