"""Layers that change the shape and keep the values."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from gpunn import config, ops
from gpunn.arguments import as_shape, is_whole
from gpunn.errors import ShapeError, unknown_name
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer


class Flatten(Layer):
    """(N, A, B, ...) -> (N, A·B·...).

    `data_format="channels_first"` flattens images (N, C, H, W) in the order of channels_last.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = data_format or config.image_data_format()
        if self.data_format not in ("channels_last", "channels_first"):
            raise unknown_name("data_format", data_format, ("channels_last", "channels_first"))
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        if self.data_format == "channels_first" and len(inputs.shape) > 2:
            inputs = ops.moveaxis(inputs, 1, -1)
        rest = inputs.shape[1:]
        return ops.reshape(inputs, (inputs.shape[0], -1 if None in rest else prod(rest)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class Reshape(Layer):
    """(N, ...) -> (N, *target_shape); one length may be -1.

    >>> gpunn.layers.Reshape((8, 8, 1))
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.target_shape = as_shape("Reshape: target_shape", target_shape, unknown=True, least=-1)

    def call(self, inputs: Any) -> Any:
        target = self.target_shape
        if None not in inputs.shape[1:]:
            size, unknown = prod(inputs.shape[1:]), target.count(-1)
            known = prod(n for n in target if n != -1)
            fits = size == known if not unknown else known and size % known == 0
            if unknown > 1 or not fits:
                raise ShapeError(
                    f"Reshape '{self.name}': {size} elements a sample do not fill {target} "
                    f"(input {tuple(inputs.shape)}). Choose lengths whose product is {size}."
                )
            target = tuple(size // known if n == -1 else n for n in target)
        return ops.reshape(inputs, (inputs.shape[0], *target))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": self.target_shape}


class Permute(Layer):
    """The axes after the batch in another order, numbered from 1.

    >>> gpunn.layers.Permute((2, 1))  # (N, A, B) -> (N, B, A)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Permute: dims must be a permutation of 1 to {len(self.dims)} (the batch axis "
                f"stays), received {self.dims}."
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        return ops.transpose(inputs, axes=(0, *self.dims))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """(N, F) -> (N, n, F), each vector n times.

    >>> gpunn.layers.RepeatVector(3)
    """

    def __init__(self, n: int, **kwargs: Any):
        super().__init__(**kwargs)
        if not is_whole(n, 1):
            raise TypeError(f"RepeatVector: n must be a positive integer, received {n!r}.")
        self.n = int(n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Any:
        wide = ops.expand_dims(inputs, 1)
        return ops.concatenate([wide] * self.n, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}
