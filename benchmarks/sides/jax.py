"""JAX: one jitted step, the batch gathered in it, the state donated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Embedding,
    Flatten,
    GlobalPool,
    Layer,
    MaxPool,
    Recurrent,
    Residual,
    Separable,
    StepMean,
)
from benchmarks.sides import Epochs
from benchmarks.sides.jax_sequences import recurrent
from benchmarks.workloads import Workload


@dataclass
class Forward:
    """One pass through a network, which takes the weights and averages one after the other."""

    weights: Iterator[Any]
    averages: Iterator[Any]
    moved: list[Any] = field(default_factory=list)  # the new averages

    def stack(self, layers: tuple[Layer, ...], x: Any) -> Any:
        """All layers; of a whole network: the logits."""
        for layer in layers:
            x = self.layer(layer, x)
            if getattr(layer, "relu", False):
                x = jax.nn.relu(x)
        return x

    def layer(self, layer: Layer, x: Any) -> Any:
        """One layer without its ReLU."""
        rest = self.weights
        match layer:
            case Dense():
                return x @ next(rest) + next(rest)
            case Conv(padding=padding, stride=stride, bias=bias):
                y = convolve(x, next(rest), padding, stride)
                return y + next(rest) if bias else y
            case Depthwise(stride=stride, bias=bias):
                y = depthwise(x, next(rest), stride)
                return y + next(rest) if bias else y
            case Separable():
                return convolve(depthwise(x, next(rest)), next(rest)) + next(rest)
            case MaxPool(size):
                window = (1, size, size, 1)
                return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
            case Flatten():
                return x.reshape(len(x), -1)
            case BatchNorm():
                return self.normalize(x)
            case GlobalPool():
                return x.mean((1, 2))
            case Embedding():
                return next(rest)[x]
            case Recurrent():
                return recurrent(layer, x, rest)
            case StepMean():
                return x.mean(1)
            case Residual(path, shortcut):
                y = self.stack(path, x)
                return jax.nn.relu(y + self.stack(shortcut, x))

    def normalize(self, x: Any) -> Any:
        """Each channel by its mean and variance in the batch."""
        dtype, x = x.dtype, x.astype("float32")
        gamma, beta = next(self.weights), next(self.weights)
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        for found in (mean, variance):
            self.moved.append(0.99 * next(self.averages) + 0.01 * jax.lax.stop_gradient(found))
        return ((x - mean) * (gamma * jax.lax.rsqrt(variance + 1e-3)) + beta).astype(dtype)


def convolve(x: Any, kernel: Any, padding: str = "same", stride: int = 1, groups: int = 1) -> Any:
    """x (n, *sizes, in), kernel (*sizes, in / groups, out)"""
    spatial = "DHW"[-(x.ndim - 2) :]
    order = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    strides = (stride,) * len(spatial)
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding.upper(), dimension_numbers=order, feature_group_count=groups
    )


def depthwise(x: Any, kernel: Any, stride: int = 1) -> Any:
    """Kernel (*sizes, channels, 1)."""
    return convolve(x, jnp.swapaxes(kernel, -1, -2), stride=stride, groups=x.shape[-1])


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


def sgd(g: Any, m: Any, v: Any, t: Any) -> tuple:
    """The same; SGD with momentum has no v."""
    m = 0.9 * m + g
    return m, m, v


def descent(g: Any, m: Any, v: Any, t: Any) -> tuple:
    """The same without momentum: neither m nor v."""
    return g, m, v


LOSSES = {"crossentropy": crossentropy, "mse": mse, "bce": bce}
OPTIMIZERS = {"adam": adam, "rmsprop": rmsprop, "sgd": sgd, "descent": descent}
#: Whether there is an m, and a v.
SLOTS = {
    "adam": (True, True), "rmsprop": (False, True), "sgd": (True, False),
    "descent": (False, False),
}  # fmt: skip


@partial(
    jax.jit,
    static_argnames=("layers", "loss", "optimizer", "rate", "dtype"),
    donate_argnames="state",
)
def step(
    state: tuple,
    x: Any,
    y: Any,
    rows: Any,
    layers: Any,
    loss: Any,
    optimizer: Any,
    rate: float,
    dtype: str,
) -> tuple:
    """One update with the given rows of the data.

    `state`: weights, averages, the slots m and v, time, sum of losses. `dtype`: of the network's
    computations; weights and loss are float32.
    """
    weights, averages, m, v, t, total = state
    x, y, t = x[rows], y[rows], t + 1

    def objective(weights: list) -> tuple:
        forward = Forward((w.astype(dtype) for w in weights), iter(averages))
        z = forward.stack(layers, x if x.dtype == "int32" else x.astype(dtype))  # tokens stay
        return loss(z.astype("float32"), y), forward.moved

    (value, averages), gradients = jax.value_and_grad(objective, has_aux=True)(weights)
    updates = [optimizer(*parts, t) for parts in zip(gradients, m, v, strict=True)]
    weights = [w - rate * u for w, (u, _, _) in zip(weights, updates, strict=True)]
    return weights, averages, [u[1] for u in updates], [u[2] for u in updates], t, total + value


class Loop:
    """A Python loop over the jitted step."""

    def __init__(self, workload: Workload, device: str):
        jax.config.update("jax_default_device", jax.devices(device)[0])
        self.workload, self.batch = workload, workload.batch
        self.x, self.y = map(jnp.asarray, workload.data())
        kinds = list(zip(workload.weights(), workload.trained(), strict=True))
        self.weights = [jnp.array(w) for w, trained in kinds if trained]
        self.averages = [jnp.array(w) for w, trained in kinds if not trained]
        self.rng = np.random.default_rng(3)

    def compile(self) -> None:
        workload, weights = self.workload, self.weights
        self.step = partial(
            step,
            layers=workload.layers,
            loss=LOSSES[workload.loss],
            optimizer=OPTIMIZERS[workload.optimizer],
            rate=workload.learning_rate,
            dtype="bfloat16" if workload.precision == "bf16" else "float32",
        )
        m, v = (
            [jnp.zeros_like(w) if kept else jnp.zeros(()) for w in weights]
            for kept in SLOTS[workload.optimizer]
        )
        self.state = weights, self.averages, m, v, jnp.zeros(()), jnp.zeros(())

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
