"""Windows that slide over a time series."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.utils.batches import Batches, check_format


def _steps(value: Any) -> np.ndarray:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def _check(name: str, value: Any, least: int, most: int, why: str) -> None:
    if not is_whole(value, least) or value > most:
        raise ValueError(
            f"timeseries_dataset_from_array: `{name}` must be an integer from {least} to {most} "
            f"({why}), received {value!r}."
        )


def _range(n: int, start_index: int | None, end_index: int | None) -> tuple[int, int]:
    """The first step that is used and the one after the last."""
    first, last = 0, n
    if start_index is not None:
        _check("start_index", start_index, 0, n - 1, "a step of the data")
        first = start_index
    if end_index is not None:
        _check("end_index", end_index, first + 1, n - 1, "between start_index and the last step")
        last = end_index
    return first, last


def _with_targets(starts: np.ndarray, answers: np.ndarray, n: int, first: int) -> np.ndarray:
    """The starts below the number of targets, as in Keras; each needs its target."""
    starts = starts[starts < n]
    if not len(starts) or starts[-1] >= len(answers):
        raise ShapeError(
            f"timeseries_dataset_from_array: {starts.max(initial=0) + 1} targets from start_index "
            f"{first} on are needed, received {len(answers)}. targets[i] is that of the window "
            f"from step i."
        )
    return starts


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "numpy",
) -> Batches:
    """Windows of a series (steps, ...) with their targets, in batches.

    Window w holds the steps s, s + r, ..., s + (L - 1) r, where s = start_index + w ·
    sequence_stride, r = sampling_rate and L = sequence_length; its target is targets[s]. Batches
    are (windows, targets), or, without targets, the windows: (batch, L, ...).

    >>> data = gpunn.utils.timeseries_dataset_from_array(x[:-10], x[10:], sequence_length=10)
    >>> model.fit(data)
    """
    check_format("timeseries_dataset_from_array", format)
    data = _steps(data)
    first, last = _range(len(data), start_index, end_index)
    _check("sequence_length", sequence_length, 1, len(data), "the length of the data")
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        _check(name, value, 1, len(data) - 1, "less than the length of the data")
    part = data[first:last]
    windows = last - first - (sequence_length - 1) * sampling_rate
    if windows < 1:
        raise ValueError(
            f"timeseries_dataset_from_array: no window of {sequence_length} steps at a "
            f"sampling_rate of {sampling_rate} fits into {last - first} steps. Shorten it."
        )
    starts = np.arange(0, windows, sequence_stride)
    answers = None
    if targets is not None:
        answers = _steps(targets)[first:last]
        starts = _with_targets(starts, answers, len(targets), first)
    within = np.arange(sequence_length) * sampling_rate

    def make(rows: np.ndarray) -> Any:
        begin = starts[rows]
        x = part[begin[:, None] + within]
        return x if answers is None else (x, answers[begin])

    return Batches(len(starts), make, batch_size, shuffle, seed)
