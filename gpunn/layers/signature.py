"""What a layer's `call` and `build` accept, read once per class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from gpunn.tree import flatten


class CallSignature(NamedTuple):
    """The parameters of `call`, without self."""

    names: tuple[str, ...]
    training: bool  # it takes `training`
    training_default: Any  # what that is where nobody says
    mask: bool  # it takes `mask`, that of its first argument
    other_masks: tuple[tuple[int, str], ...]  # position of an argument, and `<argument>_mask`


@cache
def call_signature(call: Callable[..., Any]) -> CallSignature:
    """The signature of an unbound `call` method."""
    parameters = list(inspect.signature(call).parameters.values())[1:]
    names = tuple(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)
    others = tuple((i, f"{n}_mask") for i, n in enumerate(names) if f"{n}_mask" in names)
    default = next((p.default for p in parameters if p.name == "training"), False)
    default = False if default is inspect.Parameter.empty else default
    return CallSignature(names, "training" in names, default, "mask" in names, others)


@cache
def build_parameters(build: Callable[..., Any]) -> dict[str, bool]:
    """The parameters of an unbound `build` method, without self, and whether each must be given."""
    parameters = list(inspect.signature(build).parameters.values())[1:]
    return {p.name: p.default is p.empty for p in parameters}


def mask_of(value: Any) -> Any:
    """The mask of a tensor, or a container of masks like a container of tensors; None if none."""
    if isinstance(value, (list, tuple)):
        masks = [mask_of(v) for v in value]
        return masks if any(m is not None for m in masks) else None
    if isinstance(value, dict):
        named = {k: mask_of(v) for k, v in value.items()}
        return named if any(m is not None for m in named.values()) else None
    return getattr(value, "_keras_mask", None)


def attach_masks(outputs: Any, masks: Any) -> None:
    """Give each tensor of the outputs its mask, where it has none of its own."""
    for output, mask in zip(flatten(outputs), flatten(masks)):
        if getattr(output, "_keras_mask", mask) is None:
            output._keras_mask = mask
