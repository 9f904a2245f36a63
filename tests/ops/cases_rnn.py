"""Cases of recurrent networks: loops over samples and steps."""

from __future__ import annotations

from math import prod

import numpy as np

from gpunn import ops
from gpunn.ops.rnn import gru_sequence, lstm_sequence, simple_rnn_sequence
from gpunn.ops.rnn_unstack import unstack_steps
from tests.ops import rnn_loops as loops
from tests.ops.cases import add, uniform

B, T, F, H = 3, 4, 2, 3
HOLES = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool)

OPS = {
    "lstm_sequence": (lstm_sequence, loops.lstm, 4, 2, {}),
    "gru_sequence": (gru_sequence, loops.gru, 3, 1, {}),
    "simple_rnn_sequence": (simple_rnn_sequence, loops.simple, 1, 1, {}),
}


def joined(y, *states):
    """One tensor of all results, so that gradients of all of them are needed."""
    flat = [ops.reshape(part, (-1, prod(part.shape[1:]))) for part in (y, *states)]
    return ops.concatenate(flat, axis=1)


def flat(y, states, whole):
    parts = [y if whole else y[:, -1], *states]
    return np.concatenate([p.reshape(len(p), -1) for p in parts], axis=1)


def add_sequence(name, label, *, whole, back=False, mask=None, initial=True, bias=True, after=True):
    function, step, gates, count, options = OPS[name]
    options = {"go_backwards": back, "return_sequences": whole, **options}
    if name == "gru_sequence":
        options["reset_after"] = after
    bias_shape = (2, gates * H) if name == "gru_sequence" and after else (gates * H,)
    shapes = [(B, T, F), (F, gates * H), (H, gates * H)]
    shapes += [bias_shape] if bias else []
    shapes += [(B, H)] * count if initial else []

    def inputs(rng):
        found = uniform(*shapes, low=-1, high=1)(rng)
        return found if mask is None else (*found, mask)

    def split(arrays):
        rest = list(arrays[3 : len(shapes)])
        b = rest.pop(0) if bias else None
        return *arrays[:3], b, rest if initial else [None] * count

    def call(*tensors):
        x, w, u, b, states = split(tensors)
        on = None if mask is None else tensors[-1]
        return joined(*function(x, w, u, b, *states, on, **options))

    def oracle(*arrays):
        x, w, u, b, states = split(arrays)
        b = np.zeros(bias_shape) if b is None else b
        states = states if initial else None
        y, last = loops.sequence(step, x, w, u, b, states, mask, back)
        return flat(y, last, whole)

    differentiable = tuple(range(len(shapes)))
    batch = (0, *range(3 + bias, len(shapes) + (mask is not None)))
    add(name, label, inputs, oracle, call=call, differentiable=differentiable, batch=batch)


for op_name in OPS:
    add_sequence(op_name, "all", whole=True)
    add_sequence(op_name, "last", whole=False)
    add_sequence(op_name, "back", whole=True, back=True, mask=HOLES)
    add_sequence(op_name, "holes", whole=False, mask=HOLES)
    add_sequence(op_name, "bare", whole=True, initial=False, bias=False)
for label, mask, whole in (("before", None, True), ("before, holes", HOLES, False)):
    add_sequence("gru_sequence", label, whole=whole, mask=mask, after=False)
add_sequence("gru_sequence", "before, bare", whole=True, after=False, bias=False, initial=False)

for activation, f in (("relu", lambda x: np.maximum(x, 0)), ("linear", lambda x: x)):
    add(
        "simple_rnn_sequence",
        activation,
        uniform((B, T, F), (F, H), (H, H), (H,)),
        lambda x, w, u, b, f=f: flat(
            *loops.sequence(lambda *a: loops.simple(*a, f), x, w, u, b), True
        ),
        call=lambda *xs, a=activation: joined(
            *simple_rnn_sequence(*xs, activation=a, return_sequences=True)
        ),
        differentiable=(0, 1, 2, 3),
    )

add(
    "unstack_steps",
    "some unused",
    uniform((3, 4, 2)),
    lambda x: np.concatenate([x[:, 3], 2 * x[:, 1]], axis=1),
    call=lambda x: ops.concatenate([unstack_steps(x)[3], unstack_steps(x)[1] * 2], axis=1),
)
