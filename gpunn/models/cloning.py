"""clone_model: a model of the same form with new layers and weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.layers import Input, InputLayer, Lambda, Layer
from gpunn.models.model import Model
from gpunn.models.sequential import Sequential
from gpunn.structure import leaves, map_structure


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
) -> Model:
    """A model with new layers of the same configs, and new weights.

    `input_tensors`: new `Input`s in place of the model's. `clone_function(layer)` makes each new
    layer, by default from its config; `call_function(layer, *args, **kwargs)` calls it. With
    `recursive`, models inside are cloned by the same functions.

    >>> twin = gpunn.models.clone_model(model)
    >>> twin.set_weights(model.get_weights())
    """

    def clone(layer: Any) -> Any:
        if recursive and isinstance(layer, Model) and _has_form(layer):
            return clone_model(layer, None, clone_function, call_function, True)
        if clone_function is not None:
            return clone_function(layer)
        return _twin(layer)

    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError("clone_model: call_function is for models made of inputs and outputs.")
        first = [] if model._input is None else [_like(model._input)]
        if input_tensors is not None:
            first = leaves(input_tensors)
        twins = {id(layer): clone(layer) for layer in model.layers}  # one may come twice
        layers = [twins[id(layer)] for layer in model.layers]
        return Sequential([*first, *layers], model.trainable, model.name)
    if not _has_form(model):
        if not (input_tensors is None and clone_function is None and call_function is None):
            raise ValueError(
                f"clone_model: '{model.name}' is a subclass with a call() of its own. "
                f"input_tensors, clone_function and call_function are for models made of inputs "
                f"and outputs, and Sequential."
            )
        return type(model).from_config(model.get_config())
    graph: Any = model._graph
    inputs = map_structure(_like, graph.input_structure) if input_tensors is None else input_tensors
    clones: dict[int, Any] = {}
    for layer in graph.layers:
        if not isinstance(layer, InputLayer):
            new = clone(layer)
            clones[id(layer)] = new if call_function is None else _called_by(call_function, new)
    return Model(inputs, graph.run(inputs, clones), name=model.name, trainable=model.trainable)


def _twin(layer: Any) -> Any:
    """A new layer of the same config. A Lambda has none, it shares its function."""
    if type(layer) is Lambda:
        options = Layer.get_config(layer)
        return Lambda(layer.function, layer.output_shape, layer.mask, layer.arguments, **options)
    return layer.from_config(layer.get_config())


def _has_form(model: Any) -> bool:
    return isinstance(model, Sequential) or model._graph is not None


def _called_by(function: Callable[..., Any], layer: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: function(layer, *args, **kwargs)


def _like(tensor: SymbolicTensor) -> SymbolicTensor:
    """A new Input like this one."""
    optional = getattr(tensor.node and tensor.node.call, "optional", False)
    return Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name, optional=optional)
