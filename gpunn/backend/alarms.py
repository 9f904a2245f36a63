"""Alarms: what kernels on a GPU have to tell the host, told when the host next reads a value.

A kernel cannot raise. One that meets an index out of range notes it in an array on the device,
which no step waits for; the transfer of a result to the host (a metric, a prediction, a weight)
looks there, and raises what the CPU would have raised at once.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from gpunn.backend.protocol import Array

_NOTHING = (0, -1)


class IndexAlarm:
    """The range of the indices below 0 or from `limit` on that were met; `owner` met them."""

    def __init__(self, backend: Any, owner: str, limit: int):
        self.backend, self.owner, self.limit = backend, owner, limit
        #: The lowest, and the highest of them; (0, -1) where there was none.
        self.range: Array = backend.xp.asarray(np.array(_NOTHING, np.int64))
        _alarms.add(self)

    def check(self) -> None:
        """Raise if there was one, once."""
        lowest, highest = self.range.get().tolist()
        if (lowest, highest) != _NOTHING:
            self.range[0], self.range[1] = _NOTHING
            raise out_of_range(self.owner, min(lowest, 0), max(highest, 0), self.limit)


_alarms: weakref.WeakSet[IndexAlarm] = weakref.WeakSet()


def check_alarms(backend: Any) -> None:
    """Raise what kernels of this device had to tell."""
    for alarm in list(_alarms):
        if alarm.backend is backend:
            alarm.check()


def out_of_range(owner: str, lowest: int, highest: int, limit: int) -> IndexError:
    """The error for indices between `lowest` and `highest`, of which one is not in [0, limit)."""
    found = [str(lowest)] if lowest < 0 else []
    found += [str(highest)] if highest >= limit else []
    numbers = f"indices {found[0]} and {found[1]} are" if found[1:] else f"index {found[0]} is"
    remedy = "Negative indices do not count from the end here."
    if highest >= limit:
        remedy = f"Give it at least {highest + 1} rows, or map unknown indices to one it has."
    return IndexError(
        f"{owner}: {numbers} out of range: the table has {limit} rows, so indices must be from 0 "
        f"to {limit - 1}. {remedy}"
    )
