"""Graph: the calls of layers and ops between given inputs and outputs, in an order to run them."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from gpunn.autodiff.symbolic import Node, SymbolicTensor
from gpunn.layers import Input, InputLayer, Layer
from gpunn.layers.convolution import Conv
from gpunn.models.fitting import fit_input, is_optional
from gpunn.structure import leaves, map_structure
from gpunn.tree import flatten


class Graph:
    """A directed acyclic graph of nodes: `run(x)` computes the outputs.

    `inputs`, `outputs`: symbolic tensors in lists, tuples and dicts (taken in the order of their
    sorted keys). Inputs need not come from `Input`: what lies before them is cut off.
    """

    def __init__(self, inputs: Any, outputs: Any):
        self.input_structure, self.output_structure = inputs, outputs
        self.inputs, self.outputs = flatten(inputs), flatten(outputs)
        for kind, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            for tensor in tensors:
                if not isinstance(tensor, SymbolicTensor) or tensor.node is None:
                    raise ValueError(
                        f"Model: {kind} must be symbolic tensors that come from Input() or from "
                        f"layers and ops called on such, received {reprlib.repr(tensor)}."
                    )
        if not self.inputs or not self.outputs:
            raise ValueError("Model needs at least one input and one output.")
        if len(set(map(id, self.inputs))) != len(self.inputs):
            raise ValueError("Model: an input was given twice. Each must be another tensor.")
        self.nodes = _in_order(self.inputs, self.outputs)
        called = [node.call for node in self.nodes if isinstance(node.call, Layer)]
        self.layers: list[Layer] = list({id(layer): layer for layer in called}.values())
        by_call: dict[int, list[Node]] = {}
        for node in self.nodes:
            by_call.setdefault(key_of(node), []).append(node)
        self.calls = list(by_call.values())  # the nodes of each layer, and of each op
        self.names = self._named()
        self._places = self._found_places()
        self._poolings = self._found_poolings()
        self._last_taken = self._found_last_taken()

    # --- names ---

    def _named(self) -> dict[int, str]:
        """The name of each node by its id: that of its layer; ops are counted (`add`, `add_1`)."""
        counts = Counter(layer.name for layer in self.layers)
        twice = [name for name, n in counts.items() if n > 1]
        if twice:
            raise ValueError(
                f"Model: {counts[twice[0]]} layers are named '{twice[0]}'. Give each another name."
            )
        names = {}
        for node in self.nodes:
            if isinstance(node.call, Layer):
                names[id(node)] = node.call.name
                continue
            name = base = node.call.__name__.strip("_")
            while counts[name]:
                name = f"{base}_{counts[base]}"
                counts[base] += 1
            counts[name] += 1
            names[id(node)] = name
        return names

    def name_of(self, tensor: SymbolicTensor) -> str:
        """The name of the layer or op that a tensor comes from."""
        node: Any = tensor.node
        found = self.names.get(id(node))  # None of what was cut off before an input
        return found or tensor.name or node.call.__name__.strip("_")

    def place_of(self, tensor: SymbolicTensor) -> tuple[str, int, int]:
        """Where a tensor comes from: layer or op, number of its call, number of the output."""
        return self._places[id(tensor)]

    def _found_places(self) -> dict[int, tuple[str, int, int]]:
        return {
            id(tensor): (self.names[id(node)], call, output)
            for nodes in self.calls
            for call, node in enumerate(nodes)
            for output, tensor in enumerate(node.outputs)
        }

    def label(self, tensor: SymbolicTensor) -> str:
        """`place_of` as `name[call][output]`."""
        name, call, output = self.place_of(tensor)
        return f"{name}[{call}][{output}]"

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [self.name_of(tensor) for tensor in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs: of the layers and ops that they come from."""
        return [self.name_of(tensor) for tensor in self.outputs]

    def from_inputs(self) -> Graph:
        """This graph; where it starts in the middle of another, with new inputs there."""
        if all(_is_input(tensor) for tensor in self.inputs):
            return self
        inputs = map_structure(
            lambda x: x if _is_input(x) else Input(batch_shape=x.shape, dtype=x.dtype),
            self.input_structure,
        )
        return Graph(inputs, self.run(inputs, {}))

    # --- running ---

    def fitted(self, given: Any) -> list[Any]:
        """What was given for the inputs, in their order, with the ranks and dtypes they have."""
        values = self._matched(given)
        return [
            fit_input(value, tensor, name, i)
            for i, (value, tensor, name) in enumerate(zip(values, self.inputs, self.input_names))
        ]

    def _matched(self, given: Any) -> list[Any]:
        if isinstance(given, Mapping):
            given = self._by_name(given)
        elif isinstance(self.input_structure, Mapping) and len(self.inputs) > 1:
            raise ValueError(
                f"Model: its inputs are a dict with the keys {list(self.input_structure)}, "
                f"received a {type(given).__name__}. Give a dict, too."
            )
        values = flatten(given)
        if len(values) != len(self.inputs):
            raise ValueError(
                f"Model: it has {len(self.inputs)} inputs ({', '.join(self.input_names)}), "
                f"received {len(values)}. Give a list in this order, or a dict."
            )
        return values

    def _by_name(self, given: Mapping[str, Any]) -> Any:
        """What a dict has for the inputs: under the keys they were given in, or their names."""
        parts = dict(zip(self.input_names, self.inputs))
        has_keys = isinstance(self.input_structure, Mapping)
        if has_keys and not set(given).isdisjoint(self.input_structure):
            parts = self.input_structure
        for name, part in parts.items():
            if name not in given and not all(map(is_optional, flatten(part))):
                raise ValueError(
                    f"Model: the input '{name}' is missing in a dict with the keys "
                    f"{sorted(given)}. Its inputs are {list(parts)}."
                )
        values = {name: given.get(name) for name in parts}
        return values if parts is self.input_structure else list(values.values())

    def run(self, given: Any, clones: Mapping[int, Any] | None = None) -> Any:
        """The outputs for values (or other symbolic tensors) of the inputs.

        `clones`: what to call in place of a layer, by its id.
        """
        values = dict(zip(map(id, self.inputs), self.fitted(given)))

        def value(leaf: Any) -> Any:
            return values[id(leaf)] if isinstance(leaf, SymbolicTensor) else leaf

        pooled = set()
        for node in self.nodes:
            if id(node) not in pooled and not isinstance(node.call, InputLayer):
                args = map_structure(value, node.args)
                kwargs = map_structure(value, node.kwargs) if node.kwargs else {}
                call = node.call if clones is None else clones.get(id(node.call), node.call)
                filled, pool = node, self._poolings.get(id(node))
                if pool is not None and clones is None and call.pools_with(pool.call, args[0]):
                    pooled.add(id(pool))
                    kwargs, filled = {**kwargs, "pooling": pool.call}, pool
                result = call(*args, **kwargs)
                for tensor, part in zip(filled.outputs, leaves(result), strict=True):
                    values[id(tensor)] = part
            for tensor in self._last_taken.get(id(node), ()):
                values.pop(id(tensor), None)  # its memory is free, but for what gradients need
        return map_structure(value, self.output_structure)

    def _found_last_taken(self) -> dict[int, list[SymbolicTensor]]:
        """What no later node takes, by the id of the node that is the last to take it."""
        last = {id(tensor): (tensor, node) for node in self.nodes for tensor in node.inputs}
        found: dict[int, list[SymbolicTensor]] = {}
        for tensor, node in last.values():
            if all(tensor is not kept for kept in self.outputs):
                found.setdefault(id(node), []).append(tensor)
        return found

    def _found_poolings(self) -> dict[int, Node]:
        """The node that alone takes the output of a convolution, by the id of the latter's node."""
        users: dict[int, list[Node]] = {}
        for node in self.nodes:
            for tensor in node.inputs:
                users.setdefault(id(tensor), []).append(node)
        kept = set(map(id, self.outputs))
        found = {}
        for node in self.nodes:
            if isinstance(node.call, Conv) and id(node.outputs[0]) not in kept:
                after = users.get(id(node.outputs[0]), [])
                if len(after) == 1 and isinstance(after[0].call, Layer) and not after[0].kwargs:
                    found[id(node)] = after[0]
        return found


