"""TimeDistributed: a layer for every step of a sequence."""

from __future__ import annotations

from typing import Any

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import ShapeError
from gpunn.layers.core import Lambda
from gpunn.layers.normalization import BatchNormalization
from gpunn.layers.signature import call_signature
from gpunn.layers.wrapper import Wrapper
from gpunn.ops.rnn_unstack import unstack_steps


class TimeDistributed(Wrapper):
    """y_t = layer(x_t) with the same weights for every step t: x (B, T, ...), y (B, T, ...).

    Layers of gpunn that treat each sample on its own compute all steps at once, as B·T samples;
    others, such as batch normalization, which sees one step after the other, in a loop.

    >>> gpunn.layers.TimeDistributed(gpunn.layers.Conv2D(8, 3))
    """

    supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(self._of_a_step(input_shape))

    def _of_a_step(self, shape: Any) -> tuple:
        if not isinstance(shape, (tuple, list)) or len(shape) < 3:
            raise ShapeError(
                f"TimeDistributed '{self.name}' takes inputs (batch, steps, ...) of at least 3 "
                f"axes, received shape {shape}."
            )
        return (shape[0], *shape[2:])

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *rest = self.layer.compute_output_shape(self._of_a_step(input_shape))
        return (batch, input_shape[1], *rest)

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        if mask is not None:
            self._check_mask(mask, inputs)
            mask = mask if call_signature(type(self.layer).call).mask else None
        if isinstance(inputs, SymbolicTensor) and None in inputs.shape[1:]:
            shape = self.compute_output_shape(inputs.shape)
            return SymbolicTensor(shape, self.compute_dtype)
        return self._compute(inputs, mask)

    def _compute(self, x: Any, mask: Any) -> Any:
        return self._at_once(x, mask) if self._by_sample() else self._in_turn(x, mask)

    def _by_sample(self) -> bool:
        """Whether steps and samples are the same to the layer inside."""
        found = self.layer._flatten_layers()
        return all(
            type(part).__module__.startswith("gpunn.")
            and not isinstance(part, (BatchNormalization, Lambda))
            and not getattr(part, "stateful", False)
            for part in found
        )

    def _at_once(self, x: Any, mask: Any) -> Any:
        batch, steps, *rest = x.shape
        x = ops.reshape(x, (-1 if batch is None else batch * steps, *rest))
        given = {} if mask is None else {"mask": ops.reshape(mask, (-1, *mask.shape[2:]))}
        y = self.layer(x, **given)
        return ops.reshape(y, (-1 if batch is None else batch, steps, *y.shape[1:]))

    def _in_turn(self, x: Any, mask: Any) -> Any:
        masks = [None] * x.shape[1] if mask is None else unstack_steps(mask)
        steps = [
            self.layer(step, **({} if m is None else {"mask": m}))
            for step, m in zip(unstack_steps(x), masks, strict=True)
        ]
        return ops.stack(steps, axis=1)

    def _check_mask(self, mask: Any, inputs: Any) -> None:
        shape, wanted = tuple(mask.shape), tuple(inputs.shape[:2])
        fits = len(shape) >= 2 and all(None in (n, m) or n == m for n, m in zip(shape, wanted))
        if not fits:
            raise ShapeError(
                f"TimeDistributed '{self.name}': the mask {shape} must begin with the batch and the"
                f" steps of the input {tuple(inputs.shape)}."
            )
