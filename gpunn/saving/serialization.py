"""Keras' description of objects: dicts, lists, strings and numbers that JSON can hold.

An object is ``{"module", "class_name", "config", "registered_name"}``; gpunn's own are described as
Keras' ("keras.layers"), so that descriptions go both ways. A description only chooses among public
classes and functions of gpunn and what the user has registered: it imports and runs nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from types import EllipsisType, FunctionType
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.objects import (
    Configurable,
    custom_object_scope,
    get_registered_name,
    get_registered_object,
    objects_in_scope,
)

#: Where a description may find things: classes with a config, and, in the last, functions.
_CLASSES = (
    "layers", "models", "initializers", "regularizers", "constraints", "optimizers",
    "optimizers.schedules", "losses", "metrics", "random", "dtype_policies",
)  # fmt: skip
_FUNCTIONS = ("activations", "losses", "metrics")
_OTHER_NAMES = {"Functional": "Model"}  # what Keras calls a model made of inputs and outputs
_PLAIN = (str, int, float, bool)


# --- objects to descriptions ---


def serialize_keras_object(obj: Any) -> Any:
    """The description of an object with `get_config()`, a function, an array, or nested ones.

    >>> gpunn.saving.serialize_keras_object(gpunn.layers.Dense(3))
    """
    if obj is None or isinstance(obj, _PLAIN):
        return obj
    if isinstance(obj, (list, tuple)):
        parts = [serialize_keras_object(part) for part in obj]
        return tuple(parts) if isinstance(obj, tuple) else parts
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    if (value := _special(obj)) is not None:
        return value
    if isinstance(obj, FunctionType):
        return _described_function(obj)
    if hasattr(obj, "get_config") and not isinstance(obj, type):
        return _described(obj)
    if hasattr(obj, "__name__"):
        return _described_function(obj)
    raise TypeError(
        f"Cannot describe {obj!r} ({type(obj).__name__}): it has no get_config() and no name."
    )


def _special(obj: Any) -> Any:
    """The description of values that JSON does not know; None of others."""
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, slice):
        ends = {name: serialize_keras_object(getattr(obj, name)) for name in _SLICE}
        return {"class_name": "__slice__", "config": ends}
    if isinstance(obj, EllipsisType):
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, SymbolicTensor):
        config = {"shape": obj.shape, "dtype": obj.dtype, "keras_history": None}
        return {"class_name": "__keras_tensor__", "config": config}
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, np.ndarray) and obj.ndim == 0:
        return obj.item()
    if isinstance(obj, (np.ndarray, Tensor)):
        values = obj.numpy() if isinstance(obj, Tensor) else obj
        kind = "__tensor__" if isinstance(obj, Tensor) else "__numpy__"
        return {
            "class_name": kind,
            "config": {"value": values.tolist(), "dtype": values.dtype.name},
        }
    return obj.name if isinstance(obj, np.dtype) else None


_SLICE = ("start", "stop", "step")


def _described(obj: Any) -> dict[str, Any]:
    cls = type(obj)
    registered = get_registered_name(cls)
    found = {
        "module": _namespace(cls),
        "class_name": cls.__name__,
        "config": serialize_keras_object(obj.get_config()),
        "registered_name": None if registered == cls.__name__ else registered,
    }
    if found["module"] is None:
        found["registered_name"] = registered
    return found


def _described_function(function: Any) -> dict[str, Any]:
    name = get_registered_name(function)
    if name == "<lambda>":
        raise ValueError(
            "A lambda has no name by which it can be found again. Write a function with def, and "
            "decorate it with @gpunn.saving.register_keras_serializable()."
        )
    found = {"module": "builtins", "class_name": "function", "config": name}
    return {**found, "registered_name": "function"}


def _namespace(cls: type) -> str | None:
    """Keras' name of the public module that has a class of gpunn's own."""
    if cls.__module__.startswith("gpunn."):
        for name in _CLASSES:
            if getattr(_public(name), cls.__name__, None) is cls:
                return f"keras.{name}"
    return None


def _public(namespace: str) -> Any:
    """A public module of gpunn, or nothing where this version has none."""
    try:
        return import_module(f"gpunn.{namespace}")
    except ModuleNotFoundError:
        return None


# --- descriptions to objects ---


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """The object of a description, Keras' or gpunn's; `custom_objects` adds names of one's own.

    Descriptions that carry code (Keras' lambdas) are refused in either `safe_mode`.

    >>> config = gpunn.saving.serialize_keras_object(gpunn.layers.Dense(3))
    >>> gpunn.saving.deserialize_keras_object(config)
    """
    custom = dict(custom_objects or {})

    def again(value: Any) -> Any:
        return deserialize_keras_object(value, custom, safe_mode)

    if isinstance(config, str) and (found := get_registered_object(config, custom)) is not None:
        return found
    if config is None or isinstance(config, _PLAIN):
        return config
    if isinstance(config, (list, tuple)):
        return [again(part) for part in config]
    if not isinstance(config, Mapping):
        raise TypeError(f"Cannot read the description {config!r}: it is no dict, list or number.")
    if "class_name" not in config or "config" not in config:
        return {key: again(value) for key, value in config.items()}
    name, inner = config["class_name"], config["config"]
    if name in _SPECIAL:
        return _SPECIAL[name]({key: again(value) for key, value in (inner or {}).items()})
    if name == "__lambda__":
        raise ValueError(
            "The description holds the code of a Python lambda, which gpunn never runs. Save the "
            "model with a function that is registered by register_keras_serializable()."
        )
    if name == "function":
        return _found(inner, config, custom)
    return _rebuilt(_found(name, config, custom), config, custom)


_SPECIAL = {
    "__bytes__": lambda c: c["value"].encode("utf-8"),
    "__slice__": lambda c: slice(*(c[name] for name in _SLICE)),
    "__ellipsis__": lambda c: ...,
    "__numpy__": lambda c: np.array(c["value"], as_dtype(c["dtype"])),
    "__tensor__": lambda c: Tensor(np.array(c["value"], as_dtype(c["dtype"]))),
    "__keras_tensor__": lambda c: SymbolicTensor(tuple(c["shape"]), c["dtype"]),
}


def _rebuilt(cls: Any, config: Mapping[str, Any], custom: Mapping[str, Any]) -> Any:
    if isinstance(cls, FunctionType):
        return cls
    if not hasattr(cls, "from_config"):
        raise TypeError(f"Class {cls.__name__} needs a class method from_config(config).")
    inner = config["config"] or {}
    if not isinstance(inner, Mapping):
        raise TypeError(f"The config of {cls.__name__} must be a dict, received {inner!r}.")
    with custom_object_scope({**custom, **objects_in_scope()}):
        obj = cls.from_config(dict(inner))
        for part in ("build", "compile"):
            method = getattr(type(obj), f"{part}_from_config", None)
            if config.get(f"{part}_config") and method is not None:
                method(obj, config[f"{part}_config"])
    return obj


def _found(name: Any, config: Mapping[str, Any], custom: Mapping[str, Any]) -> Any:
    """The class or function of a name: a user's own, else one of gpunn's public ones."""
    if not isinstance(name, str):
        raise TypeError(f"The name of a class or function must be a string, received {name!r}.")
    for known in (config.get("registered_name"), name):
        if known is not None and (found := get_registered_object(known, custom)) is not None:
            return found
    is_function = config["class_name"] == "function"
    module = str(config.get("module") or "")
    if module == "builtins" or module.split(".")[0] in ("keras", "gpunn"):
        wanted = module.partition(".")[2]
        namespaces = _FUNCTIONS if is_function else _CLASSES
        ours = _OTHER_NAMES.get(name, name)
        for namespace in (wanted, *namespaces) if wanted in namespaces else namespaces:
            found = getattr(_public(namespace), ours, None)
            if _is_our_function(found) if is_function else _is_our_class(found):
                return found
    kind = "function" if is_function else "class"
    raise TypeError(
        f"There is no {kind} '{name}' (module {config.get('module')}). Register your own with "
        f"@gpunn.saving.register_keras_serializable(), or pass custom_objects={{'{name}': ...}}."
    )


def _is_our_class(found: Any) -> bool:
    return inspect.isclass(found) and issubclass(found, Configurable)


def _is_our_function(found: Any) -> bool:
    helper = getattr(found, "__name__", "") in ("get", "serialize", "deserialize")
    return inspect.isfunction(found) and not helper
