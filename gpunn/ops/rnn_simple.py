"""Kernels of the simple recurrent network, h = f(x W + h' U + b). CUDA: kernels/rnn_simple.cu.

h' is the state before, f one of `ACTIVATIONS`. A step that the mask leaves out keeps the state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.backend.cuda import cuda_type, raw
from gpunn.backend.devices import empty
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.ops.activations import rectify
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.gemm import shared_product
from gpunn.ops.rnn_steps import (
    SIZES,
    at,
    can_launch,
    history,
    launch,
    masks,
    multiply,
    recurrent,
    unit_launch,
    wide,
)


def _linear(xp: Any, x: Array, out: Array) -> None:
    """out = x, in place"""


def _tanh_slope(xp: Any, y: Array, out: Array) -> None:
    xp.multiply(y, y, out=out)
    xp.subtract(1, out, out=out)


#: In-place f(xp, x, x), and its derivative by y = f(x); the CUDA functor bears the name.
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "tanh": (lambda xp, x, out: xp.tanh(x, out=out), _tanh_slope),
    "relu": (rectify, lambda xp, y, out: xp.greater(y, 0, out=out)),
    "linear": (_linear, lambda xp, y, out: out.fill(1)),
}


def _unit_cuda(name: str, position: int) -> raw:
    plan = unit_launch(position)

    def types(first: Array, *_: Any, activation: str) -> tuple[str, str]:
        return cuda_type(first.dtype), activation.capitalize()

    return raw("rnn_simple.cu", name, lambda *arrays, activation: plan(*arrays), types)


def _cases(rng: np.random.Generator) -> Any:
    for steps, b, h in SIZES:
        for mask, activation in zip(masks(rng, steps, b), ACTIVATIONS):
            yield steps, b, h, mask, activation


# --- one step ---


def _cell_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h, mask, activation in _cases(rng):
        z, a, h_prev = normal(rng, (3, b, h), dtype)
        arrays = z, a, h_prev, at(mask, 0), unwritten((b, h), dtype)
        yield arrays, {"activation": activation}


@kernel(cuda=_unit_cuda("simple_cell_forward", 0), examples=_cell_examples)
@wide("h")
def simple_cell_forward(
    xp: Any, z: Array, a: Array, h_prev: Array, mask: Array | None, h: Array, activation: str
) -> None:
    """h = f(z + a), z = x W + b, a = h' U"""
    xp.add(z, a, out=h)
    ACTIVATIONS[activation][0](xp, h, h)
    if mask is not None:
        xp.copyto(h, h_prev, where=~mask[:, None])


def _cell_backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h, mask, activation in _cases(rng):
        y, dy, dh, carry = normal(rng, (4, b, h), dtype)
        given = (None, dh, None) if mask is None else (dy, dh, carry)
        arrays = y, at(mask, 0), *given, unwritten((b, h), dtype)
        yield arrays, {"activation": activation}


@kernel(cuda=_unit_cuda("simple_cell_backward", 0), examples=_cell_backward_examples)
@wide("carry", "dz")
def simple_cell_backward(
    xp: Any, h: Array, mask: Array | None, dy: Array | None, dh: Array, carry: Array | None,
    dz: Array, activation: str,
) -> None:  # fmt: skip
    """dz = f'(z) · d, d = dh + dy (+ carry): dh from the next step's U, dy of the output.

    With a mask, `carry` is what a step that is left out passes by: d there, 0 elsewhere.
    """
    ACTIVATIONS[activation][1](xp, h, dz)
    total = dh if dy is None else dh + dy
    if mask is not None:
        on = mask[:, None]
        total = total + carry
        xp.multiply(total, ~on, out=carry)
        total *= on
        xp.copyto(dz, 0, where=~on)
    dz *= total


# --- a sequence ---


def _forward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for steps, b, h, mask, activation in _cases(rng):
        z, U = normal(rng, (steps, b, h), dtype), recurrent(rng, h, 1, dtype)
        hs = history(rng, dtype, steps, b, h)
        yield (z, U, mask, hs), {"activation": activation}
    yield (z, U, None, hs[:2].copy()), {"activation": "tanh"}  # nothing is kept


def _forward_cuda(_: Kernel, arrays: tuple, options: dict) -> Any:
    z, U, mask, hs = arrays
    if not can_launch(*arrays):
        return NotImplemented
    a = empty(z.shape[1:], z.dtype, z)
    for t in range(len(z)):
        h_prev, h = hs[t % len(hs)], hs[(t + 1) % len(hs)]
        multiply(h_prev, U, a)
        launch(simple_cell_forward, z[t], a, h_prev, at(mask, t), h, **options)
    return None


@kernel(cuda=_forward_cuda, examples=_forward_examples)
@wide("hs")
def simple_forward(
    xp: Any, z: Array, U: Array, mask: Array | None, hs: Array, activation: str
) -> None:
    """All steps: hs (T + 1, B, H) of z = x W + b (T, B, H); row 0 is the initial state.

    A shorter hs is gone through in a ring.
    """
    a, step = xp.empty(z.shape[1:], z.dtype), simple_cell_forward.reference
    for t in range(len(z)):
        h_prev, h = hs[t % len(hs)], hs[(t + 1) % len(hs)]
        shared_product(xp, h_prev, U, out=a)
        step(xp, z[t], a, h_prev, at(mask, t), h, activation=activation)


def _backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for steps, b, h, mask, activation in _cases(rng):
        hs, U = normal(rng, (steps + 1, b, h), dtype), recurrent(rng, h, 1, dtype)
        dy = None if mask is None else normal(rng, (steps, b, h), dtype)
        arrays = hs, U, mask, dy, normal(rng, (b, h), dtype), unwritten((steps, b, h), dtype)
        yield arrays, {"activation": activation}


def _backward_cuda(_: Kernel, arrays: tuple, options: dict) -> Any:
    hs, U, mask, dy, dh, dz = arrays
    if not can_launch(*arrays):
        return NotImplemented
    carry = None
    if mask is not None:
        carry = empty(dh.shape, dh.dtype, dh)
        carry.fill(0)
    for t in reversed(range(len(dz))):
        given = hs[t + 1], at(mask, t), at(dy, t)
        launch(simple_cell_backward, *given, dh, carry, dz[t], **options)
        multiply(dz[t], U, dh, transpose_b=True)
    if carry is not None:
        dh += carry
    return None


@kernel(cuda=_backward_cuda, examples=_backward_examples)
@wide("dh", "dz")
def simple_backward(
    xp: Any, hs: Array, U: Array, mask: Array | None, dy: Array | None, dh: Array, dz: Array,
    activation: str,
) -> None:  # fmt: skip
    """dz (T, B, H), and dh: of the last state before, of the initial one after.

    dy (T, B, H) is the gradient of all outputs, None if only the last state was used.
    """
    carry, step = None if mask is None else xp.zeros_like(dh), simple_cell_backward.reference
    for t in reversed(range(len(dz))):
        step(xp, hs[t + 1], at(mask, t), at(dy, t), dh, carry, dz[t], activation=activation)
        shared_product(xp, dz[t], U.T, out=dh)
    if carry is not None:
        dh += carry
