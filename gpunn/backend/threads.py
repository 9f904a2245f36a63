"""Parts of one kernel on several cores: of its own accord NumPy shares only matrix products.

As many threads work as NumPy's BLAS would take, so ``OMP_NUM_THREADS`` and its like hold for both;
inside a part BLAS keeps to the part's own thread. Parts write to places of their own, so values do
not depend on how they are shared out, unless a kernel says so.

OpenBLAS' own threads wait for more work by spinning, and so take the cores from ours. A step in
which kernels share work therefore shares its products like them, on these threads (`Sharing`); a
step of nothing but products leaves them to BLAS, whose threads are quicker to wake (measured on two
cores: 6.2 against 8.9 ms for a step of the MLP of the benchmarks, 337 against 387 for LSTM(512)).

It pays where a part is a few long calls: matrix products, gathered columns, einsum. Chains of short
ones (elementwise work, normalization) wait for Python's lock at each call, and take longer shared
than on one thread (measured on two cores: Adam over 670 k weights 1.2 ms on one, 1.2 to 2 on two).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import copy_context
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import numpy as np

from gpunn.backend import blas
from gpunn.backend.thread import local

_Work = Callable[[slice], Any]


class _Team:
    """Threads that wait for parts, one team a process."""

    def __init__(self) -> None:
        self.parts: SimpleQueue = SimpleQueue()
        self.size = 0
        self.busy = threading.Lock()

    def hire(self, size: int) -> None:
        """See to it that there are so many."""
        while self.size < size:
            threading.Thread(target=self._serve, name="gpunn", daemon=True).start()
            self.size += 1  # not before: the system may refuse a thread

    def _serve(self) -> None:
        while True:
            part = self.parts.get()
            part.run()
            del part  # it may hold large arrays

    def share(self, work: _Work, slices: list[slice]) -> list[Any]:
        """What `work` returns for each slice, the first computed on this thread."""
        self.hire(len(slices) - 1)
        others = [_Part(work, s) for s in slices[1:]]
        for part in others:
            self.parts.put(part)
        try:
            first = work(slices[0])
        finally:  # nobody may write into the arrays after the return
            _wait_for(others)
        return [first, *(part.result() for part in others)]


class _Part:
    """A slice of the work for another thread, which takes it up with NumPy's error state of now."""

    def __init__(self, work: _Work, part: slice):
        self.work, self.part, self.context = work, part, copy_context()
        self.done = threading.Lock()
        self.done.acquire()
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self.context.run(self.work, self.part)
        except BaseException as error:
            self.error = error
        finally:
            self.done.release()

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def _wait_for(parts: list[_Part]) -> None:
    """Until all are done; a Ctrl-C comes through after that."""
    interrupt = None
    for part in parts:
        while True:
            try:
                part.done.acquire()
                break
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt


_team = _Team()


def _forget_threads() -> None:
    """A forked process has none of its parent's threads."""
    global _team
    _team = _Team()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


class leading:  # noqa: N801
    """Work is shared here: meanwhile BLAS has one thread, in the whole process.

    >>> with leading():
    ...     run_a_step()
    """

    def __enter__(self) -> None:
        self.found = blas.threads()
        if self.found > 1:
            local.threads = self.found
            blas.set_threads(1)

    def __exit__(self, *_: object) -> None:
        if self.found > 1:
            local.threads = 0
            blas.set_threads(self.found)


class Sharing:
    """Runs the same step again and again: `leading`, once its kernels were seen to share work.

    >>> sharing.run(step, batch)
    """

    def __init__(self) -> None:
        self.seen = False

    def run(self, step: Callable[..., Any], *args: Any) -> Any:
        """step(*args)"""
        before = local.shared
        try:
            if not self.seen or local.threads:
                return step(*args)
            with leading():
                return step(*args)
        finally:
            self.seen = self.seen or local.shared > before


def threads(xp: Any) -> int:
    """How many parts `parallel` makes of work that is long enough."""
    return (local.threads or blas.threads()) if xp is np else 1


def parallel(xp: Any, work: _Work, n: int) -> list[Any]:
    """work(part) for slices that together are range(n), at the same time where cores are free."""
    count = min(threads(xp), n)
    team = _team
    if count < 2 or not team.busy.acquire(blocking=False):  # busy: or this is a part itself
        return [work(slice(0, n))]
    cuts = [n * i // count for i in range(count + 1)]
    slices = [slice(a, b) for a, b in pairwise(cuts)]
    local.shared += 1
    try:
        if local.threads:
            return team.share(work, slices)
        with leading():
            return team.share(work, slices)
    finally:
        team.busy.release()


def parallel_products(xp: Any, work: _Work, n: int) -> list[Any]:
    """`parallel` for work that is one product of matrices: on BLAS' own threads but in `leading`"""
    return parallel(xp, work, n) if local.threads else [work(slice(0, n))]
