"""Recurrent networks over whole sequences, each one op: x (B, T, F) -> y and the last states.

x W + b of all steps is one product before the loop over time, and so are dW, dU, db and dx after
it; inside, arrays are time-major. In training a sample keeps (6H + F) numbers a step for an LSTM,
(5H + F) for a GRU, (H + F) for a simple one; without a tape, the states go through a ring of two.
"""

from __future__ import annotations

from typing import Any

from gpunn.autodiff.op import Joint, grad_like, op
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, packed
from gpunn.ops.gemm import product
from gpunn.ops.reduce import reduce_sum
from gpunn.ops.rnn_gru import gru_backward, gru_forward
from gpunn.ops.rnn_gru_before import gru_before_backward, gru_before_forward
from gpunn.ops.rnn_lstm import lstm_backward, lstm_forward
from gpunn.ops.rnn_sequence import Run, flat, full, gru_rule, lstm_rule, simple_rule
from gpunn.ops.rnn_simple import simple_backward, simple_forward


@op(shape=lstm_rule)
def lstm_sequence(
    x: Array, w: Array, u: Array, b: Array | None = None, h0: Array | None = None,
    c0: Array | None = None, mask: Array | None = None, *, go_backwards: bool = False,
    return_sequences: bool = False,
) -> Any:  # fmt: skip
    """(y, h, c) of an LSTM: x (B, T, F), w (F, 4H), u (H, 4H), b (4H,), h0 and c0 (B, H).

    Gates in Keras' order i, f, c, o. y is h of the last step, or of all (B, T, H), in the order in
    which they are done. A step whose mask (B, T) is False keeps the states.
    """
    run, units = Run(x, w, mask, go_backwards, return_sequences), u.shape[0]
    gates, U = run.projected(b), packed(u)
    hs, cs = run.states(h0, units, return_sequences), run.states(c0, units, False)
    lstm_forward(gates, U, run.mask, hs, cs)

    def gradients(dys: tuple, needed: Any) -> tuple[Array | None, ...]:
        needs, du = full(needed, 7), None
        dy, dh = run.incoming(dys[0], dys[1], hs[0])
        _, dc = run.incoming(None, dys[2], hs[0])
        dz = empty_like(gates)
        lstm_backward(gates, cs, U, run.mask, dy, dh, dc, dz)
        dx, dw, db = run.gradients(dz, b, needs)
        if needs[2]:
            du = grad_like(u)
            product(flat(hs[:-1]), flat(dz), None, du, transpose_a=True)
        return (dx, dw, du, db, dh, dc, None)[: len(needed)]

    return (run.output(hs), run.last(hs), run.last(cs)), Joint(gradients)


@op(shape=gru_rule)
def gru_sequence(
    x: Array, w: Array, u: Array, b: Array | None = None, h0: Array | None = None,
    mask: Array | None = None, *, reset_after: bool = True, go_backwards: bool = False,
    return_sequences: bool = False,
) -> Any:  # fmt: skip
    """(y, h) of a GRU: x (B, T, F), w (F, 3H), u (H, 3H), h0 (B, H); gates z, r, h.

    b: (2, 3H) with `reset_after` (of x W and of h U), else (3H,). y and mask: see `lstm_sequence`.
    """
    run, units = Run(x, w, mask, go_backwards, return_sequences), u.shape[0]
    inner = None if b is None or not reset_after else packed(b)[1]
    gates, U = run.projected(b if inner is None or b is None else packed(b)[0]), packed(u)
    hs = run.states(h0, units, return_sequences)
    n = empty((run.steps if run.keeps else 1, *hs.shape[1:]), x.dtype, x)
    if reset_after:
        gru_forward(gates, U, inner, run.mask, n, hs)
    else:
        parts = _columns(U, 0, 2 * units), _columns(U, 2 * units, 3 * units)
        gru_before_forward(gates, *parts, run.mask, n, hs)

    def gradients(dys: tuple, needed: Any) -> tuple[Array | None, ...]:
        needs = full(needed, 6)
        dy, dh = run.incoming(dys[0], dys[1], hs[0])
        dgates, before = empty_like(gates), flat(hs[:-1])
        if reset_after:
            da = empty_like(gates)
            gru_backward(gates, n, hs, U, run.mask, dy, dh, dgates, da)
            products = [(before, flat(da), 0)]
        else:
            gru_before_backward(gates, hs, *parts, run.mask, dy, dh, dgates)
            dG = flat(dgates)
            products = [(before, dG[:, : 2 * units], 0), (flat(n), dG[:, 2 * units :], 2 * units)]
        dx, dw, db = run.gradients(dgates, None if inner is not None else b, needs)
        if inner is not None and needs[3]:
            db = _both_biases(dgates, da, b)
        du = _in_columns(u, products) if needs[2] else None
        return (dx, dw, du, db, dh, None)[: len(needed)]

    return (run.output(hs), run.last(hs)), Joint(gradients)


def _columns(U: Array, start: int, stop: int) -> Array:
    return packed(U[:, start:stop])


def _both_biases(dgates: Array, da: Array, b: Any) -> Array:
    """db (2, 3H): of x W + b and of h U + b'"""
    db = grad_like(b)
    reduce_sum(flat(dgates), db[0], axes=(0,))
    reduce_sum(flat(da), db[1], axes=(0,))
    return db


def _in_columns(u: Array, products: list[tuple[Array, Array, int]]) -> Array:
    """du, whose columns from `start` on are aᵀ d for each (a, d, start)"""
    du = grad_like(u)
    for a, d, start in products:
        whole = d.shape[1] == u.shape[1]
        part = du if whole else empty((u.shape[0], d.shape[1]), u.dtype, u)
        product(a, d, None, part, transpose_a=True)
        if not whole:
            copy_into(part, du[:, start : start + d.shape[1]])
    return du


@op(shape=simple_rule)
def simple_rnn_sequence(
    x: Array, w: Array, u: Array, b: Array | None = None, h0: Array | None = None,
    mask: Array | None = None, *, activation: str = "tanh", go_backwards: bool = False,
    return_sequences: bool = False,
) -> Any:  # fmt: skip
    """(y, h) of h = f(x w + h u + b): x (B, T, F), w (F, H), u (H, H), b (H,), h0 (B, H).

    f: ``"tanh"``, ``"relu"`` or ``"linear"``. y, mask: see `lstm_sequence`.
    """
    run, U = Run(x, w, mask, go_backwards, return_sequences), packed(u)
    z, hs = run.projected(b), run.states(h0, u.shape[0], return_sequences)
    simple_forward(z, U, run.mask, hs, activation=activation)

    def gradients(dys: tuple, needed: Any) -> tuple[Array | None, ...]:
        needs, du = full(needed, 6), None
        dy, dh = run.incoming(dys[0], dys[1], hs[0])
        dz = empty_like(hs[1:])
        simple_backward(hs, U, run.mask, dy, dh, dz, activation=activation)
        dx, dw, db = run.gradients(dz, b, needs)
        if needs[2]:
            du = grad_like(u)
            product(flat(hs[:-1]), flat(dz), None, du, transpose_a=True)
        return (dx, dw, du, db, dh, None)[: len(needed)]

    return (run.output(hs), run.last(hs)), Joint(gradients)