def _is_input(tensor: SymbolicTensor) -> bool:
    return tensor.node is not None and isinstance(tensor.node.call, InputLayer)


def _nodes_of(tensors: list[SymbolicTensor], starts: set[int]) -> list[Node]:
    """The nodes of tensors. What lies before an input that is no `Input` does not belong here."""
    found = []
    for tensor in tensors:
        if tensor.node is None:
            raise ValueError(
                f"Model: the outputs depend on {tensor!r}, of which it is not known where it "
                f"comes from. Start from Input()."
            )
        is_input = _is_input(tensor)
        if is_input and id(tensor) not in starts:
            raise ValueError(
                f"Model: the outputs are not connected to the inputs alone, they depend on "
                f"'{tensor.name}', too. Add its Input to the inputs."
            )
        if is_input or id(tensor) not in starts:
            found.append(tensor.node)
    return found


def _in_order(inputs: list[Any], outputs: list[Any]) -> list[Node]:
    """The nodes from inputs to outputs: the deepest first, those of one depth as they were met.

    The depth of a node is the longest way from it to an output; the calls of a layer have one.
    """
    starts = set(map(id, inputs))
    met: dict[int, int] = {}  # the number of each call, by its id
    finished = list(_walk(outputs, starts, met))
    depth: dict[int, int] = dict.fromkeys(map(id, finished), 0)
    of_call: dict[int, int] = {}
    for node in reversed(finished):
        key = key_of(node)
        depth[id(node)] = of_call[key] = max(depth[id(node)], of_call.get(key, 0))
        for before in _nodes_of(node.inputs, starts):
            depth[id(before)] = max(depth[id(before)], depth[id(node)] + 1)
    for node in _nodes_of(inputs, starts):
        if isinstance(node.call, InputLayer) and id(node) not in depth:  # of no use
            finished.append(node)
            depth[id(node)], met[key_of(node)] = 0, -1
    return sorted(finished, key=lambda node: (-depth[id(node)], met[key_of(node)]))


def key_of(node: Node) -> int:
    """The same for all calls of a layer; each call of an op is its own."""
    return id(node.call) if isinstance(node.call, Layer) else id(node)


def _walk(outputs: list[Any], starts: set[int], met: dict[int, int]) -> Iterator[Node]:
    """All nodes that the outputs depend on, each after those it depends on; without recursion."""
    done: set[int] = set()
    stack = [(node, False) for node in reversed(_nodes_of(outputs, starts))]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            done.add(id(node))
            yield node
        elif id(node) not in done:
            met.setdefault(key_of(node), len(met))
            before = _nodes_of(node.inputs, starts)
            stack += [(node, True), *((b, False) for b in reversed(before))]
