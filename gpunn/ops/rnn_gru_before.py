"""Kernels of the GRU's first form, in which r multiplies the state before U does.

    z, r = σ(x W + h' U + b), n = r h', g = tanh(x W + n U + b), h = z h' + (1 - z) g

U is given in two parts: of z and r (H, 2H), and of g (H, H). CUDA twins: kernels/rnn_gru.cu.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.backend.cuda import raw
from gpunn.backend.devices import empty
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.gemm import shared_product
from gpunn.ops.rnn_gru import sigmoid_backward, update_backward
from gpunn.ops.rnn_steps import (
    SIZES,
    at,
    can_launch,
    history,
    launch,
    masks,
    multiply,
    recurrent,
    sigmoid,
    unit_launch,
    wide,
)

# --- one step, in two halves ---


def _reset_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h in SIZES:
        gates, a = normal(rng, (b, 3 * h), dtype), normal(rng, (b, 2 * h), dtype)
        yield (gates, a, normal(rng, (b, h), dtype), unwritten((b, h), dtype)), {}


@kernel(cuda=raw("rnn_gru.cu", "gru_reset_forward", unit_launch(2)), examples=_reset_examples)
@wide("gates", "n")
def gru_reset_forward(xp: Any, gates: Array, a: Array, h_prev: Array, n: Array) -> None:
    """z, r = σ(gates + a) in the first columns of gates, n = r h'; a = h' U"""
    u = n.shape[1]
    zr = gates[:, : 2 * u]
    zr += a
    sigmoid(xp, zr)
    xp.multiply(zr[:, u:], h_prev, out=n)


def _update_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h in SIZES:
        for mask in masks(rng, 1, b):
            a, h_prev = normal(rng, (2, b, h), dtype)
            gates = normal(rng, (b, 3 * h), dtype)
            yield (gates, a, h_prev, at(mask, 0), unwritten((b, h), dtype)), {}


@kernel(cuda=raw("rnn_gru.cu", "gru_update_forward", unit_launch(1)), examples=_update_examples)
@wide("gates", "h")
def gru_update_forward(
    xp: Any, gates: Array, a: Array, h_prev: Array, mask: Array | None, h: Array
) -> None:
    """g = tanh(gates + a) in the last columns of gates, h = z h' + (1 - z) g; a = n U"""
    u = h.shape[1]
    g = gates[:, 2 * u :]
    g += a
    xp.tanh(g, out=g)
    xp.subtract(h_prev, g, out=h)
    h *= gates[:, :u]
    h += g
    if mask is not None:
        xp.copyto(h, h_prev, where=~mask[:, None])


def _update_backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h in SIZES:
        for mask in masks(rng, 1, b):
            gates = np.asarray(rng.uniform(0, 1, (b, 3 * h)), dtype)
            h_prev, dy, dh, carry = normal(rng, (4, b, h), dtype)
            given = at(mask, 0), None if mask is None else dy, dh, carry
            new = np.ones((b, 3 * h), dtype), unwritten((b, h), dtype)
            yield (gates, h_prev, *given, *new), {}


@kernel(
    cuda=raw("rnn_gru.cu", "gru_update_backward", unit_launch(1)),
    examples=_update_backward_examples,
)
@wide("carry", "dgates", "dn")
def gru_update_backward(
    xp: Any, gates: Array, h_prev: Array, mask: Array | None, dy: Array | None, dh: Array,
    carry: Array, dgates: Array, dn: Array,
) -> None:  # fmt: skip
    """dz and dg in dgates, dg in dn as well, of d = dh + carry + dy, then carry = d z

    dh comes through the next step's U, carry around it: all of d where the mask leaves a step out.
    """
    u = dn.shape[1]
    d = dh + carry
    if dy is not None:
        d += dy
    y = gates[:, :u], None, gates[:, 2 * u :]
    update_backward(xp, y, h_prev, d, (dgates[:, :u], None, dn), xp.empty_like(dn))
    xp.multiply(d, gates[:, :u], out=carry)
    if mask is not None:
        off = ~mask[:, None]
        xp.copyto(dgates[:, :u], 0, where=off)
        xp.copyto(dn, 0, where=off)
        xp.copyto(carry, d, where=off)
    dgates[:, 2 * u :] = dn


def _reset_backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for _, b, h in SIZES:
        gates = np.asarray(rng.uniform(0, 1, (b, 3 * h)), dtype)
        h_prev, dn, carry = normal(rng, (3, b, h), dtype)
        new = normal(rng, (b, 3 * h), dtype), unwritten((b, 2 * h), dtype)
        yield (gates, h_prev, dn, carry, *new), {}


@kernel(
    cuda=raw("rnn_gru.cu", "gru_reset_backward", unit_launch(1)), examples=_reset_backward_examples
)
@wide("carry", "dgates", "da")
def gru_reset_backward(
    xp: Any, gates: Array, h_prev: Array, dn: Array, carry: Array, dgates: Array, da: Array
) -> None:
    """dr in dgates, and da = (dz, dr) side by side, of n = r h'; carry += dn r"""
    u = dn.shape[1]
    r, dr = gates[:, u : 2 * u], dgates[:, u : 2 * u]
    carry += dn * r
    xp.multiply(dn, h_prev, out=dr)
    sigmoid_backward(xp, r, dr, xp.empty_like(dn))
    da[...] = dgates[:, : 2 * u]


