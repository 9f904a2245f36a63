"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn.autodiff.symbolic import SymbolicShape, SymbolicTensor
from gpunn.changes import note_change
from gpunn.layers import Input, InputLayer, InputSpec, Layer, deserialize
from gpunn.layers.convolution import Conv
from gpunn.models.fitting import fit_rank
from gpunn.models.model import Model, any_batch
from gpunn.objects import custom_object_scope, objects_in_scope, serialize
from gpunn.tracebacks import filter_traceback


class Sequential(Model):
    """y = layer_n(...layer_2(layer_1(x))).

    With an `Input` (or a first layer with `input_shape`) the weights are made at once, else at the
    first call.

    >>> model = gpunn.Sequential([
    ...     gpunn.Input((64,)),
    ...     gpunn.layers.Dense(32, activation="relu"),
    ...     gpunn.layers.Dense(10),
    ... ])
    """

    _untracked = (*Model._untracked, "_input", "_symbols")

    def __init__(
        self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None
    ):
        self._layers: list[Layer] = []
        self._input: SymbolicTensor | None = None
        self._symbols: list[Any] = []  # the symbolic input, and the output of each layer
        super().__init__(trainable=trainable, name=name)
        self.autocast = False  # each layer casts for itself
        if not isinstance(layers, (list, tuple, type(None))):
            raise ValueError(
                f"Sequential takes a list of layers, received {layers!r} "
                f"({type(layers).__name__}). Write Sequential([...])."
            )
        for layer in layers or ():
            self._append(layer)
        self._build_if_known()

    # --- the list of layers ---

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Append a layer (or an `Input`, first). `rebuild`: make its weights now, if it can be."""
        self._append(layer)
        if rebuild:
            self._build_if_known()

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove and return the last layer. The others keep their weights in any case."""
        if not self._layers:
            raise ValueError(f"Sequential '{self.name}' has no layer to remove.")
        layer = self._layers.pop()
        note_change()
        self._symbols = self._symbols[: len(self._layers) + 1]
        self._step = None
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, InputLayer):
            layer = layer.output
        if isinstance(layer, SymbolicTensor):
            if self._layers or self._input is not None:
                raise ValueError(
                    f"Sequential '{self.name}' has an input or layers already; an Input can only "
                    f"be the first element."
                )
            self._input = layer
            return
        if not isinstance(layer, Layer):
            if not callable(layer) or isinstance(layer, type):
                raise ValueError(
                    f"Sequential takes layers, received {layer!r} ({type(layer).__name__}). "
                    f"Write Dense(10), not Dense."
                )
            from gpunn.layers import Lambda

            layer = Lambda(layer)
        if any(layer.name == other.name for other in self._layers if other is not layer):
            raise ValueError(
                f"Two layers of Sequential '{self.name}' are named '{layer.name}'. "
                f"Give each another name."
            )
        if not self._layers and self._input is None and layer._declared_shape is not None:
            self._input = Input(batch_shape=layer._declared_shape, dtype=layer.dtype)
        self._layers.append(layer)
        note_change()
        self._step = None

    @property
    def layers(self) -> list[Layer]:
        """A copy of the list of layers."""
        return list(self._layers)

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("Sequential.layers cannot be set. Use add() and pop().")

    # --- building ---

    def _build_if_known(self) -> None:
        if self._input is not None and self._layers:
            self.build(self._input.shape)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape (the batch axis None)."""
        if input_shape is None:
            if self._input is None:
                raise ValueError(
                    f"Sequential '{self.name}' does not know its input shape. Start with an Input, "
                    f"or call build(input_shape)."
                )
            input_shape = self._input.shape
        if not self._layers:
            raise ValueError(f"Sequential '{self.name}' has no layers. Add some first.")
        if isinstance(input_shape, dict) or (input_shape and not _is_shape(input_shape)):
            return  # a structure of inputs: the layers are built at the first call
        if not self._symbols:
            first = self._input
            if first is None:
                first = Input(batch_shape=tuple(input_shape), dtype=self.dtype)
            self._symbols = [first]
        for layer in self._layers[len(self._symbols) - 1 :]:
            self._symbols.append(layer(self._symbols[-1]))
        if self._input is not None:
            self.input_spec = InputSpec(ndim=len(self._input.shape))  # lengths: as the layers say

    def _ends(self) -> tuple[Any, Any]:
        if not self._symbols:
            raise AttributeError(f"Sequential '{self.name}' is not built, its shapes are unknown.")
        return self._symbols[0], self._symbols[-1]

    @property
    def input_shape(self) -> SymbolicShape:
        """The shape of the input, the batch axis None."""
        return self._shape_of(self._ends()[0])

    @property
    def output_shape(self) -> SymbolicShape:
        """The shape of the output, the batch axis None."""
        return self._shape_of(self._ends()[1])

    @property
    def output_names(self) -> list[str] | None:
        """The name of the last layer, by which a loss or metric may be given."""
        return [self._layers[-1].name] if self._symbols else None

    def _shape_of(self, symbol: Any) -> Any:
        """Without an Input, the batch of the first call is as good as any other."""
        return symbol.shape if self._input is not None else any_batch(symbol.shape)

    def _output_shapes(self) -> dict[int, Any]:
        outputs = self._symbols[1:]
        built = {
            id(layer): self._shape_of(y)
            for layer, y in zip(self._layers, outputs)
            if hasattr(y, "shape")
        }
        return super()._output_shapes() | built

    # --- calling ---

    @filter_traceback
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._input is not None and args:
            x = args[0]
            if isinstance(x, (list, tuple)) and len(x) == 1:
                x = x[0]
            args = (fit_rank(x, self._input) if hasattr(x, "shape") else x, *args[1:])
        return super().__call__(*args, **kwargs)

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if not self._layers:
            raise ValueError(f"Sequential '{self.name}' has no layers. Add some first.")
        x, layers = inputs, self._layers
        if mask is not None:
            x, layers = layers[0](x, mask=mask), layers[1:]
        rest = iter(zip(layers, [*layers[1:], None], strict=True))
        for layer, following in rest:
            if isinstance(layer, Conv) and layer.pools_with(following, x):
                x = layer(x, pooling=following)
                next(rest)
            else:
                x = layer(x)
        return x

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [serialize(layer) for layer in self._layers],
            "build_input_shape": self._symbols[0].shape if self._symbols else None,
        }

    @classmethod
    def from_config(
        cls, config: Any, custom_objects: Mapping[str, Any] | None = None
    ) -> Sequential:
        shape = config.get("build_input_shape")
        with custom_object_scope({**objects_in_scope(), **(custom_objects or {})}):
            layers = [deserialize(c) for c in config["layers"]]
        if shape is not None and not (layers and isinstance(layers[0], InputLayer)):
            layers = [Input(batch_shape=shape), *layers]
        return cls(layers, trainable=config.get("trainable", True), name=config["name"])


def _is_shape(value: Any) -> bool:
    return all(n is None or isinstance(n, int) for n in value)
