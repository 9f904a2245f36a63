"""Wrapper: the base of layers that hold another layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpunn.layers.layer import Layer
from gpunn.objects import serialize


class Wrapper(Layer):
    """A base to subclass: `layer` is built with the wrapper, and stands in its config.

    >>> class Twice(gpunn.layers.Wrapper):
    ...     def call(self, x):
    ...         return self.layer(self.layer(x))
    """

    def __init__(self, layer: Layer, **kwargs: Any):
        if not isinstance(layer, Layer):
            raise ValueError(f"{type(self).__name__}: layer must be a layer, received {layer!r}.")
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer": serialize(self.layer)}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        from gpunn.layers import deserialize

        layer = config["layer"]
        if isinstance(layer, Mapping):
            layer = deserialize(layer, custom_objects)
        return cls(**{**config, "layer": layer})
