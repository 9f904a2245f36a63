"""Keras' names: snake_case and unique in the process (`dense`, `dense_1`, ...)."""

from __future__ import annotations

import re
from collections import Counter

_counts: Counter[str] = Counter()


def to_snake_case(name: str) -> str:
    """``"MaxPooling2D"`` becomes ``"max_pooling2d"``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def next_number(base: str) -> int:
    """1, 2, 3, ... for each base."""
    _counts[base] += 1
    return _counts[base]


def unique_name(base: str) -> str:
    """`base`, and from the second time on `base_1`, `base_2`, ..."""
    seen = next_number(base) - 1
    return base if seen == 0 else f"{base}_{seen}"


def reset_names() -> None:
    """Start numbering anew (`utils.clear_session`)."""
    _counts.clear()
