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
    if model.compiled:
        parts["compile"] = _compile_arguments(model)
        optimizer = model.optimizer
        parts["optimizer"] = (type(optimizer), optimizer.get_config())
        if state and optimizer.built:
            number = {id(v): i for i, v in enumerate(model.variables)}
            parts["optimized"] = [number[id(v)] for v in optimizer._trainable_variables]
            parts["optimizer_variables"] = [v.numpy() for v in optimizer.variables]
    return parts


def restored(parts: dict[str, Any]) -> Any:
    """The model of `parts_of`."""
    with custom_object_scope(parts["custom_objects"]):
        model = parts["class"].from_config(parts["config"])
    values = parts.get("variables", [])
    if values and len(model.variables) != len(values):
        raise ValueError(
            f"Model '{model.name}' ({type(model).__name__}) cannot be copied or pickled with its "
            f"{len(values)} weights: its config makes {len(model.variables)}. Make a new one as "
            f"this one was made, call it once, and use set_weights(model.get_weights())."
        )
    for variable, value in zip(model.variables, values):
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


def _compile_arguments(model: Any) -> dict[str, Any]:
    metrics, weighted_metrics = model._compile_metrics._given
    return {
        "loss": model.loss,
        "loss_weights": model._compile_loss._weights,
        "metrics": metrics,
        "weighted_metrics": weighted_metrics,
        "run_eagerly": model.run_eagerly,
        "steps_per_execution": model.steps_per_execution,
        "jit_compile": model.jit_compile,
        "auto_scale_loss": False,  # the optimizer has been wrapped already, if it had to be
    }


def _is_users(cls: type) -> bool:
    return not cls.__module__.startswith("gpunn.")
