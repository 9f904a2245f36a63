"""Kernels of the GRU: a step of all gates, and a whole sequence. CUDA twins: kernels/rnn_gru.cu.

    z, r = σ(x W + h' U + b), g = tanh(x W + b + r n), n = h' U + b', h = z h' + (1 - z) g

h' is the state before. Gates lie side by side as in Keras: z, r, g, rows of 3H. A step that the
mask leaves out keeps the state. This is the form of `reset_after`; the other one, in which r
multiplies h' before U does, is in rnn_gru_before.py.  Cho et al. 2014
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.backend.cuda import raw
from gpunn.backend.devices import empty
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.gemm import shared_product
from gpunn.ops.rnn_steps import (
    SIZES,
    STAGED,
    at,
    by_gate,
    history,
    launch,
    masks,
    multiply,
    persistent,
    recurrent,
    resident,
    sigmoid,
    unit_launch,
    wide,
)

# --- one step ---


class _Forward:
    """A step on the CPU. Each gate is computed in a block of its own, which is 3 times as fast as
    in columns: NumPy's loops are then long.
    """

    def __init__(self, xp: Any, gates: Array, bias: Array | None):
        self.xp = xp
        self.blocks = xp.empty((3, len(gates), gates.shape[1] // 3), gates.dtype)
        self.bias = None if bias is None else xp.empty_like(gates)
        if self.bias is not None:
            self.bias[...] = bias

    def __call__(
        self, gates: Array, a: Array, h_prev: Array, mask: Any, n: Array, h: Array
    ) -> None:
        xp, (z, r, g) = self.xp, self.blocks
        if self.bias is not None:
            a += self.bias
        (x_z, x_r, x_g), (a_z, a_r, a_n) = by_gate(gates, 3), by_gate(a, 3)
        xp.add(x_z, a_z, out=z)
        xp.add(x_r, a_r, out=r)
        sigmoid(xp, self.blocks[:2])
        xp.copyto(n, a_n)
        xp.multiply(r, n, out=g)
        g += x_g
        xp.tanh(g, out=g)
        xp.subtract(h_prev, g, out=h)
        h *= z
        h += g
        xp.copyto(by_gate(gates, 3), self.blocks)
        if mask is not None:
            xp.copyto(h, h_prev, where=~mask[:, None])


class _Backward:
    """The gradients of a step on the CPU, each gate in a block of its own."""

    def __init__(self, xp: Any, gates: Array):
        self.xp = xp
        b = xp.empty((8, len(gates), gates.shape[1] // 3), gates.dtype)
        self.blocks = b[:3], b[3:6], b[6], b[7]

    def __call__(
        self, gates: Array, n: Array, h_prev: Array, mask: Any, dy: Array | None, dh: Array,
        carry: Array, dgates: Array, da: Array,
    ) -> None:  # fmt: skip
        xp, (y, dx, d, work) = self.xp, self.blocks
        xp.copyto(y, by_gate(gates, 3))
        xp.add(dh, carry, out=d)
        if dy is not None:
            d += dy
        (z, r, _), (_, dr, dg) = y, dx
        update_backward(xp, y, h_prev, d, dx, work)
        xp.multiply(d, z, out=carry)
        xp.multiply(dg, n, out=dr)
        sigmoid_backward(xp, r, dr, work)
        if mask is not None:
            off = ~mask[:, None]
            xp.copyto(dx, 0, where=off)
            xp.copyto(carry, d, where=off)
        xp.copyto(by_gate(dgates, 3), dx)
        dg *= r
        xp.copyto(by_gate(da, 3), dx)


def update_backward(xp: Any, y: Any, h_prev: Array, d: Array, dx: Any, work: Array) -> None:
    """dz and dg of h = z h' + (1 - z) g, before the activations; y and dx: z, r, g"""
    (z, _, g), (dz, _, dg) = y, dx
    xp.subtract(h_prev, g, out=dz)
    dz *= d
    sigmoid_backward(xp, z, dz, work)
    xp.multiply(g, g, out=dg)
    xp.subtract(1, dg, out=dg)
    xp.subtract(1, z, out=work)
    work *= d
    dg *= work


def sigmoid_backward(xp: Any, y: Array, d: Array, work: Array) -> None:
    """d *= y (1 - y)"""
    xp.subtract(1, y, out=work)
    work *= y
    d *= work


def _cell_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h in SIZES:
        for mask in masks(rng, 1, b):
            gates, a = normal(rng, (2, b, 3 * h), dtype)
            bias = None if mask is None else normal(rng, (3 * h,), dtype)
            new = unwritten((b, h), dtype), unwritten((b, h), dtype)
            yield (gates, a, bias, normal(rng, (b, h), dtype), at(mask, 0), *new), {}


@kernel(cuda=raw("rnn_gru.cu", "gru_cell_forward", unit_launch(3)), examples=_cell_examples)
@wide("gates", "n", "h")
def gru_cell_forward(
    xp: Any, gates: Array, a: Array, bias: Array | None, h_prev: Array, mask: Array | None,
    n: Array, h: Array,
) -> None:  # fmt: skip
    """gates = f(gates), n = h' U + b', h = z h' + (1 - z) g; gates = x W + b before, a = h' U"""
    _Forward(xp, gates, bias)(gates, a.copy(), h_prev, mask, n, h)


def _cell_backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h in SIZES:
        for mask in masks(rng, 1, b):
            gates = np.asarray(rng.uniform(0, 1, (b, 3 * h)), dtype)
            n, h_prev, dy, dh, carry = normal(rng, (5, b, h), dtype)
            given = at(mask, 0), None if mask is None else dy, dh, carry
            new = unwritten((b, 3 * h), dtype), unwritten((b, 3 * h), dtype)
            yield (gates, n, h_prev, *given, *new), {}


