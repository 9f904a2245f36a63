"""What the ops of recurrent networks share: shape rules, the sequence by time, its gradients."""

from __future__ import annotations

from typing import Any

from gpunn.autodiff.op import grad_like
from gpunn.autodiff.symbolic import Spec
from gpunn.autodiff.tape import accumulate, is_differentiating
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import copy_into, fill, packed
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.gemm import product
from gpunn.ops.reduce import reduce_sum
from gpunn.ops.rnn_simple import ACTIVATIONS
from gpunn.ops.rules import result_dtype

# --- rules ---


def _check(name: str, x: Any, w: Any, u: Any, b: Any, gates: int, states: dict, mask: Any) -> None:
    if len(x.shape) != 3 or len(w.shape) != 2 or len(u.shape) != 2:
        raise ShapeError(
            f"{name}: expected sequences (batch, steps, features) and two matrices, received "
            f"{tuple(x.shape)}, w {tuple(w.shape)} and u {tuple(u.shape)}."
        )
    units = u.shape[0]
    if tuple(u.shape) != (units, gates * units) or tuple(w.shape) != (x.shape[2], gates * units):
        raise ShapeError(
            f"{name}: the matrices must be w (features, {gates} · units) and u (units, {gates} · "
            f"units) (x {tuple(x.shape)}, w {tuple(w.shape)}, u {tuple(u.shape)})."
        )
    if b is not None and tuple(b.shape) not in ((gates * units,), (2, gates * units)):
        raise ShapeError(
            f"{name}: the bias must have {gates} · {units} elements, received {tuple(b.shape)}."
        )
    if x.shape[1] == 0:
        raise ShapeError(
            f"{name}: the sequences have no steps (x {tuple(x.shape)}). Give at least one."
        )
    for label, shape, wanted in (
        *((k, s.shape, (x.shape[0], units)) for k, s in states.items() if s is not None),
        *((("mask", mask.shape, x.shape[:2]),) if mask is not None else ()),
    ):
        if len(shape) != 2 or any(m not in (n, None) and n for m, n in zip(shape, wanted)):
            raise ShapeError(
                f"{name}: '{label}' has shape {tuple(shape)}, the sequences {tuple(x.shape)} with "
                f"{units} units need {tuple(wanted)}."
            )


def _specs(x: Any, u: Any, return_sequences: bool, states: int) -> tuple[Spec, ...]:
    last = Spec((x.shape[0], u.shape[0]), result_dtype(x, u))
    whole = Spec((*x.shape[:2], u.shape[0]), last.dtype)
    return (whole if return_sequences else last, *[last] * states)


def lstm_rule(
    x: Any, w: Any, u: Any, b: Any = None, h0: Any = None, c0: Any = None, mask: Any = None, *,
    go_backwards: bool = False, return_sequences: bool = False,
) -> tuple[Spec, ...]:  # fmt: skip
    """x (B, T, F), w (F, 4H), u (H, 4H) -> y (B, H) or (B, T, H), and the last h and c (B, H)"""
    _check("lstm_sequence", x, w, u, b, 4, {"h0": h0, "c0": c0}, mask)
    return _specs(x, u, return_sequences, 2)


def gru_rule(
    x: Any, w: Any, u: Any, b: Any = None, h0: Any = None, mask: Any = None, *,
    reset_after: bool = True, go_backwards: bool = False, return_sequences: bool = False,
) -> tuple[Spec, ...]:  # fmt: skip
    """x (B, T, F), w (F, 3H), u (H, 3H) -> y (B, H) or (B, T, H), and the last h (B, H)"""
    _check("gru_sequence", x, w, u, b, 3, {"h0": h0}, mask)
    if b is not None and (len(b.shape) == 2) != reset_after:
        wanted = (2, u.shape[1]) if reset_after else (u.shape[1],)
        raise ShapeError(
            f"gru_sequence: with reset_after={reset_after} the bias must have shape {wanted}, "
            f"received {tuple(b.shape)}."
        )
    return _specs(x, u, return_sequences, 1)


