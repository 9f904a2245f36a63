"""JAX: recurrent layers as `jax.lax.scan`, with x W of all steps as one product before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.layers import Recurrent


def lstm(units: int, projected: Any, u: Any, b: Any) -> Any:
    """All outputs (T, n, units) for x W (T, n, 4 units)."""

    def step(state: tuple, a: Any) -> tuple:
        h, c = state
        i, f, g, o = jnp.split(a + h @ u, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    start = jnp.zeros((projected.shape[1], units), projected.dtype)
    return jax.lax.scan(step, (start, start), projected + b)[1]


def gru(units: int, projected: Any, u: Any, b: Any) -> Any:
    """All outputs (T, n, units) for x W (T, n, 3 units); b (2, 3 units)."""

    def step(h: Any, a: Any) -> tuple:
        zx, rx, gx = jnp.split(a, 3, axis=-1)
        zh, rh, gh = jnp.split(h @ u + b[1], 3, axis=-1)
        z = jax.nn.sigmoid(zx + zh)
        h = z * h + (1 - z) * jnp.tanh(gx + jax.nn.sigmoid(rx + rh) * gh)
        return h, h

    start = jnp.zeros((projected.shape[1], units), projected.dtype)
    return jax.lax.scan(step, start, projected + b[0])[1]


def recurrent(layer: Recurrent, x: Any, weights: Iterator[Any]) -> Any:
    """x (n, T, F): the last output, or all; of both directions side by side."""
    function = lstm if layer.kind == "lstm" else gru
    x, found = x.swapaxes(0, 1), []
    for backwards in (False, True)[: 1 + layer.both]:
        w, u, b = next(weights), next(weights), next(weights)
        projected = x @ w
        y = function(layer.units, projected[::-1] if backwards else projected, u, b)
        if layer.sequences:
            found.append((y[::-1] if backwards else y).swapaxes(0, 1))
        else:
            found.append(y[-1])
    return jnp.concatenate(found, axis=-1)
