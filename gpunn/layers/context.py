"""The call in progress: the `training` flag and the losses that layers add on the way."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import is_float
from gpunn.autodiff.tape import state, uncast
from gpunn.autodiff.variable import Variable
from gpunn.ops.creation import cast


class _Calls(threading.local):
    training: bool | None = None  # None outside of any call
    depth = 0

    def __init__(self) -> None:
        self.losses: list[Any] = []  # what the layers of the outermost call have added


calls = _Calls()


class layer_call:  # noqa: N801
    """Enter a layer's call. An explicit `training` holds for everything called inside.

    `autocast`: the dtype in which ops of the layer read its float variables, None: their own.
    The outermost call begins a new list of losses. The state before is restored in any case.
    """

    __slots__ = ("autocast", "outer", "training")

    def __init__(self, training: bool | None, autocast: np.dtype | None = None):
        self.training, self.autocast = training, autocast

    def __enter__(self) -> None:
        self.outer = calls.training, state.read, state.autocast
        state.read = state.substitute if self.autocast is None else self._cast
        state.autocast = self.autocast
        if calls.depth == 0:
            calls.losses = []
        calls.depth += 1
        if self.training is not None:
            calls.training = self.training

    def __exit__(self, *_: object) -> None:
        calls.depth -= 1
        calls.training, state.read, state.autocast = self.outer

    def _cast(self, x: Any) -> Any:
        cast_it = isinstance(x, Variable) and x.autocast and is_float(x.data.dtype)
        if state.substitute is not None:
            x = state.substitute(x)
        if not cast_it:
            return x
        with uncast():  # `cast` reads x, too
            return cast(x, self.autocast)


class outside_calls:  # noqa: N801
    """Inside, no layer is being called: what `build` does is not part of a call's computation."""

    __slots__ = ("before", "uncast")

    def __enter__(self) -> None:
        self.before, self.uncast = (calls.training, calls.depth, calls.losses), uncast()
        calls.training, calls.depth = None, 0
        self.uncast.__enter__()

    def __exit__(self, *_: object) -> None:
        self.uncast.__exit__()
        calls.training, calls.depth, calls.losses = self.before
