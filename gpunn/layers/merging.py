"""Layers that make one tensor of several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicShape, SymbolicTensor
from gpunn.errors import ShapeError
from gpunn.layers.context import layer_call
from gpunn.layers.layer import Layer
from gpunn.ops.rules import broadcast_shapes


class Merge(Layer):
    """Base of the layers that take a list of tensors."""

    supports_masking = True
    count: int | None = None  # how many inputs it takes, None for any number

    def _check_shapes(self, shapes: list[SymbolicShape]) -> None:
        """Raise an error if tensors of these shapes do not go together."""
        raise NotImplementedError(f"{type(self).__name__} has no _check_shapes() method.")

    def _checked(self, shapes: Any) -> list[SymbolicShape]:
        """The shapes, if they are those of a list of tensors that go together."""
        is_list = isinstance(shapes, (list, tuple)) and len(shapes) > 0
        if not is_list or not all(isinstance(s, (list, tuple)) for s in shapes):
            raise ValueError(
                f"{type(self).__name__} '{self.name}' merges a list of tensors, received shape "
                f"{shapes}. Call it with [x, y]."
            )
        if self.count is not None and len(shapes) != self.count:
            raise ValueError(
                f"{type(self).__name__} '{self.name}' takes exactly {self.count} inputs, received "
                f"{len(shapes)} (shapes {shapes})."
            )
        shapes = [tuple(s) for s in shapes]
        self._check_shapes(shapes)
        return shapes

    def _checked_inputs(self, inputs: Any) -> list[SymbolicShape]:
        is_list = isinstance(inputs, (list, tuple))
        return self._checked([getattr(x, "shape", x) for x in inputs] if is_list else inputs.shape)

    def compute_output_shape(self, input_shape: Any) -> SymbolicShape:
        shapes = self._checked(input_shape)
        with layer_call(False):
            return self([SymbolicTensor(s, self.dtype) for s in shapes]).shape


class _Elementwise(Merge):
    """Base of the merges of tensors that broadcast, but for the batch.

    Tensors of a lower rank get axes of length 1 behind the batch. A position is masked if it is so
    in all of the inputs.
    """

    def _check_shapes(self, shapes: list[SymbolicShape]) -> None:
        owner = f"{type(self).__name__} '{self.name}'"
        batches = {s[0] for s in shapes if s} - {None}
        if len(batches) > 1:
            raise ShapeError(
                f"{owner}: the batch sizes {sorted(batches)} differ (shapes {shapes}). Merge "
                f"batches of one size."
            )
        broadcast_shapes(owner, *(s[1:] for s in shapes))

    def call(self, inputs: Any, mask: Any = None) -> Any:
        self._checked_inputs(inputs)
        masks = mask if isinstance(mask, (list, tuple)) else [None] * len(inputs)
        rank = max(len(x.shape) for x in inputs)
        masks = [
            None if m is None or len(x.shape) < rank else _like(m, x)
            for x, m in zip(inputs, masks, strict=True)
        ]
        return self.merge([_of_rank(x, rank) for x in inputs], masks)

    def merge(self, inputs: list, masks: list) -> Any:
        """One tensor of tensors of one rank; the masks have that rank, too, or are None."""
        raise NotImplementedError(f"{type(self).__name__} has no merge() method.")

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        masks = mask
        if masks is None or any(m is None for m in masks):
            return None
        return reduce(ops.logical_or, masks)


def _of_rank(x: Any, rank: int) -> Any:
    for _ in range(rank - len(x.shape)):
        x = ops.expand_dims(x, 1)
    return x


def _like(mask: Any, x: Any) -> Any:
    """The mask with axes of length 1 at the end, up to the rank of x."""
    for _ in range(len(x.shape) - len(mask.shape)):
        mask = ops.expand_dims(mask, -1)
    return mask


class Add(_Elementwise):
    """y = x_1 + x_2 + ...

    >>> gpunn.layers.Add()([x, y])
    """

    def merge(self, inputs: list, masks: list) -> Any:
        return reduce(ops.add, inputs)


class Subtract(_Elementwise):
    """y = x_1 - x_2, of two inputs."""

    count = 2

    def merge(self, inputs: list, masks: list) -> Any:
        return ops.subtract(*inputs)


class Multiply(_Elementwise):
    """y = x_1 · x_2 · ..., where what is masked counts as 1; what is masked in all becomes 0."""

    def merge(self, inputs: list, masks: list) -> Any:
        factors = [
            x if m is None else ops.where(m, x, 1) for x, m in zip(inputs, masks, strict=True)
        ]
        y = reduce(ops.multiply, factors)
        if any(m is None for m in masks):
            return y
        return ops.where(reduce(ops.logical_or, masks), y, 0)


class Average(_Elementwise):
    """y = (x_1 + ... + x_n) / n."""

    def merge(self, inputs: list, masks: list) -> Any:
        return ops.divide(reduce(ops.add, inputs), len(inputs))


class _Extremum(_Elementwise):
    """Where one of two inputs is masked, the other is the result."""

    choose: Any

    def merge(self, inputs: list, masks: list) -> Any:
        y, y_mask = inputs[0], masks[0]
        for x, mask in zip(inputs[1:], masks[1:], strict=True):
            if mask is not None:
                x = ops.where(mask, x, y)
            if y_mask is not None:
                y = ops.where(y_mask, y, x)
            both = mask is not None and y_mask is not None
            y_mask = ops.logical_or(y_mask, mask) if both else None
            y = type(self).choose(y, x)
        return y


class Maximum(_Extremum):
    """y = max(x_1, x_2, ...), elementwise; masked elements do not count."""

    choose = staticmethod(ops.maximum)


class Minimum(_Extremum):
    """y = min(x_1, x_2, ...), elementwise; masked elements do not count."""

    choose = staticmethod(ops.minimum)


class Concatenate(Merge):
    """The tensors one after the other along an axis; the other lengths agree.

    >>> gpunn.layers.Concatenate(axis=-1)([x, y])  # (N, A), (N, B) -> (N, A + B)
    """

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def _check_shapes(self, shapes: list[SymbolicShape]) -> None:
        ops.concatenate([SymbolicTensor(s, self.dtype) for s in shapes], axis=self.axis)

    def call(self, inputs: Any) -> Any:
        self._checked_inputs(inputs)
        return ops.concatenate(list(inputs), axis=self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return None
        masks = [_positions(x, m) for x, m in zip(inputs, mask, strict=True)]
        rank = len(inputs[0].shape)
        if self.axis % rank == rank - 1:
            return reduce(ops.logical_or, masks)
        return ops.concatenate(masks, axis=self.axis % rank)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


def _positions(x: Any, mask: Any) -> Any:
    """The mask of x for each position, that is without the last axis."""
    if mask is None:
        return ops.ones_like(ops.getitem(x, (..., 0)), "bool")
    if len(mask.shape) == len(x.shape):
        return ops.any(mask, axis=-1)
    return mask


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The sum of the inputs: `Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The difference of two inputs: `Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The product of the inputs: `Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The mean of the inputs: `Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The larger elements of the inputs: `Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The smaller elements of the inputs: `Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """The inputs one after the other: `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)
