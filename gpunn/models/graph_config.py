"""Graphs as plain descriptions, in the form Keras gives them, and back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.op import registry
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import unknown_name
from gpunn.layers import InputLayer, Layer
from gpunn.models.graph import Graph
from gpunn.objects import serialize
from gpunn.ops.composite import composites
from gpunn.structure import leaves


def graph_config(graph: Graph) -> dict[str, Any]:
    """The layers and ops of a graph, each with its calls; `graph_of` is the way back.

    A tensor is told by `[name of the layer or op, number of the call, number of the output]`.
    """

    def reference(tensor: SymbolicTensor) -> list[Any]:
        return list(graph.place_of(tensor))

    def plain(value: Any) -> Any:
        if isinstance(value, SymbolicTensor):
            return _marked("keras_tensor", shape=list(value.shape), dtype=value.dtype,
                           keras_history=reference(value))  # fmt: skip
        return _plain(value, plain)

    layers = []
    for nodes in graph.calls:
        first = nodes[0]
        is_op = not isinstance(first.call, Layer)
        entry = (
            {"class_name": first.call.__name__.strip("_"), "config": None}
            if is_op
            else serialize(first.call)
        )
        inbound = [
            {"args": plain(list(node.args)), "kwargs": plain(dict(node.kwargs))}
            for node in nodes
            if not isinstance(node.call, InputLayer)
        ]
        layers.append({**entry, "name": graph.names[id(first)], "inbound_nodes": inbound})
    return {
        "layers": layers,
        "input_layers": _references(graph.input_structure, reference),
        "output_layers": _references(graph.output_structure, reference),
    }


def graph_of(config: dict[str, Any], deserialize: Callable[[Any], Layer]) -> tuple[Any, Any]:
    """The inputs and outputs that a description of a graph stands for, of new layers."""
    tensors: dict[tuple, SymbolicTensor] = {}
    waiting: list[tuple[str, int, Any, dict]] = []
    for entry in config["layers"]:
        call: Any = _op(entry) if _is_op(entry) else deserialize(entry)
        if isinstance(call, InputLayer):
            tensors[entry["name"], 0, 0] = call.output
        waiting += [(entry["name"], i, call, n) for i, n in enumerate(entry["inbound_nodes"])]

    def restored(value: Any) -> Any:
        return _restored(value, lambda history: tensors[tuple(history)])

    while waiting:  # a call comes after those it depends on, in whatever order they are listed
        left = []
        for name, i, call, node in waiting:
            try:
                args, kwargs = restored(node["args"]), restored(node["kwargs"])
            except KeyError:
                left.append((name, i, call, node))
                continue
            outputs = call(*args, **kwargs)
            tensors |= {(name, i, k): y for k, y in enumerate(leaves(outputs))}
        if len(left) == len(waiting):
            raise ValueError(
                f"The description of the model is incomplete: what '{left[0][0]}' is called on is "
                f"not in it."
            )
        waiting = left
    ends = [_dereferenced(config[k], tensors) for k in ("input_layers", "output_layers")]
    return ends[0], ends[1]


def _is_op(entry: dict[str, Any]) -> bool:
    return entry["config"] is None or str(entry.get("module")).startswith("keras.src.ops")


def _op(entry: dict[str, Any]) -> Callable[..., Any]:
    """The op of a name; Keras describes a class of it, `ExpandDims`, and its settings."""
    name = entry["class_name"]
    known = {**vars(ops), **registry, **composites}
    plain = {k.replace("_", ""): k for k in known}
    found = known.get(name) or known.get(plain.get(name.lower(), ""))
    if not isinstance(found, FunctionType):
        raise unknown_name("operation", name, {**registry, **composites})
    config = entry["config"] or {}
    settings = {k: v for k, v in config.items() if k not in ("name", "dtype")}
    return found if entry["config"] is None else _of_keras(partial(found, **settings))


def _of_keras(call: Callable[..., Any]) -> Callable[..., Any]:
    """An op that Keras described: in JSON its tuples, as x[1:3, 0], have become lists."""
    return lambda *args, **kwargs: call(
        *(tuple(a) if isinstance(a, list) else a for a in args), **kwargs
    )


def _references(structure: Any, reference: Callable[[Any], list]) -> Any:
    if isinstance(structure, SymbolicTensor):
        return reference(structure)
    if isinstance(structure, dict):
        return {k: _references(v, reference) for k, v in structure.items()}
    return [_references(v, reference) for v in structure]


def _dereferenced(value: Any, tensors: dict[tuple, SymbolicTensor]) -> Any:
    if isinstance(value, dict):
        return {k: _dereferenced(v, tensors) for k, v in value.items()}
    if len(value) == 3 and isinstance(value[0], str):
        return tensors[tuple(value)]
    return [_dereferenced(v, tensors) for v in value]


def _marked(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": f"__{kind}__", "config": config}


def _plain(value: Any, plain: Callable[[Any], Any]) -> Any:
    """A value of a call as JSON knows it; what it does not know is marked."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, tuple):
        return _marked("tuple", value=[plain(v) for v in value])
    if isinstance(value, slice):
        return _marked("slice", start=value.start, stop=value.stop, step=value.step)
    if value is Ellipsis:
        return _marked("ellipsis")
    if isinstance(value, np.dtype):
        return _marked("dtype", name=value.name)
    if isinstance(value, (np.ndarray, np.generic, Tensor)):
        array = np.asarray(value)
        return _marked("numpy", value=array.tolist(), dtype=array.dtype.name)
    raise TypeError(
        f"Model.get_config: a call has the argument {value!r}, which cannot be described. Put the "
        f"computation into a layer with a get_config() of its own."
    )


_MAKERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "__slice__": lambda c: slice(c["start"], c["stop"], c["step"]),
    "__ellipsis__": lambda c: Ellipsis,
    "__dtype__": lambda c: np.dtype(c["name"]),
    "__numpy__": lambda c: np.asarray(c["value"], c["dtype"]),
}


def _restored(value: Any, tensor: Callable[[Any], Any]) -> Any:
    """The way back from `_plain`."""
    if isinstance(value, list):
        return [_restored(v, tensor) for v in value]
    if not isinstance(value, dict):
        return value
    kind: Any = value.get("class_name")
    config: Any = value.get("config")
    if kind == "__keras_tensor__":
        return tensor(config["keras_history"])
    if kind == "__tuple__":
        return tuple(_restored(v, tensor) for v in config["value"])
    if kind in _MAKERS:
        return _MAKERS[kind](config)
    return {k: _restored(v, tensor) for k, v in value.items()}
