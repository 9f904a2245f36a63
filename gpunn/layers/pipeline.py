"""Pipeline: layers one after the other, as one layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpunn.layers.layer import Layer
from gpunn.layers.signature import call_signature
from gpunn.objects import serialize


class Pipeline(Layer):
    """y = layer_n(... layer_1(x)): of preprocessing and augmentation, outside of a model or in it.

    As layers of augmentation are, active unless it is told `training=False`.

    >>> gpunn.layers.Pipeline([gpunn.layers.RandomFlip(), gpunn.layers.RandomZoom(0.2)])
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None):
        super().__init__(name=name)
        wrong = [layer for layer in layers if not isinstance(layer, Layer)]
        if wrong:
            raise ValueError(f"Pipeline: layers must be layers, received {wrong[0]!r}.")
        self._pipeline_layers = list(layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        return list(self._pipeline_layers)

    def call(self, inputs: Any, training: bool = True, mask: Any = None) -> Any:
        for layer in self._pipeline_layers:
            signature = call_signature(type(layer).call)
            given = {"training": training} if signature.training else {}
            if mask is not None and signature.mask:
                given["mask"] = mask
            inputs = layer(inputs, **given)
            mask = getattr(inputs, "_keras_mask", None)
        return inputs

    def get_config(self) -> dict[str, Any]:
        layers = [serialize(layer) for layer in self._pipeline_layers]
        return {"layers": layers, "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        from gpunn.layers import deserialize

        layers = [
            deserialize(dict(layer)) if isinstance(layer, Mapping) else layer
            for layer in config["layers"]
        ]
        return cls(**{**config, "layers": layers})
