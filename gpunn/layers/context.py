"""The call in progress: the `training` flag and the losses that layers add on the way."""

from __future__ import annotations

import threading
from typing import Any


class _Calls(threading.local):
    training: bool | None = None  # None outside of any call
    depth = 0

    def __init__(self) -> None:
        self.losses: list[Any] = []  # what the layers of the outermost call have added


calls = _Calls()


class layer_call:  # noqa: N801
    """Enter a layer's call. An explicit `training` holds for everything called inside.

    The outermost call begins a new list of losses. The state before is restored in any case.
    """

    __slots__ = ("outer", "training")

    def __init__(self, training: bool | None):
        self.training = training

    def __enter__(self) -> None:
        self.outer = calls.training
        if calls.depth == 0:
            calls.losses = []
        calls.depth += 1
        if self.training is not None:
            calls.training = self.training

    def __exit__(self, *_: object) -> None:
        calls.depth -= 1
        calls.training = self.outer
