"""Batches: a data set in the host's memory or files, made anew in each pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gpunn.arguments import whole_number
from gpunn.backend.random import host_generator
from gpunn.seeding import next_seed


class Batches:
    """Samples 0 to `size` - 1 in batches: what `fit`, `evaluate`, `predict` and `adapt` take.

    `make(rows)` gives the batch (x, or (x, y)) of an array of sample numbers. With `shuffle` each
    pass has an order of its own; equal seeds give equal orders. `batch_size` None gives one sample
    at a time. `len` is the number of batches.

    >>> train = train.map(lambda texts, labels: (vectorize(texts), labels))
    """

    def __init__(
        self,
        size: int,
        make: Callable[[np.ndarray], Any],
        batch_size: int | None = 32,
        shuffle: bool = False,
        seed: int | None = None,
        class_names: list[str] | None = None,
        file_paths: list[str] | None = None,
    ):
        self.size = size
        self.batch_size = None if batch_size is None else whole_number("batch_size", batch_size)
        self.class_names = class_names
        self.file_paths = file_paths
        self._make = make
        self._shuffle = shuffle
        self._seed = (next_seed() if seed is None else seed) if shuffle else 0
        self._passes = 0
        self._functions: tuple[Callable[..., Any], ...] = ()

    def __len__(self) -> int:
        return -(-self.size // (self.batch_size or 1))

    def __iter__(self) -> Iterator[Any]:
        order = np.arange(self.size)
        if self._shuffle:
            order = host_generator(self._seed % 2**32, self._passes).permutation(self.size)
            self._passes += 1
        step = self.batch_size or 1
        for start in range(0, self.size, step):
            batch = self._make(order[start : start + step])
            if self.batch_size is None:
                batch = tuple(b[0] for b in batch) if isinstance(batch, tuple) else batch[0]
            for function in self._functions:
                batch = function(*batch) if isinstance(batch, tuple) else function(batch)
            yield batch

    def map(self, function: Callable[..., Any]) -> Batches:
        """The same batches after a function of x, or of x and y, that gives x, or (x, y)."""
        other = self._like(self.batch_size)
        other._functions = (*self._functions, function)
        return other

    def batch(self, batch_size: int) -> Batches:
        """The same samples in batches of this size."""
        if self._functions:
            raise ValueError("batch() comes before map(): functions take whole batches.")
        return self._like(batch_size)

    def _like(self, batch_size: int | None) -> Batches:
        other = Batches(
            self.size, self._make, batch_size, False, 0, self.class_names, self.file_paths
        )
        other._shuffle, other._seed, other._functions = self._shuffle, self._seed, self._functions
        return other


def check_format(name: str, given: str) -> None:
    """Keras' `format` chooses a library's data set; here there is one kind."""
    if given != "numpy":
        raise ValueError(
            f"{name}: format must be 'numpy', received {given!r}. The batches are NumPy arrays, "
            f"which every library takes."
        )