def simple_rule(
    x: Any, w: Any, u: Any, b: Any = None, h0: Any = None, mask: Any = None, *,
    activation: str = "tanh", go_backwards: bool = False, return_sequences: bool = False,
) -> tuple[Spec, ...]:  # fmt: skip
    """x (B, T, F), w (F, H), u (H, H) -> y (B, H) or (B, T, H), and the last h (B, H)"""
    _check("simple_rnn_sequence", x, w, u, b, 1, {"h0": h0}, mask)
    if activation not in ACTIVATIONS:
        raise unknown_name("activation of simple_rnn_sequence", activation, ACTIVATIONS)
    return _specs(x, u, return_sequences, 1)


# --- what the ops share ---


def _by_time(x: Array, go_backwards: bool, dtype: Any = None) -> Array:
    """(B, T, ...) as packed (T, B, ...), in the order in which the steps are done."""
    x = x.swapaxes(0, 1)
    return packed(x[::-1] if go_backwards else x, dtype)


def _by_sample(x: Array, go_backwards: bool) -> Array:
    """(T, B, ...) as a view (B, T, ...), in the order of the data."""
    return (x[::-1] if go_backwards else x).swapaxes(0, 1)


def flat(x: Array) -> Array:
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])  # -1 would fail where there is nothing


class Run:
    """x and the mask by time, z = x W + b of all steps, and histories of states."""

    def __init__(self, x: Array, w: Array, mask: Array | None, back: bool, sequences: bool):
        self.x, self.w, self.go_backwards, self.return_sequences = x, w, back, sequences
        self.X = _by_time(x, back)
        self.mask = None if mask is None else _by_time(mask, back, "bool")
        self.steps, self.rows = self.X.shape[:2]
        self.keeps = is_differentiating()  # else nobody asks for what lies between the steps

    def projected(self, b: Array | None) -> Array:
        """z = x W + b, (T, B, gates · H)"""
        z = empty((self.steps, self.rows, self.w.shape[1]), self.x.dtype, self.x)
        product(flat(self.X), self.w, b, flat(z))
        return z

    def states(self, initial: Array | None, units: int, returned: bool) -> Array:
        """All states (T + 1, B, H), or a ring of two; row 0 is the initial one."""
        n = self.steps + 1 if self.keeps or returned else 2
        states = empty((n, self.rows, units), self.x.dtype, self.x)
        if initial is None:
            fill(states[0], value=0)
        else:
            copy_into(initial, states[0])
        return states

    def last(self, states: Array) -> Array:
        """The state after the last step."""
        return states[self.steps % len(states)]

    def output(self, hs: Array) -> Array:
        """All outputs in the order of the steps, or the last one."""
        return hs[1:].swapaxes(0, 1) if self.return_sequences else self.last(hs)

    def incoming(self, dy: Array | None, dh: Array | None, like: Array) -> tuple[Any, Array]:
        """Gradients of all outputs by time (or None), and a buffer with those of the last state."""
        total = empty_like(like)
        found = [d for d in (dh, None if self.return_sequences else dy) if d is not None]
        if not found:
            fill(total, value=0)
        elif len(found) == 1:
            copy_into(found[0], total)
        else:
            accumulate(*found, total)
        by_time = packed(dy.swapaxes(0, 1)) if self.return_sequences and dy is not None else None
        return by_time, total

    def gradients(self, dz: Array, b: Array | None, needed: Any) -> list[Array | None]:
        """dx, dw and db, each from one product or sum over all steps."""
        dZ, dx, dw, db = flat(dz), None, None, None
        if needed[1]:
            dw = grad_like(self.w)
            product(flat(self.X), dZ, None, dw, transpose_a=True)
        if b is not None and needed[3]:
            db = _summed(dZ, b)
        if needed[0]:
            dX = empty_like(self.X)
            product(dZ, self.w, None, flat(dX), transpose_b=True)
            dx = _by_sample(dX, self.go_backwards)
        return [dx, dw, db]


def _summed(dZ: Array, b: Array) -> Array:
    """db of a bias that was added to all rows."""
    db = grad_like(b)
    reduce_sum(dZ, db, axes=(0,))
    return db


def full(needed: Any, count: int) -> list[bool]:
    """`needed` of all inputs, also of those that the caller left out."""
    return [*needed, *[False] * (count - len(needed))]
