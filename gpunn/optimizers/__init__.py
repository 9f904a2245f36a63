"""Optimizers: how weights follow gradients. Keras' names, arguments and defaults."""

from typing import Any

from gpunn.objects import by_names, lookup
from gpunn.objects import serialize as serialize
from gpunn.optimizers import schedules
from gpunn.optimizers.methods import SGD, Adagrad, Adam, AdamW, RMSprop
from gpunn.optimizers.optimizer import Optimizer

_TABLE = by_names(SGD, RMSprop, Adagrad, Adam, AdamW, rmsprop=RMSprop, sgd=SGD, adamw=AdamW)


def get(identifier: Any) -> Optimizer:
    """The optimizer of a name (``"adam"``), config, class or instance."""
    if isinstance(identifier, Optimizer):
        return identifier
    found = lookup("optimizer", identifier, _TABLE)
    if not isinstance(found, Optimizer):
        raise ValueError(
            f"Cannot interpret {identifier!r} as an optimizer. Give a name or an Optimizer."
        )
    return found


def deserialize(config: dict[str, Any]) -> Optimizer:
    """An optimizer from ``{"class_name": ..., "config": ...}``."""
    return get(config)


__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
