"""PyTorch, eager: nn.Sequential and the usual loop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from benchmarks.sides import Epochs
from benchmarks.workloads import Workload

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

LOSSES: dict[str, Callable[..., Any]] = {
    "crossentropy": nn.functional.cross_entropy,
    "mse": nn.functional.mse_loss,
    "bce": nn.functional.binary_cross_entropy_with_logits,
}
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "adam": lambda parameters, rate: torch.optim.Adam(parameters, rate, eps=1e-7),
    "rmsprop": lambda parameters, rate: torch.optim.RMSprop(parameters, rate, alpha=0.9, eps=1e-7),
}


class Loop:
    """zero_grad, forward, backward, step."""

    def __init__(self, workload: Workload, device: str):
        self.device = "cuda" if device == "gpu" else "cpu"
        self.workload, self.batch = workload, workload.batch
        self.x, self.y = (torch.from_numpy(a).to(self.device) for a in workload.data())
        if workload.loss == "crossentropy":
            self.y = self.y.long()
        layers: list[nn.Module] = []
        for n, m in pairwise(workload.sizes):
            layers += [nn.Linear(n, m), nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1]).to(self.device)
        with torch.no_grad():
            for parameter, values in zip(self.model.parameters(), workload.weights(), strict=True):
                parameter.copy_(torch.from_numpy(values.T))

    def compile(self) -> None:
        self.loss = LOSSES[self.workload.loss]
        self.optimizer = OPTIMIZERS[self.workload.optimizer](
            self.model.parameters(), self.workload.learning_rate
        )

    def train(self, epochs: int, shuffle: bool) -> Epochs:
        return [self._epoch(shuffle) for _ in range(epochs)]

    def _epoch(self, shuffle: bool) -> tuple[float, float]:
        start, n = time.perf_counter(), len(self.x)
        order = torch.arange(n, device=self.device)
        if shuffle:
            order = torch.randperm(n, device=self.device)
        total = torch.zeros((), device=self.device)
        for i in range(0, n, self.batch):
            rows = order[i : i + self.batch]
            x, y = self.x[rows], self.y[rows]
            self.optimizer.zero_grad()
            loss = self.loss(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        mean = float(total) * self.batch / n  # waits for the device
        return time.perf_counter() - start, mean
