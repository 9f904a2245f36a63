"""Dtype policies: in which dtype a layer computes, and in which it keeps its weights."""

from __future__ import annotations

from typing import Any

from gpunn.config import DTypePolicy, dtype_policy, set_dtype_policy

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


def serialize(policy: DTypePolicy) -> dict[str, Any]:
    """A plain description of a policy."""
    return {"class_name": "DTypePolicy", "config": policy.get_config()}


def deserialize(config: dict[str, Any]) -> DTypePolicy:
    """The policy of a description."""
    return DTypePolicy.from_config(config.get("config", config))


__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "dtype_policy", "get", "serialize",
           "set_dtype_policy"]  # fmt: skip
