"""Dtype policies: in which dtype a layer computes, and in which it keeps its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn.config import DTypePolicy, dtype_policy, set_dtype_policy
from gpunn.objects import get_registered_object

FloatDTypePolicy = DTypePolicy


def get(identifier: Any) -> DTypePolicy:
    """The policy of a name, dtype, config or policy; None is the global one.

    >>> gpunn.dtype_policies.get("mixed_float16").compute_dtype
    'float16'
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    return DTypePolicy(
        getattr(identifier, "name", None) or getattr(identifier, "__name__", identifier)
    )


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """A plain description of a policy."""
    return {"class_name": type(dtype_policy).__name__, "config": dtype_policy.get_config()}


def deserialize(
    config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> DTypePolicy:
    """The policy of a description; `custom_objects` adds classes of one's own by name."""
    name = config.get("class_name", "DTypePolicy")
    cls = get_registered_object(name, custom_objects) or DTypePolicy
    return cls.from_config(config.get("config", config))


__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "dtype_policy", "get", "serialize",
           "set_dtype_policy"]  # fmt: skip
