"""What pickle and copy.deepcopy keep of a model: its config, its state, how it was compiled."""

from __future__ import annotations

import copy
from typing import Any

from gpunn.objects import custom_object_scope


def parts_of(model: Any, state: bool = True) -> dict[str, Any]:
    """All that makes the model anew; without `state`, with new weights and a new optimizer.

    Recordings, the history and the states of metrics are not among it.
    """
    layers = model._flatten_layers()
    custom = {type(layer).__name__: type(layer) for layer in layers if _is_users(type(layer))}
    parts = {"class": type(model), "config": model.get_config(), "custom_objects": custom}
    if state:
        parts["variables"] = [v.numpy() for v in model.variables]
        if model._graph is None:
            _check_config_makes(model, _made(parts))
    if model.compiled:
        optimizer = model.optimizer  # wrapped for float16 already, if it had to be
        given = {**model._compile_given, "auto_scale_loss": False}
        parts["compile"] = {name: v for name, v in given.items() if name != "optimizer"}
        parts["optimizer"] = (type(optimizer), optimizer.get_config())
        if state and optimizer.built:
            number = {id(v): i for i, v in enumerate(model.variables)}
            parts["optimized"] = [number[id(v)] for v in optimizer._trainable_variables]
            parts["optimizer_variables"] = [v.numpy() for v in optimizer.variables]
    return parts


def restored(parts: dict[str, Any]) -> Any:
    """The model of `parts_of`."""
    model = _made(parts)
    for variable, value in zip(model.variables, parts.get("variables", [])):
        variable.assign(value)
    if "compile" in parts:
        cls, config = parts["optimizer"]
        optimizer = cls.from_config(config)
        if "optimized" in parts:
            optimizer.build([model.variables[i] for i in parts["optimized"]])
            for variable, value in zip(
                optimizer.variables, parts["optimizer_variables"], strict=True
            ):
                variable.assign(value)
        model.compile(optimizer=optimizer, **parts["compile"])
    return model


def untrained_copy(model: Any) -> Any:
    """A model of the same form, compiled in the same way, with new weights."""
    return restored(copy.deepcopy(parts_of(model, state=False)))


def _made(parts: dict[str, Any]) -> Any:
    with custom_object_scope(parts["custom_objects"]):
        return parts["class"].from_config(parts["config"])


def _check_config_makes(model: Any, other: Any) -> None:
    """Refuse a model whose config does not make its weights; better now than when it is read."""
    if len(model.variables) not in (0, len(other.variables)):
        raise ValueError(
            f"Model '{model.name}' ({type(model).__name__}) cannot be copied or pickled with its "
            f"{len(model.weights)} weights: its config makes {len(other.weights)}. Make a new one "
            f"as this one was made, call it once, and use set_weights(model.get_weights())."
        )


def _is_users(cls: type) -> bool:
    return not cls.__module__.startswith("gpunn.")
