"""The process' sequence of seeds: whoever is given no seed takes the next one of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.arguments import is_whole

_sequence: Any = None  # made at first use: importing np.random takes as long as much of gpunn


def set_seed(seed: int | None) -> None:
    """Start the sequence anew: equal seeds give equal sequences, None one of its own.

    >>> gpunn.seeding.set_seed(1)
    """
    global _sequence
    if seed is not None and not is_whole(seed, 0):
        raise ValueError(f"The seed must be a non-negative integer or None, received {seed!r}.")
    _sequence = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))


def next_seed() -> int:
    """The next seed of the sequence, from 0 to 2³² - 1."""
    if _sequence is None:
        set_seed(None)  # by the operating system
    return int(_sequence.integers(1 << 32))
