"""The steps of a sequence as tensors of their own, with one gradient for all of them."""

from __future__ import annotations

from typing import Any

from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, fill
from gpunn.errors import ShapeError


def _rule(x: Any) -> tuple[Spec, ...]:
    if len(x.shape) < 2 or not x.shape[1]:
        raise ShapeError(
            f"unstack_steps: expected (batch, steps, ...) with at least one step, received "
            f"{tuple(x.shape)}."
        )
    return (Spec((x.shape[0], *x.shape[2:]), as_dtype(x.dtype)),) * x.shape[1]


@op(shape=_rule)
def unstack_steps(x: Array) -> Any:
    """(B, T, ...) -> T views (B, ...). Time and memory of the gradient grow as T, not as T²."""
    steps = tuple(x[:, t] for t in range(x.shape[1]))

    def gradient(dys: tuple, needed: Any) -> tuple[Array]:
        dx = empty(x.shape, x.dtype, x)
        for t, dy in enumerate(dys):
            if dy is None:
                fill(dx[:, t], value=0)
            else:
                copy_into(dy, dx[:, t])
        return (dx,)

    return steps, Joint(gradient) if is_float(x.dtype) else None
