"""PyDataset: batches by their number, loaded by several threads ahead of training."""

from __future__ import annotations

import contextlib
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np

from gpunn.arguments import is_whole


class PyDataset:
    """Base of data sets that make the batch of a number: override `__getitem__` and `__len__`.

    `__getitem__(i)` gives x, (x, y) or (x, y, sample_weight). `num_batches` is `len(self)`; a
    subclass may return None from it for a stream without end. `on_epoch_begin` and `on_epoch_end`
    are called around each pass.

    `workers` > 1: that many threads make the batches, at most `max_queue_size` of them ahead, and
    they come in order. NumPy and file access run side by side in threads; `use_multiprocessing` is
    not there.

    >>> class Halves(gpunn.utils.PyDataset):
    ...     def __len__(self):
    ...         return 2
    ...
    ...     def __getitem__(self, index):
    ...         return x[50 * index : 50 * (index + 1)], y[50 * index : 50 * (index + 1)]
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ):
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    #: Of subclasses that do not call `super().__init__()`: Keras warns of them, and goes on.
    _settings = (("workers", 1), ("use_multiprocessing", False), ("max_queue_size", 10))

    def __getattr__(self, name: str) -> Any:
        default = dict(PyDataset._settings).get(name.removeprefix("_"))
        if not name.startswith("_") or default is None:
            raise AttributeError(f"'{type(self).__name__}' has no attribute '{name}'.")
        warnings.warn(
            f"{type(self).__name__}.__init__() should call super().__init__(**kwargs), which takes "
            f"workers, use_multiprocessing and max_queue_size.",
            stacklevel=3,
        )
        for setting, value in PyDataset._settings:
            vars(self).setdefault(f"_{setting}", value)
        return default

    @property
    def workers(self) -> int:
        """How many threads make batches; 0 and 1: none beside the one that trains."""
        return self._workers

    @workers.setter
    def workers(self, value: int) -> None:
        self._workers = _whole("workers", value, least=0)

    @property
    def use_multiprocessing(self) -> bool:
        """False: workers are threads."""
        return self._use_multiprocessing

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        if value:
            raise NotImplementedError(
                "PyDataset: use_multiprocessing=True is not there. Give workers=4 alone: threads "
                "make the batches then, which NumPy and file access let run side by side."
            )
        self._use_multiprocessing = False

    @property
    def max_queue_size(self) -> int:
        """How many batches the workers make ahead at most."""
        return self._max_queue_size

    @max_queue_size.setter
    def max_queue_size(self, value: int) -> None:
        self._max_queue_size = _whole("max_queue_size", value, least=1)

    def __getitem__(self, index: int) -> Any:
        """The batch of this number."""
        raise NotImplementedError(f"{type(self).__name__} must override __getitem__(index).")

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None of a stream without end."""
        if hasattr(type(self), "__len__"):
            return len(self)
        raise NotImplementedError(
            f"{type(self).__name__} must override __len__(), or num_batches, which returns None "
            f"for a stream without end."
        )

    def on_epoch_begin(self) -> None:
        """Called before each pass."""

    def on_epoch_end(self) -> None:
        """Called after each pass, for example to shuffle."""

    def __iter__(self) -> Iterator[Any]:
        return self.batches()

    def batches(self, order: np.random.Generator | None = None) -> Iterator[Any]:
        """One pass in order, or in the order of a generator; made by the workers, if there are."""
        number = self.num_batches
        indices: Iterable[int] = count() if number is None else range(number)
        if order is not None and number is not None:
            indices = order.permutation(number).tolist()
        if self.workers <= 1:
            yield from map(self.__getitem__, indices)
        else:
            yield from self._ahead(indices)

    def _ahead(self, indices: Iterable[int]) -> Iterator[Any]:
        """The batches of these numbers in order, made by threads."""
        pending: deque[Future] = deque()
        waiting = iter(indices)
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="gpunn-data")
        try:
            while True:
                with contextlib.suppress(StopIteration):
                    while len(pending) < self.max_queue_size:
                        pending.append(pool.submit(self.__getitem__, next(waiting)))
                if not pending:
                    return
                yield pending.popleft().result()
        finally:  # also after an error, or when nobody asks for more
            pool.shutdown(wait=True, cancel_futures=True)


Sequence = PyDataset


def _whole(name: str, value: Any, least: int) -> int:
    if not is_whole(value, least):
        raise ValueError(
            f"PyDataset: {name} must be an integer of at least {least}, received {value!r}."
        )
    return int(value)
