"""Optimizers: how weights follow gradients. Keras' names, arguments and defaults."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from gpunn import objects
from gpunn.objects import CustomObjectScope, by_names, lookup
from gpunn.optimizers import schedules
from gpunn.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from gpunn.optimizers.loss_scale import LossScaleOptimizer
from gpunn.optimizers.matrices import Adafactor, Muon
from gpunn.optimizers.methods import SGD, Adadelta, Adagrad, Ftrl, Lion, RMSprop
from gpunn.optimizers.multi import MultiOptimizer, OptimizerMap
from gpunn.optimizers.optimizer import Optimizer

_CLASSES = (
    SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Adafactor, Ftrl, Lion, Lamb, Muon,
    ScheduleFreeAdamW, LossScaleOptimizer, MultiOptimizer,
)  # fmt: skip
_TABLE = by_names(*_CLASSES, **{cls.__name__.lower(): cls for cls in _CLASSES})


def get(identifier: Any) -> Any:
    """The optimizer of a name (``"adam"``), config, class or instance; None stays None."""
    if identifier is None or isinstance(identifier, Optimizer):
        return identifier
    found = lookup("optimizer", identifier, _TABLE)
    if not isinstance(found, Optimizer):
        raise ValueError(
            f"Cannot interpret {identifier!r} as an optimizer. Give a name or an Optimizer."
        )
    return found


def serialize(optimizer: Optimizer) -> Any:
    """``{"class_name": ..., "config": ...}`` of an optimizer."""
    return objects.serialize(optimizer)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Optimizer:
    """An optimizer from ``{"class_name": ..., "config": ...}``; `custom_objects` adds classes."""
    with CustomObjectScope(custom_objects) if custom_objects else nullcontext():
        return get(config)


__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