# --- a sequence ---


def _parts(rng: np.random.Generator, h: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    return recurrent(rng, h, 2, dtype), recurrent(rng, h, 1, dtype)


def _forward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for steps, b, h in SIZES:
        for mask in masks(rng, steps, b):
            gates, U = normal(rng, (steps, b, 3 * h), dtype), _parts(rng, h, dtype)
            n, hs = unwritten((steps, b, h), dtype), history(rng, dtype, steps, b, h)
            yield (gates, *U, mask, n, hs), {}
    yield (gates.copy(), *U, None, n[:1].copy(), hs[:2].copy()), {}  # nothing is kept


def _forward_cuda(_: Kernel, arrays: tuple, options: dict) -> Any:
    gates, U, V, mask, n, hs = arrays
    if not can_launch(*arrays):
        return NotImplemented
    a = empty((gates.shape[1], U.shape[1]), gates.dtype, gates)
    inner = empty(hs.shape[1:], hs.dtype, hs)
    for t in range(len(gates)):
        h_prev, h, kept = hs[t % len(hs)], hs[(t + 1) % len(hs)], n[t % len(n)]
        multiply(h_prev, U, a)
        launch(gru_reset_forward, gates[t], a, h_prev, kept)
        multiply(kept, V, inner)
        launch(gru_update_forward, gates[t], inner, h_prev, at(mask, t), h)
    return None


@kernel(cuda=_forward_cuda, examples=_forward_examples)
@wide("gates", "n", "hs")
def gru_before_forward(
    xp: Any, gates: Array, U: Array, V: Array, mask: Array | None, n: Array, hs: Array
) -> None:
    """All steps: gates (T, B, 3H) are x W + b before and activated after; n (T, B, H) is kept.

    hs (T + 1, B, H): row 0 is the initial state. Shorter n and hs are gone through in a ring.
    """
    a, inner = xp.empty((gates.shape[1], U.shape[1]), U.dtype), xp.empty(hs.shape[1:], U.dtype)
    for t in range(len(gates)):
        h_prev, h, kept = hs[t % len(hs)], hs[(t + 1) % len(hs)], n[t % len(n)]
        shared_product(xp, h_prev, U, out=a)
        gru_reset_forward.reference(xp, gates[t], a, h_prev, kept)
        shared_product(xp, kept, V, out=inner)
        gru_update_forward.reference(xp, gates[t], inner, h_prev, at(mask, t), h)


def _backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for steps, b, h in SIZES:
        for mask in masks(rng, steps, b):
            gates = np.asarray(rng.uniform(0, 1, (steps, b, 3 * h)), dtype)
            hs, dh = normal(rng, (steps + 1, b, h), dtype), normal(rng, (b, h), dtype)
            dy = None if mask is None else normal(rng, (steps, b, h), dtype)
            dgates = unwritten(gates.shape, dtype)
            yield (gates, hs, *_parts(rng, h, dtype), mask, dy, dh, dgates), {}


def _backward_cuda(_: Kernel, arrays: tuple, options: dict) -> Any:
    gates, hs, U, V, mask, dy, dh, dgates = arrays
    if not can_launch(*arrays):
        return NotImplemented
    carry, dn, through = (empty(dh.shape, dh.dtype, dh) for _ in range(3))
    da = empty((len(dh), U.shape[1]), dh.dtype, dh)
    carry.fill(0)
    for t in reversed(range(len(gates))):
        given = gates[t], hs[t], at(mask, t), at(dy, t), dh
        launch(gru_update_backward, *given, carry, dgates[t], dn)
        multiply(dn, V, through, transpose_b=True)
        launch(gru_reset_backward, gates[t], hs[t], through, carry, dgates[t], da)
        multiply(da, U, dh, transpose_b=True)
    dh += carry
    return None


@kernel(cuda=_backward_cuda, examples=_backward_examples)
@wide("dh", "dgates")
def gru_before_backward(
    xp: Any, gates: Array, hs: Array, U: Array, V: Array, mask: Array | None, dy: Array | None,
    dh: Array, dgates: Array,
) -> None:  # fmt: skip
    """dgates (T, B, 3H), and dh: of the last state before, of the initial one after.

    dy (T, B, H) is the gradient of all outputs, None if only the last state was used.
    """
    carry, dn, through = xp.zeros_like(dh), xp.empty_like(dh), xp.empty_like(dh)
    da = xp.empty((len(dh), U.shape[1]), dh.dtype)
    for t in reversed(range(len(gates))):
        given = gates[t], hs[t], at(mask, t), at(dy, t), dh
        gru_update_backward.reference(xp, *given, carry, dgates[t], dn)
        shared_product(xp, dn, V.T, out=through)
        gru_reset_backward.reference(xp, gates[t], hs[t], through, carry, dgates[t], da)
        shared_product(xp, da, U.T, out=dh)
    dh += carry
