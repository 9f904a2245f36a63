"""Layers as the nodes of a graph: what a call on symbolic tensors leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpunn.autodiff.symbolic import Node, SymbolicTensor, tracing
from gpunn.autodiff.tensor import Tensor
from gpunn.layers.context import calls, layer_call
from gpunn.structure import leaves, map_pairs, map_structure

_LENGTHS = 83, 89  # that stand for unknown ones


def traced(call: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    """The symbolic outputs of a user's function of tensors of unknown lengths.

    It may compute with lengths, ``ops.zeros((x.shape[0], 3))``, so it is run with one number in
    place of all None, then with another: what differs in the outputs' shapes is unknown.
    """

    def run(length: int) -> Any:
        def known(value: Any) -> Any:
            if not isinstance(value, SymbolicTensor):
                return value
            shape = tuple(length if n is None else n for n in value.shape)
            found = SymbolicTensor(shape, value.dtype, value.name)
            found._keras_mask = known(value._keras_mask)
            return found

        return call(*map_structure(known, args), **map_structure(known, kwargs))

    tracing.on, outer = True, tracing.on
    try:
        return map_pairs(_joined, *map(run, _LENGTHS))
    finally:
        tracing.on = outer


def _joined(first: Any, second: Any) -> Any:
    """One symbol of two that differ in unknown lengths."""
    if not hasattr(first, "shape"):
        return first
    shape = tuple(n if n == m else None for n, m in zip(first.shape, second.shape, strict=True))
    found = SymbolicTensor(shape, first.dtype)
    if getattr(first, "_keras_mask", None) is not None:
        found._keras_mask = _joined(first._keras_mask, second._keras_mask)
    return found


def has_unknown_lengths(value: Any) -> bool:
    """Whether a symbolic tensor in it has a length None."""
    return any(isinstance(v, SymbolicTensor) and None in v.shape for v in leaves(value))


class Connected:
    """The calls of a layer on symbolic tensors, from which `Model(inputs, outputs)` is made."""

    name: str
    dtype: str
    _nodes: list[Node]

    def _connected(self, args: tuple, kwargs: dict[str, Any], outputs: Any) -> Any:
        """The outputs of a call as new symbolic tensors, each of which knows this call.

        Inside another layer's call nothing is to be remembered: the outer layer is the node.
        """
        if calls.depth or not any(type(v) is SymbolicTensor for v in leaves((args, kwargs))):
            return outputs
        node = Node(self, args, kwargs)
        self._nodes.append(node)

        def renewed(output: Any) -> Any:
            if not isinstance(output, SymbolicTensor):
                return output
            found = SymbolicTensor(output.shape, output.dtype, self.name, node)
            found._keras_mask = output._keras_mask
            return found

        return map_structure(renewed, outputs)

    def _first_node(self, what: str) -> Node:
        if not self._nodes:
            raise AttributeError(
                f"Layer '{self.name}' was never called on symbolic tensors and has no {what}. "
                f"Call it on an Input, or use it in a model that has one."
            )
        return self._nodes[0]

    @property
    def input(self) -> Any:
        """The symbolic tensor(s) that the layer was first called on."""
        inputs = self._first_node("input").inputs
        return inputs[0] if len(inputs) == 1 else inputs

    @property
    def output(self) -> Any:
        """The symbolic tensor(s) that the first call on such gave."""
        outputs = self._first_node("output").outputs
        return outputs[0] if len(outputs) == 1 else list(outputs)

    def _declared(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Symbolic outputs as the user's compute_output_spec or compute_output_shape says."""
        if _is_users(type(self).compute_output_spec):
            return self.compute_output_spec(*args, **kwargs)
        shapes = map_structure(lambda x: x.shape, [*args])
        return _symbols(self.compute_output_shape(*shapes), self.compute_dtype)  # type: ignore[attr-defined]

    def _declares_outputs(self) -> bool:
        cls = type(self)
        return _is_users(cls.compute_output_spec) or _is_users(cls.compute_output_shape)

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer gives for symbolic tensors: shapes and dtypes, no node of a graph."""
        with layer_call(kwargs.pop("training", False)):
            return self(*args, **kwargs)  # type: ignore[operator]

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """`symbolic_call`; tensors and arrays stand for their shapes and dtypes."""

        def symbol(value: Any) -> Any:
            is_array = isinstance(value, (Tensor, SymbolicTensor)) or hasattr(value, "__array__")
            return SymbolicTensor(value.shape, value.dtype) if is_array else value

        args, kwargs = map_structure(symbol, (args, kwargs))
        return self.symbolic_call(*args, **kwargs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the outputs for an input of this shape (batch None); builds the layer.

        A list or dict of shapes stands for several inputs, and is returned for several outputs.
        """
        outputs = self.symbolic_call(_symbols(input_shape, self.dtype))
        return map_structure(lambda y: tuple(y.shape), outputs)


def _is_users(method: Any) -> bool:
    return not method.__module__.startswith("gpunn.")


def _symbols(shape: Any, dtype: str) -> Any:
    """Symbolic tensors of a shape, or of shapes in lists, tuples and dicts."""
    if isinstance(shape, dict):
        return {name: _symbols(part, dtype) for name, part in shape.items()}
    if all(n is None or isinstance(n, int) for n in shape):
        return SymbolicTensor(tuple(shape), dtype)
    return type(shape)(_symbols(part, dtype) for part in shape)
