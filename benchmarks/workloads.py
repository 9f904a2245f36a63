"""The workloads: what every framework trains. Same layers, weights, data, batches and optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A stack of dense layers with ReLU between them, and how it is trained.

    `loss`: "crossentropy" (softmax, int32 labels), "mse", or "bce" (sigmoid); all from logits.
    `optimizer`: "adam" (β₁ 0.9, β₂ 0.999) or "rmsprop" (ρ 0.9). `steps`: batches in an epoch.
    `ones`: if not 0, x is multi-hot with so many ones in a row, else x is normal.
    `goals`: ms of gpunn's fit / ms of the other at most.
    """

    name: str
    description: str
    sizes: tuple[int, ...]
    batch: int
    loss: str
    optimizer: str
    steps: int
    ones: int = 0
    learning_rate: float = 1e-3
    goals: dict[str, float] = field(default_factory=dict)

    def quick(self) -> Workload:
        """The same with few steps: to see that it runs, not how fast."""
        return replace(self, steps=min(self.steps, 12))

    def weights(self) -> list[np.ndarray]:
        """Glorot uniform kernels and zero biases: W1, b1, W2, b2, ..."""
        rng = np.random.default_rng(1)
        found = []
        for n, m in pairwise(self.sizes):
            limit = np.sqrt(6 / (n + m))
            found.append(rng.uniform(-limit, limit, (n, m)).astype("float32"))
            found.append(np.zeros(m, "float32"))
        return found

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """x (n, sizes[0]) float32; y (n,) int32 labels or (n, 1) float32, to be learned from x."""
        rng = np.random.default_rng(2)
        n, features = self.steps * self.batch, self.sizes[0]
        if self.ones:
            x = np.zeros((n, features), "float32")
            np.put_along_axis(x, rng.integers(features, size=(n, self.ones)), 1, axis=1)
        else:
            x = rng.standard_normal((n, features), "float32")
        score = x @ rng.standard_normal((features, self.sizes[-1]), "float32")
        if self.loss == "crossentropy":
            return x, score.argmax(axis=1).astype("int32")
        if self.loss == "bce":
            return x, (score > np.median(score)).astype("float32")
        return x, np.tanh(score / math.sqrt(features))


WORKLOADS = {
    w.name: w
    for w in (
        Workload(
            "mlp", "784-512-512-10, batch 128, softmax cross-entropy, Adam",
            (784, 512, 512, 10), 128, "crossentropy", "adam", steps=100,
            goals={"torch loop": 1.1, "keras fit": 1.0},
        ),
        Workload(
            "mlp_small", "13-64-64-1, batch 32, mean squared error, Adam",
            (13, 64, 64, 1), 32, "mse", "adam", steps=1000,
            goals={"torch loop": 0.6, "keras fit": 1.0},
        ),
        Workload(
            "multi_hot", "10000-16-16-1, batch 512, sigmoid cross-entropy, RMSprop",
            (10000, 16, 16, 1), 512, "bce", "rmsprop", steps=20, ones=200,
            goals={"torch loop": 1.4, "keras fit": 1.0},
        ),
    )
}  # fmt: skip
