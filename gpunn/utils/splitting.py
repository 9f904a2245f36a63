"""split_dataset: one data set as two."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import numpy as np

from gpunn import tree
from gpunn.utils.batches import Batches

_NAME = "split_dataset"


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Batches, Batches]:
    """Two data sets of the first and the last samples, as batches of one sample each.

    `dataset`: an array, a list or tuple of arrays of one length, or an iterable of samples, which
    is read at once. Sizes are shares (0 to 1) or numbers of samples; one that is
    not given is what the other leaves. `shuffle`: mix the samples before. There is one kind of data
    set, so `preferred_backend` must be None.

    >>> train, test = gpunn.utils.split_dataset((x, y), left_size=0.8, shuffle=True, seed=1)
    """
    if preferred_backend is not None:
        raise ValueError(
            f"{_NAME}: preferred_backend must be None, received {preferred_backend!r}. The parts "
            f"are batches of NumPy arrays, which every library takes."
        )
    arrays = _arrays(dataset)
    total = len(tree.flatten(arrays)[0])
    left, right = _sizes(total, left_size, right_size)
    order = list(range(total))
    if shuffle:
        random.Random(seed).shuffle(order)
    rows = np.asarray(order, np.int64)
    return _part(arrays, rows[:left]), _part(arrays, rows[total - right :])


def _part(arrays: Any, rows: np.ndarray) -> Batches:
    def make(numbers: np.ndarray) -> Any:
        return tree.map_structure(lambda array: array[rows[numbers]], arrays)

    return Batches(len(rows), make, batch_size=None)


def _arrays(dataset: Any) -> Any:
    """The data set as an array or a structure of arrays of one length."""
    if hasattr(dataset, "__array__"):
        arrays: Any = np.asarray(dataset)
    elif isinstance(dataset, (list, tuple)):
        arrays = tuple(np.asarray(part) for part in dataset)
    elif isinstance(dataset, Iterable) and not isinstance(dataset, (str, bytes, dict)):
        samples = list(dataset)
        arrays = tree.map_structure(lambda *leaves: np.stack(leaves), *samples) if samples else ()
    else:
        raise TypeError(
            f"{_NAME}: dataset must be arrays or an iterable of samples, received "
            f"{type(dataset).__name__}."
        )
    if not tree.flatten(arrays) or any(array.ndim == 0 for array in tree.flatten(arrays)):
        raise ValueError(f"{_NAME}: the dataset holds no samples. Give arrays with a batch axis.")
    lengths = {len(array) for array in tree.flatten(arrays)}
    if len(lengths) != 1:
        raise ValueError(
            f"{_NAME}: all arrays must have the same number of samples, received "
            f"{[len(array) for array in tree.flatten(arrays)]}."
        )
    return arrays


def _sizes(total: int, left: float | None, right: float | None) -> tuple[int, int]:
    """The numbers of samples on both sides."""
    if left is None and right is None:
        raise ValueError(f"{_NAME}: give left_size or right_size, received None for both.")
    for name, size in (("left_size", left), ("right_size", right)):
        if size is None:
            continue
        if isinstance(size, bool) or not isinstance(size, (int, float, np.number)):
            raise TypeError(f"{_NAME}: {name} must be an int, a float or None, received {size!r}.")
        limit = 1 if isinstance(size, float) else total
        if not 0 < size < limit:
            raise ValueError(
                f"{_NAME}: {name} must be a share between 0 and 1 or a number between 0 and "
                f"{total}, the number of samples, received {size!r}."
            )
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ValueError(
            f"{_NAME}: left_size + right_size must be at most 1, received {left + right}."
        )
    first = round(left * total) if isinstance(left, float) else left
    last = round(right * total) if isinstance(right, float) else right
    if first is None:
        first = total - last  # type: ignore[operator]
    if last is None:
        last = total - first
    if first + last > total or not first or not last:
        raise ValueError(
            f"{_NAME}: {total} samples cannot be split into {first} and {last}. Give other sizes."
        )
    return int(first), int(last)
