"""What a layer owns: variables, sublayers and seed generators, found in its attributes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.variable import Variable
from gpunn.errors import ShapeError
from gpunn.metrics.metric import Metric
from gpunn.random import SeedGenerator


def _flatten(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _flatten(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _flatten(item)
    else:
        yield value


def _unique(items: Any) -> list:
    return list({id(item): item for item in items}.values())


class Tracked:
    """Weights of a layer and of the layers in its attributes (also in lists and dicts there)."""

    _untracked: tuple[str, ...] = ()  # attributes that hold no part of the layer
    _trainable = True

    def _owned(self, kind: type | tuple[type, ...]) -> list:
        return [
            item
            for name, value in vars(self).items()
            if name not in self._untracked
            for item in _flatten(value)
            if isinstance(item, kind)
        ]

    def _sublayers(self) -> list[Tracked]:
        """The layers directly inside this one."""
        return _unique(self._owned(Tracked))

    def _flatten_layers(self) -> list[Any]:
        """This layer and all below it, each once."""
        found = [self]
        for layer in self._sublayers():
            found.extend(layer._flatten_layers())
        return _unique(found)

    @property
    def weights(self) -> list[Variable]:
        """All weights: own trainable, own others, then those of the layers inside."""
        own = self._owned(Variable)
        ordered = [v for v in own if v._trainable] + [v for v in own if not v._trainable]
        for layer in self._sublayers():
            ordered.extend(layer.weights)
        return _unique(ordered)

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes: none while `trainable` is False."""
        if not self._trainable:
            return []
        own = [v for v in self._owned(Variable) if v._trainable]
        return _unique(own + [w for layer in self._sublayers() for w in layer.trainable_weights])

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training does not change."""
        trainable = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in trainable]

    @property
    def variables(self) -> list[Variable]:
        """The weights and the states of the seed generators, layer by layer."""
        own = self._owned(Variable)
        found = [v for v in own if v._trainable] + [v for v in own if not v._trainable]
        found += [generator.state for generator in self._owned(SeedGenerator)]
        for layer in self._sublayers():
            found.extend(layer.variables)
        return _unique(found)

    trainable_variables = trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """`variables` that training does not change."""
        trainable = {id(w) for w in self.trainable_weights}
        return [v for v in self.variables if id(v) not in trainable]

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that are attributes of this layer and of those inside."""
        return _unique(m for layer in self._flatten_layers() for m in layer._owned(Metric))

    @property
    def metrics_variables(self) -> list[Variable]:
        """The states of the metrics."""
        return [v for metric in self.metrics for v in metric.variables]

    def count_params(self) -> int:
        """The number of elements in all weights."""
        if not self.built:  # type: ignore[attr-defined]
            raise ValueError(
                f"count_params: '{self.name}' has no weights yet. Build it first: call it, or "  # type: ignore[attr-defined]
                f"build(input_shape)."
            )
        return sum(w.size for w in self.weights)

    def get_weights(self) -> list:
        """Copies of the weights as NumPy arrays."""
        return [w.numpy().copy() for w in self.weights]

    def set_weights(self, weights: list) -> None:
        """Set the weights from arrays in the order of `get_weights`. All fit, or none is set."""
        variables = self.weights
        if not isinstance(weights, (list, tuple)):
            raise ValueError(
                f"set_weights takes a list of arrays, received {type(weights).__name__}. Their "
                f"order is that of get_weights()."
            )
        if len(weights) != len(variables):
            raise ValueError(
                f"'{self.name}' has {len(variables)} weights, received {len(weights)}. "  # type: ignore[attr-defined]
                f"Their order is that of get_weights()."
            )
        arrays = [
            asarray(value, variable.dtype, like=variable.data)
            for variable, value in zip(variables, weights, strict=True)
        ]
        for variable, array in zip(variables, arrays, strict=True):
            if array.shape != variable.shape:
                raise ShapeError(
                    f"'{variable.path}' has shape {variable.shape}, received a weight of shape "
                    f"{array.shape}. Their order is that of get_weights()."
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