@kernel(
    cuda=raw("rnn_gru.cu", "gru_cell_backward", unit_launch(1)), examples=_cell_backward_examples
)
@wide("carry", "dgates", "da")
def gru_cell_backward(
    xp: Any, gates: Array, n: Array, h_prev: Array, mask: Array | None, dy: Array | None,
    dh: Array, carry: Array, dgates: Array, da: Array,
) -> None:  # fmt: skip
    """dgates (of x W + b) and da (of h' U + b') of d = dh + carry + dy, then carry = d z

    dh comes through the next step's U, carry around it: all of d where the mask leaves a step out.
    """
    _Backward(xp, gates)(gates, n, h_prev, mask, dy, dh, carry, dgates, da)


# --- a sequence ---


def _forward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for steps, b, h in SIZES:
        for mask in masks(rng, steps, b):
            gates, U = normal(rng, (steps, b, 3 * h), dtype), recurrent(rng, h, 3, dtype)
            bias = None if mask is None else normal(rng, (3 * h,), dtype)
            n, hs = unwritten((steps, b, h), dtype), history(rng, dtype, steps, b, h)
            yield (gates, U, bias, mask, n, hs), {}
    yield (gates.copy(), U, None, None, n[:1].copy(), hs[:2].copy()), {}  # nothing is kept


def _forward_plan(gates: Array, U: Array, *rest: Any) -> Any:
    (steps, rows, width), (*_, n, hs) = gates.shape, rest
    shared, lengths = 4 * (width + 3) + STAGED, (len(n), len(hs))
    return resident(steps, rows, width // 3, shared, gates, U, *rest, lengths=lengths)


def _forward_steps(
    gates: Array, U: Array, bias: Array | None, mask: Array | None, n: Array, hs: Array
) -> None:
    a = empty(gates.shape[1:], gates.dtype, gates)
    for t in range(len(gates)):
        h_prev = hs[t % len(hs)]
        multiply(h_prev, U, a)
        new = n[t % len(n)], hs[(t + 1) % len(hs)]
        launch(gru_cell_forward, gates[t], a, bias, h_prev, at(mask, t), *new)


@kernel(
    cuda=persistent("rnn_gru.cu", "gru_persistent", _forward_plan, _forward_steps),
    examples=_forward_examples,
)
@wide("gates", "n", "hs")
def gru_forward(
    xp: Any, gates: Array, U: Array, bias: Array | None, mask: Array | None, n: Array, hs: Array
) -> None:
    """All steps: gates (T, B, 3H) are x W + b before and activated after; n (T, B, H) is kept.

    hs (T + 1, B, H): row 0 is the initial state. Shorter n and hs are gone through in a ring.
    """
    step, a = _Forward(xp, gates[0], bias), xp.empty(gates.shape[1:], gates.dtype)
    for t in range(len(gates)):
        h_prev = hs[t % len(hs)]
        shared_product(xp, h_prev, U, out=a)
        step(gates[t], a, h_prev, at(mask, t), n[t % len(n)], hs[(t + 1) % len(hs)])


def _backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for steps, b, h in SIZES:
        for mask in masks(rng, steps, b):
            gates = np.asarray(rng.uniform(0, 1, (steps, b, 3 * h)), dtype)
            n, hs = normal(rng, (steps, b, h), dtype), normal(rng, (steps + 1, b, h), dtype)
            dy = None if mask is None else normal(rng, (steps, b, h), dtype)
            new = unwritten(gates.shape, dtype), unwritten(gates.shape, dtype)
            U, dh = recurrent(rng, h, 3, dtype), normal(rng, (b, h), dtype)
            yield (gates, n, hs, U, mask, dy, dh, *new), {}


def _backward_plan(gates: Array, *rest: Any) -> Any:
    steps, rows, width = gates.shape
    return resident(steps, rows, width // 3, 4 * (width + 1) + STAGED, gates, *rest)


def _backward_steps(
    gates: Array, n: Array, hs: Array, U: Array, mask: Array | None, dy: Array | None,
    dh: Array, dgates: Array, da: Array,
) -> None:  # fmt: skip
    carry = empty(dh.shape, dh.dtype, dh)
    carry.fill(0)
    for t in reversed(range(len(gates))):
        given = gates[t], n[t], hs[t], at(mask, t), at(dy, t)
        launch(gru_cell_backward, *given, dh, carry, dgates[t], da[t])
        multiply(da[t], U, dh, transpose_b=True)
    dh += carry


@kernel(
    cuda=persistent("rnn_gru.cu", "gru_persistent_backward", _backward_plan, _backward_steps),
    examples=_backward_examples,
)
@wide("dh", "dgates", "da")
def gru_backward(
    xp: Any, gates: Array, n: Array, hs: Array, U: Array, mask: Array | None, dy: Array | None,
    dh: Array, dgates: Array, da: Array,
) -> None:  # fmt: skip
    """dgates, da (T, B, 3H), and dh: of the last state before, of the initial one after.

    dy (T, B, H) is the gradient of all outputs, None if only the last state was used.
    """
    step, UT, carry = _Backward(xp, gates[0]), U.T, xp.zeros_like(dh)
    for t in reversed(range(len(gates))):
        given = gates[t], n[t], hs[t], at(mask, t), at(dy, t)
        step(*given, dh, carry, dgates[t], da[t])
        shared_product(xp, da[t], UT, out=dh)
    dh += carry
