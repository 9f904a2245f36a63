"""Model: a layer of layers that can be trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.layers import Layer, deserialize
from gpunn.layers.context import calls
from gpunn.models.copying import parts_of, restored
from gpunn.models.graph import Graph, key_of
from gpunn.models.graph_config import graph_config, graph_of
from gpunn.models.state_tree import StateTree
from gpunn.models.summary import print_summary
from gpunn.naming import unique_name
from gpunn.objects import custom_object_scope, objects_in_scope
from gpunn.saving.serialization import deserialize_keras_object, serialize_keras_object
from gpunn.tracebacks import filter_traceback
from gpunn.training.trainer import Trainer
from gpunn.tree import flatten


class Model(Trainer, StateTree, Layer):
    """A layer that `fit`, `evaluate` and `predict` work on.

    Of symbolic inputs and outputs (in lists, tuples, dicts), what lies between becomes the model:

    >>> x = gpunn.Input((64,))
    >>> h = gpunn.layers.Dense(64, activation="relu")(x)
    >>> model = gpunn.Model(x, gpunn.layers.Dense(10)(h + x))

    Or subclass it: make layers in `__init__`, use them in `call`.

    >>> class Autoencoder(gpunn.Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.encoder = gpunn.layers.Dense(8, activation="relu")
    ...         self.decoder = gpunn.layers.Dense(64)
    ...
    ...     def call(self, x):
    ...         return self.decoder(self.encoder(x))
    """

    #: Attributes that belong to training, not to the model's weights.
    _untracked = (*Layer._untracked, "_graph", "optimizer", "loss", "_compile_loss",
                  "_compile_metrics", "_compile_given", "_loss_tracker", "history",
                  "_step")  # fmt: skip
    _outside_steps = ("history", "stop_training")
    supports_masking = True

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, **kwargs: Any
    ):
        if (inputs is None) != (outputs is None):
            raise ValueError("Model takes both inputs and outputs, or none of them.")
        graph = None if inputs is None else Graph(inputs, outputs).from_inputs()
        if graph is not None and type(self) is Model:
            name = name or unique_name("functional")
        super().__init__(name=name, **kwargs)
        self.autocast = graph is None  # an Input has a dtype of its own
        self._graph = graph
        self._layers = [] if graph is None else graph.layers
        self.built = graph is not None  # else true after the first call: layers inside are built

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if self._graph is None:
            raise NotImplementedError(
                f"Model '{self.name}' ({type(self).__name__}) has no call() method. Write one, or "
                f"make the model of inputs and outputs."
            )
        for x, of_x in zip(flatten(inputs), flatten(mask)):
            if of_x is not None:
                x._keras_mask = of_x
        return self._graph.run(inputs)

    def build(self, input_shape: Any) -> None:
        """Make the weights of the layers inside, for inputs of this shape (the batch axis None)."""
        own = type(self).build is not Model.build  # which has made its weights itself
        if self._graph is None and not own:
            self.compute_output_shape(input_shape)

    def _build_for(self, names: tuple[str, ...], args: tuple, kwargs: dict) -> None:
        """The layers inside are built when they are called."""
        if type(self).build is not Model.build:
            super()._build_for(names, args, kwargs)

    @filter_traceback
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outputs = super().__call__(*args, **kwargs)
        self.built = True
        return outputs if self._graph is None else _unpacked(outputs)

    # --- inputs and outputs ---

    def _ends(self) -> tuple[Any, Any]:
        """The symbolic inputs and outputs, in their structure."""
        if self._graph is None:
            raise AttributeError(
                f"Model '{self.name}' has no symbolic inputs and outputs: it was not made of such."
            )
        return self._graph.input_structure, self._graph.output_structure

    @property
    def input(self) -> Any:
        """The symbolic input(s), in the structure they were given in."""
        return self._ends()[0]

    @property
    def output(self) -> Any:
        """The symbolic output(s), in the structure they were given in."""
        return self._ends()[1]

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs."""
        return flatten(self.input)

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs."""
        return flatten(self.output)

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or a list of those of several; the batch axis None."""
        return _shape_of(self.inputs)

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or a list of those of several; the batch axis None."""
        return _shape_of(self.outputs)

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [x.name or "input" for x in self.inputs]

    @property
    def output_names(self) -> list[str] | None:
        """The names of the outputs, by which losses and metrics are given; None if not known."""
        return None if self._graph is None else self._graph.output_names

    # --- layers ---

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside; of a graph, those that are called in it."""
        return self._sublayers() if self._graph is None else list(self._graph.layers)  # type: ignore[return-value]

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("Model.layers cannot be set: it lists the layers. Use another name.")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its position."""
        if (name is None) == (index is None):
            raise ValueError("get_layer takes a name or an index.")
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"There is no layer {index} in '{self.name}': it has {len(self.layers)}."
                )
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        known = ", ".join(layer.name for layer in self.layers)
        raise ValueError(f"There is no layer '{name}' in '{self.name}'. Its layers: {known}.")

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], None] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters.

        Models with branches have a column that says which calls each layer is connected to:
        `layer[number of its call][number of its output]`. `expand_nested`: show the layers of
        models inside. `layer_range`: the names (or patterns) of the first and the last layer.
        `positions`: where the columns end, as fractions of the line.
        """
        print_summary(
            self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range
        )

    def get_config(self) -> dict[str, Any]:
        if self._graph is None or type(self).call is not Model.call:
            return super().get_config()
        return {"name": self.name, "trainable": self.trainable, **graph_config(self._graph)}

    @classmethod
    def from_config(cls, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The model that a config describes, with new weights.

        `custom_objects`: classes and functions of one's own by their name.
        """
        if "input_layers" not in config:
            return cls(**config)
        with custom_object_scope({**objects_in_scope(), **(custom_objects or {})}):
            inputs, outputs = graph_of(config, deserialize)
        return cls(inputs, outputs, name=config["name"], trainable=config["trainable"])

    def to_json(self, **options: Any) -> str:
        """The description of the model, without weights, as JSON; `options` of `json.dumps`."""
        return json.dumps(serialize_keras_object(self), **options)

    def __reduce__(self) -> Any:
        """For `pickle` and `copy.deepcopy`."""
        return restored, (parts_of(self),)

    def _output_shapes(self) -> dict[int, Any]:
        """The output shapes of the first call, by id of the layer; the batch axis None."""
        if self._graph is not None:
            return {key_of(n): _shape_of(n.outputs) for n in reversed(self._graph.nodes)}
        return {id(layer): any_batch(layer._first_output) for layer in self.layers}

    def _attach_mask(self, inputs: Any, outputs: Any, mask: Any) -> None:
        """The layers inside have set the masks of the outputs."""


def _unpacked(outputs: Any) -> Any:
    """The value in a list or tuple of one, as Keras; symbolic outputs keep their structure."""
    alone = isinstance(outputs, (list, tuple)) and len(outputs) == 1
    if not alone or (isinstance(outputs[0], SymbolicTensor) and not calls.depth):
        return outputs
    return outputs[0]


def _shape_of(outputs: list[SymbolicTensor]) -> Any:
    shapes = [y.shape for y in outputs]
    return shapes[0] if len(shapes) == 1 else shapes


def any_batch(shape: Any) -> Any:
    """A shape, or several, with None for the batch; "?" where it is not known."""
    if isinstance(shape, list):
        return [any_batch(s) for s in shape]
    if isinstance(shape, dict):
        return {k: any_batch(s) for k, s in shape.items()}
    return (None, *shape[1:]) if shape else "?"


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that `Model.to_json` described, with new weights."""
    return deserialize_keras_object(json.loads(json_string), custom_objects)
