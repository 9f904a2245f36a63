"""JAX: one jitted step, the batch gathered in it, the state donated."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.layers import Conv, Dense, Depthwise, Flatten, Layer, MaxPool, Separable
from benchmarks.sides import Epochs
from benchmarks.workloads import Workload


def forward(layers: tuple[Layer, ...], weights: list, x: Any) -> Any:
    """The logits."""
    rest = iter(weights)
    for layer in layers:
        match layer:
            case Dense():
                x = x @ next(rest) + next(rest)
            case Conv(padding=padding):
                x = convolve(x, next(rest), padding) + next(rest)
            case Depthwise():
                x = depthwise(x, next(rest)) + next(rest)
            case Separable():
                x = convolve(depthwise(x, next(rest)), next(rest)) + next(rest)
            case MaxPool(size):
                window = (1, size, size, 1)
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
            case Flatten():
                x = x.reshape(len(x), -1)
        if getattr(layer, "relu", False):
            x = jax.nn.relu(x)
    return x


def convolve(x: Any, kernel: Any, padding: str = "same", groups: int = 1) -> Any:
    """x (n, *sizes, in), kernel (*sizes, in / groups, out)"""
    spatial = "DHW"[-(x.ndim - 2) :]
    order = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    ones = (1,) * len(spatial)
    return jax.lax.conv_general_dilated(
        x, kernel, ones, padding.upper(), dimension_numbers=order, feature_group_count=groups
    )


def depthwise(x: Any, kernel: Any) -> Any:
    """Kernel (*sizes, channels, 1)."""
    return convolve(x, jnp.swapaxes(kernel, -1, -2), groups=x.shape[-1])


def crossentropy(z: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1).mean()


def mse(z: Any, y: Any) -> Any:
    return jnp.square(z - y).mean()


def bce(z: Any, y: Any) -> Any:
    return (jax.nn.softplus(z) - y * z).mean()


def adam(g: Any, m: Any, v: Any, t: Any) -> tuple:
    """The update of w over -η, and the new slots."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    scale = jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return scale * m / (jnp.sqrt(v) + 1e-7), m, v


def rmsprop(g: Any, m: Any, v: Any, t: Any) -> tuple:
    """The same; RMSprop has no m."""
    v = 0.9 * v + 0.1 * g * g
    return g / (jnp.sqrt(v) + 1e-7), m, v


LOSSES = {"crossentropy": crossentropy, "mse": mse, "bce": bce}
OPTIMIZERS = {"adam": adam, "rmsprop": rmsprop}


@partial(jax.jit, static_argnames=("layers", "loss", "optimizer", "rate"), donate_argnames="state")
def step(
    state: tuple, x: Any, y: Any, rows: Any, layers: Any, loss: Any, optimizer: Any, rate: float
) -> tuple:
    """One update with the given rows of the data; `state`: weights, slots, time, sum of losses."""
    weights, m, v, t, total = state
    x, y, t = x[rows], y[rows], t + 1
    value, gradients = jax.value_and_grad(lambda w: loss(forward(layers, w, x), y))(weights)
    updates = [optimizer(*parts, t) for parts in zip(gradients, m, v, strict=True)]
    weights = [w - rate * u for w, (u, _, _) in zip(weights, updates, strict=True)]
    return weights, [u[1] for u in updates], [u[2] for u in updates], t, total + value


class Loop:
    """A Python loop over the jitted step."""

    def __init__(self, workload: Workload, device: str):
        jax.config.update("jax_default_device", jax.devices(device)[0])
        self.workload, self.batch = workload, workload.batch
        self.x, self.y = map(jnp.asarray, workload.data())
        self.weights = [jnp.array(w) for w in workload.weights()]
        self.rng = np.random.default_rng(3)

    def compile(self) -> None:
        workload, weights = self.workload, self.weights
        self.step = partial(
            step,
            layers=workload.layers,
            loss=LOSSES[workload.loss],
            optimizer=OPTIMIZERS[workload.optimizer],
            rate=workload.learning_rate,
        )
        m, v = ([jnp.zeros_like(w) for w in weights] for _ in range(2))
        if workload.optimizer == "rmsprop":
            m = [jnp.zeros(()) for _ in weights]
        self.state = weights, m, v, jnp.zeros(()), jnp.zeros(())

    def train(self, epochs: int, shuffle: bool) -> Epochs:
        return [self._epoch(shuffle) for _ in range(epochs)]

    def _epoch(self, shuffle: bool) -> tuple[float, float]:
        start, n = time.perf_counter(), len(self.x)
        order = self.rng.permutation(n) if shuffle else np.arange(n)
        order = order.astype("int32")
        self.state = (*self.state[:-1], jnp.zeros(()))
        for i in range(0, n, self.batch):
            self.state = self.step(self.state, self.x, self.y, order[i : i + self.batch])
        mean = float(self.state[-1]) * self.batch / n  # waits for the device
        return time.perf_counter() - start, mean
