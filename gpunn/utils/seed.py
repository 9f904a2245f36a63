"""One seed for everything."""

from __future__ import annotations

import numpy as np

from gpunn import seeding


def set_random_seed(seed: int) -> None:
    """Seed Python's `random`, NumPy's global generator and gpunn.

    Afterwards initial weights, dropout and shuffles repeat bit for bit, the same on both backends.

    >>> gpunn.utils.set_random_seed(812)
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be an integer in [0, 2**32), received {seed!r}.")
    import random

    random.seed(seed)
    np.random.seed(seed)
    seeding.set_seed(seed)
