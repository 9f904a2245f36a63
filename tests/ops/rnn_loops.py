"""Recurrent networks by loops over steps and samples, in float64: what the ops are held against."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def simple(x, w, u, b, states, f=np.tanh):
    (h,) = states
    return [f(x @ w + h @ u + b)]


def lstm(x, w, u, b, states, f=np.tanh, s=sigmoid):
    h, c = states
    i, j, g, o = np.split(x @ w + h @ u + b, 4)
    c = s(j) * c + s(i) * f(g)
    return [s(o) * f(c), c]


def gru(x, w, u, b, states, f=np.tanh, s=sigmoid):
    (h,) = states
    n = len(h)
    after = np.ndim(b) == 2
    a = x @ w + (b[0] if after else b)
    inner = h @ u + (b[1] if after else 0)
    z, r = s(a[:n] + inner[:n]), s(a[n : 2 * n] + inner[n : 2 * n])
    candidate = f(a[2 * n :] + (r * inner[2 * n :] if after else (r * h) @ u[:, 2 * n :]))
    return [z * h + (1 - z) * candidate]


def sequence(
    step, x, w, u, b, states=None, mask=None, go_backwards=False, zero_output=False, count=None
):
    """(outputs (B, T, H), last states); a masked step keeps its states and repeats the output."""
    count = count or (2 if step is lstm else 1)
    batch, steps, units = *x.shape[:2], u.shape[0]
    last = [np.array(s, float) for s in states or [np.zeros((batch, units))] * count]
    outputs = np.zeros((batch, steps, units))
    for n in range(batch):
        order = range(steps)[::-1] if go_backwards else range(steps)
        for place, t in enumerate(order):
            on = mask is None or mask[n, t]
            if on:
                for state, new in zip(last, step(x[n, t], w, u, b, [s[n] for s in last])):
                    state[n] = new
            outputs[n, place] = last[0][n] if on or not zero_output else 0
    return outputs, last
