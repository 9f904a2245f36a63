"""Kernels of the LSTM: a step of all gates, and a whole sequence. CUDA twins: kernels/rnn_lstm.cu.

    i, f, o = σ(x W + h U + b), g = tanh(x W + h U + b), c = f c' + i g, h = o tanh(c)

h' and c' are the states before. Gates lie side by side as in Keras: i, f, g, o, rows of 4H. A step
that the mask leaves out keeps both states.  Hochreiter & Schmidhuber 1997
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
    unit_launch,
    wide,
)

# --- one step ---


class _Forward:
    """A step on the CPU, with the work arrays of all steps.

    tanh(z) = 2 σ(2 z) - 1, so that one `exp` does all gates: it takes half the time of `tanh`.
    """

    def __init__(self, xp: Any, gates: Array):
        self.xp = xp
        self.height = xp.ones_like(gates)  # whole arrays: NumPy's loops are then long
        by_gate(self.height, 4)[2] = 2
        self.rate = -self.height
        self.product = xp.empty((len(gates), gates.shape[1] // 4), gates.dtype)

    def __call__(
        self, gates: Array, a: Array, h_prev: Array, c_prev: Array, mask: Any, h: Array, c: Array
    ) -> None:
        xp = self.xp
        i, f, g, o = by_gate(gates, 4)
        gates += a
        gates *= self.rate
        xp.exp(gates, out=gates)
        gates += 1
        xp.divide(self.height, gates, out=gates)
        g -= 1
        xp.multiply(f, c_prev, out=c)
        xp.multiply(i, g, out=self.product)
        c += self.product
        xp.tanh(c, out=h)
        h *= o
        if mask is not None:
            off = ~mask[:, None]
            xp.copyto(h, h_prev, where=off)
            xp.copyto(c, c_prev, where=off)


class _Backward:
    """The gradients of a step on the CPU, each gate in a block of its own."""

    def __init__(self, xp: Any, gates: Array):
        self.xp = xp
        b = xp.empty((14, len(gates), gates.shape[1] // 4), gates.dtype)
        self.blocks = b[:4], b[4:8], b[8:12], b[12], b[13]

    def __call__(
        self, gates: Array, c_prev: Array, c: Array, mask: Any, dy: Array | None, dh: Array,
        carry: Array | None, dc: Array, dz: Array,
    ) -> None:  # fmt: skip
        xp, (y, dx, slope, t, sums) = self.xp, self.blocks
        (i, f, g, o), (di, df, dg, do) = y, dx
        xp.copyto(y, by_gate(gates, 4))
        total = dh if dy is None else xp.add(dh, dy, out=sums)
        if mask is not None:
            total = xp.add(total, carry, out=sums)
            on = mask[:, None]
            xp.multiply(total, ~on, out=carry)
            total *= on
            passed = dc * ~on
            dc *= on
        xp.tanh(c, out=t)
        xp.multiply(total, t, out=do)
        t *= t
        xp.subtract(1, t, out=t)
        t *= o
        t *= total
        dc += t
        xp.multiply(dc, g, out=di)
        xp.multiply(dc, c_prev, out=df)
        xp.multiply(dc, i, out=dg)
        dc *= f
        xp.subtract(1, y, out=slope)  # σ' = y (1 - y), tanh' = (1 + y) (1 - y)
        g += 1
        dx *= slope
        dx *= y
        if mask is not None:
            xp.copyto(dx, 0, where=~on)
            dc += passed
        xp.copyto(by_gate(dz, 4), dx)


def _cell_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h in SIZES:
        for mask in masks(rng, 1, b):
            gates, a = normal(rng, (b, 4 * h), dtype), normal(rng, (b, 4 * h), dtype)
            states = normal(rng, (2, b, h), dtype)
            new = unwritten((b, h), dtype), unwritten((b, h), dtype)
            yield (gates, a, *states, at(mask, 0), *new), {}


@kernel(cuda=raw("rnn_lstm.cu", "lstm_cell_forward", unit_launch(2)), examples=_cell_examples)
@wide("gates", "h", "c")
def lstm_cell_forward(
    xp: Any, gates: Array, a: Array, h_prev: Array, c_prev: Array, mask: Array | None, h: Array,
    c: Array,
) -> None:  # fmt: skip
    """gates = f(gates + a), c = f c' + i g, h = o tanh(c); gates = x W + b before, a = h' U"""
    _Forward(xp, gates)(gates, a, h_prev, c_prev, mask, h, c)


def _cell_backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h in SIZES:
        for mask in masks(rng, 1, b):
            gates = np.asarray(rng.uniform(0, 1, (b, 4 * h)), dtype)
            c_prev, c, dy, dh, carry, dc = normal(rng, (6, b, h), dtype)
            given = (None, dh, None) if mask is None else (dy, dh, carry)
            yield (gates, c_prev, c, at(mask, 0), *given, dc, unwritten((b, 4 * h), dtype)), {}


@kernel(
    cuda=raw("rnn_lstm.cu", "lstm_cell_backward", unit_launch(1)),
    examples=_cell_backward_examples,
)
@wide("carry", "dc", "dz")
def lstm_cell_backward(
    xp: Any, gates: Array, c_prev: Array, c: Array, mask: Array | None, dy: Array | None,
    dh: Array, carry: Array | None, dc: Array, dz: Array,
) -> None:  # fmt: skip
    """dz, dc' of d = dh + dy (+ carry): dh from the next step's U, dy of the output.

    With a mask, `carry` is what a step that is left out passes by: d there, 0 elsewhere.
    """
    _Backward(xp, gates)(gates, c_prev, c, mask, dy, dh, carry, dc, dz)


# --- a sequence ---


def _forward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for steps, b, h in SIZES:
        for mask in masks(rng, steps, b):
            gates = normal(rng, (steps, b, 4 * h), dtype)
            U = recurrent(rng, h, 4, dtype)
            hs, cs = history(rng, dtype, steps, b, h), history(rng, dtype, steps, b, h)
            yield (gates, U, mask, hs, cs), {}
    yield (gates.copy(), U, None, hs[:2].copy(), cs[:2].copy()), {}  # states that are not kept


def _forward_plan(gates: Array, U: Array, mask: Array | None, hs: Array, cs: Array) -> Any:
    sizes = len(gates), hs.shape[1], hs.shape[2]
    shared = 16 * (hs.shape[2] + 1) + STAGED
    return resident(*sizes, shared, gates, U, mask, hs, cs, lengths=(len(hs), len(cs)))


def _forward_steps(gates: Array, U: Array, mask: Array | None, hs: Array, cs: Array) -> None:
    a = empty(gates.shape[1:], gates.dtype, gates)
    for t in range(len(gates)):
        before = hs[t % len(hs)], cs[t % len(cs)]
        multiply(before[0], U, a)
        new = hs[(t + 1) % len(hs)], cs[(t + 1) % len(cs)]
        launch(lstm_cell_forward, gates[t], a, *before, at(mask, t), *new)


@kernel(
    cuda=persistent("rnn_lstm.cu", "lstm_persistent", _forward_plan, _forward_steps),
    examples=_forward_examples,
)
@wide("gates", "hs", "cs")
def lstm_forward(xp: Any, gates: Array, U: Array, mask: Array | None, hs: Array, cs: Array) -> None:
    """All steps: gates (T, B, 4H) are x W + b before and activated after.

    hs, cs (T + 1, B, H): row 0 holds the initial states; shorter ones are gone through in a ring.
    """
    step, a = _Forward(xp, gates[0]), xp.empty(gates.shape[1:], gates.dtype)
    n, m = len(hs), len(cs)
    for t in range(len(gates)):
        h_prev = hs[t % n]
        shared_product(xp, h_prev, U, out=a)
        step(gates[t], a, h_prev, cs[t % m], at(mask, t), hs[(t + 1) % n], cs[(t + 1) % m])


def _backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for steps, b, h in SIZES:
        for mask in masks(rng, steps, b):
            gates = np.asarray(rng.uniform(0, 1, (steps, b, 4 * h)), dtype)
            cs, U = normal(rng, (steps + 1, b, h), dtype), recurrent(rng, h, 4, dtype)
            dh, dc = normal(rng, (2, b, h), dtype)
            dy = None if mask is None else normal(rng, (steps, b, h), dtype)
            yield (gates, cs, U, mask, dy, dh, dc, unwritten(gates.shape, dtype)), {}


def _backward_plan(gates: Array, cs: Array, *rest: Any) -> Any:
    units = cs.shape[2]
    return resident(len(gates), *cs.shape[1:], 4 * (4 * units + 1) + STAGED, gates, cs, *rest)


def _backward_steps(
    gates: Array, cs: Array, U: Array, mask: Array | None, dy: Array | None, dh: Array,
    dc: Array, dz: Array,
) -> None:  # fmt: skip
    carry = None
    if mask is not None:
        carry = empty(dh.shape, dh.dtype, dh)
        carry.fill(0)
    for t in reversed(range(len(gates))):
        given = gates[t], cs[t], cs[t + 1], at(mask, t), at(dy, t)
        launch(lstm_cell_backward, *given, dh, carry, dc, dz[t])
        multiply(dz[t], U, dh, transpose_b=True)
    if carry is not None:
        dh += carry


@kernel(
    cuda=persistent("rnn_lstm.cu", "lstm_persistent_backward", _backward_plan, _backward_steps),
    examples=_backward_examples,
)
@wide("dh", "dc", "dz")
def lstm_backward(
    xp: Any, gates: Array, cs: Array, U: Array, mask: Array | None, dy: Array | None, dh: Array,
    dc: Array, dz: Array,
) -> None:  # fmt: skip
    """dz (T, B, 4H), and dh, dc: of the last states before, of the initial ones after.

    dy (T, B, H) is the gradient of all outputs, None if only the last states were used.
    """
    step, UT = _Backward(xp, gates[0]), U.T
    carry = None if mask is None else xp.zeros_like(dh)
    for t in reversed(range(len(gates))):
        given = gates[t], cs[t], cs[t + 1], at(mask, t), at(dy, t)
        step(*given, dh, carry, dc, dz[t])
        shared_product(xp, dz[t], UT, out=dh)
    if carry is not None:
        dh += carry
