"""What a layer's `call` and `build` accept, read once per class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple


class CallSignature(NamedTuple):
    """The parameters of `call`, without self."""

    names: tuple[str, ...]
    training: bool  # it takes `training`
    mask: bool  # it takes `mask`


@cache
def call_signature(call: Callable[..., Any]) -> CallSignature:
    """The signature of an unbound `call` method."""
    parameters = list(inspect.signature(call).parameters.values())[1:]
    names = tuple(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)
    return CallSignature(names, "training" in names, "mask" in names)


@cache
def build_parameters(build: Callable[..., Any]) -> tuple[str, ...]:
    """The names of an unbound `build` method's parameters, without self."""
    return tuple(inspect.signature(build).parameters)[1:]
