"""The workloads: what every framework trains. Same layers, weights, data, batches and optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Depthwise,
    Embedding,
    Flatten,
    Layer,
    MaxPool,
    Recurrent,
    Separable,
    Shape,
    StepMean,
    leaves,
    walk,
)
from benchmarks.networks import mobilenet, resnet


@dataclass(frozen=True)
class Workload:
    """A stack of layers, and how it is trained. `shape`: of a sample, channels last.

    `loss`: "crossentropy" (softmax, int32 labels), "mse", or "bce" (sigmoid); all from logits.
    `optimizer`: "adam" (β₁ 0.9, β₂ 0.999), "rmsprop" (ρ 0.9), "sgd" (momentum 0.9) or "descent"
    (SGD without momentum).
    `steps`: batches in an epoch. `rounds`: turns of each side. `precision`: of products, "fp32",
    "tf32" (float32 with rounded factors) or "bf16" (mixed precision, float32 weights); GPU only.
    `ones`: if not 0, x is multi-hot with so many ones in a row; `tokens`: if not 0, x is so many
    different tokens, int32; else x is normal.
    `goals`: ms of gpunn's fit / ms of the other at most.
    """

    name: str
    description: str
    shape: Shape
    layers: tuple[Layer, ...]
    batch: int
    loss: str
    optimizer: str
    steps: int
    ones: int = 0
    tokens: int = 0
    learning_rate: float = 1e-3
    goals: dict[str, float] = field(default_factory=dict)
    rounds: int = 15
    precision: str = "fp32"

    def quick(self) -> Workload:
        """The same with few steps: to see that it runs, not how fast."""
        return replace(self, steps=min(self.steps, 12))

    def walk(self) -> Iterator[tuple[Layer, Shape]]:
        """Each layer with the shape of its input."""
        return walk(self.layers, self.shape)

    def output(self) -> Shape:
        """The shape of the network's output for one sample."""
        *_, (last, shape) = self.walk()
        return last.output(shape)

    def weights(self) -> list[np.ndarray]:
        """Glorot uniform kernels and zero biases: W1, b1, W2, b2, ..."""
        rng = np.random.default_rng(1)
        found = leaves(self.layers, self.shape)
        return [w for layer, shape in found for w in layer.weights(rng, shape)]

    def trained(self) -> list[bool]:
        """Which of the weights training changes: all but moving averages."""
        rng = np.random.default_rng(1)
        found = leaves(self.layers, self.shape)
        counts = [(layer, len(layer.weights(rng, shape))) for layer, shape in found]
        return [i < 2 or not isinstance(layer, BatchNorm) for layer, n in counts for i in range(n)]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """x (n, *shape) float32 or tokens; y (n,) int32 labels or (n, *output()) float32.

        What is to be learned is linear in x: in the whole sample or, if the network gives a value
        for each position, in the channels of each position; in the number of each token.
        """
        rng = np.random.default_rng(2)
        n, output = self.steps * self.batch, self.output()
        features = self.shape[-1] if len(output) > 1 else math.prod(self.shape)
        if self.tokens:
            x = rng.integers(self.tokens, size=(n, features), dtype="int32")
            score = rng.standard_normal((self.tokens, output[-1]), "float32")[x].sum(1)
            return x, self._answers(score, features)
        if self.ones:
            x = np.zeros((n, features), "float32")
            np.put_along_axis(x, rng.integers(features, size=(n, self.ones)), 1, axis=1)
        else:
            x = rng.standard_normal((n, *self.shape), "float32")
        score = x.reshape(-1, features) @ rng.standard_normal((features, output[-1]), "float32")
        return x, self._answers(score.reshape(n, *output), features)

    def _answers(self, score: np.ndarray, features: int) -> np.ndarray:
        """What the loss wants, of scores (n, *output()) that sum up so many features."""
        if self.loss == "crossentropy":
            return score.argmax(axis=1).astype("int32")
        if self.loss == "bce":
            return (score > np.median(score)).astype("float32")
        return np.tanh(score / math.sqrt(features))


def goals(torch: float, keras: float | None = None) -> dict[str, float]:
    """For all layouts of PyTorch, so that its best counts; and for Keras."""
    found = {"torch loop": torch, "torch last": torch, "torch time": torch}
    return found if keras is None else {**found, "keras fit": keras}


def layers_alone(
    name: str, description: str, shape: Shape, layers: tuple[Layer, ...], batch: int, goal: float
) -> Workload:
    """Few layers of one kind, forward and backward. The second one's input needs a gradient."""
    return Workload(
        name, f"{description}, batch {batch}, mean squared error, Adam", shape, layers, batch,
        "mse", "adam", steps=5, learning_rate=1e-2, goals=goals(goal),
    )  # fmt: skip


def one_recurrent(
    name: str, kind: str, units: int, length: int, batch: int, rounds: int, goal: float
) -> Workload:
    """A recurrent layer over so many steps of 64 features, and 10 classes after the last one."""
    description = f"{kind.upper()}({units}) over {length} steps of 64 features, 10 classes"
    return Workload(
        name, f"{description}, batch {batch}, softmax cross-entropy, Adam", (length, 64),
        (Recurrent(kind, units), Dense(10)), batch, "crossentropy", "adam",
        steps=300 // length,  # fewer of longer sequences
        rounds=rounds, goals=goals(torch=goal, keras=1.0),
    )  # fmt: skip


WORKLOADS = {
    w.name: w
    for w in (
        Workload(
            "mlp", "784-512-512-10, batch 128, softmax cross-entropy, Adam",
            (784,), (Dense(512, relu=True), Dense(512, relu=True), Dense(10)),
            128, "crossentropy", "adam", steps=100, goals=goals(torch=1.1, keras=1.0),
        ),
        Workload(
            "mlp_small", "13-64-64-1, batch 32, mean squared error, Adam",
            (13,), (Dense(64, relu=True), Dense(64, relu=True), Dense(1)),
            32, "mse", "adam", steps=1000, goals=goals(torch=0.6, keras=1.0),
        ),
        Workload(
            "multi_hot", "10000-16-16-1, batch 512, sigmoid cross-entropy, RMSprop",
            (10000,), (Dense(16, relu=True), Dense(16, relu=True), Dense(1)),
            512, "bce", "rmsprop", steps=20, ones=200, goals=goals(torch=1.4, keras=1.0),
        ),
        Workload(
            "mnist_cnn", "28x28x1, 3x3 convolutions of 32 and 64, each pooled by 2, 10 classes, "
            "batch 128, softmax cross-entropy, Adam",
            (28, 28, 1),
            (
                Conv(32, 3, relu=True, padding="valid"), MaxPool(2),
                Conv(64, 3, relu=True, padding="valid"), MaxPool(2), Flatten(), Dense(10),
            ),
            128, "crossentropy", "adam", steps=20, goals=goals(torch=0.9, keras=1.0),
        ),
        Workload(
            "resnet_32", "ResNet-18 on 32x32x3 (3x3 stem, batch normalization), 10 classes, "
            "batch 8, softmax cross-entropy, SGD with momentum",
            (32, 32, 3), resnet(10), 8, "crossentropy", "sgd", steps=1, learning_rate=1e-3,
            rounds=3,
        ),
        Workload(
            "mobilenet_64", "MobileNetV1 of half the width on 64x64x3, 10 classes, batch 16, "
            "softmax cross-entropy, SGD with momentum",
            (64, 64, 3), mobilenet(10, width=0.5), 16, "crossentropy", "sgd", steps=3,
            learning_rate=1e-5, rounds=5,  # larger steps magnify what each framework rounds
        ),
        layers_alone(
            "layer_conv3x3", "32x32x64, 3x3 convolutions to 128 channels and back",
            (32, 32, 64), (Conv(128, 3), Conv(64, 3)), 8, goal=1.4,
        ),
        layers_alone(
            "layer_conv1x1", "32x32x64, 1x1 convolutions to 128 channels and back",
            (32, 32, 64), (Conv(128, 1), Conv(64, 1)), 8, goal=1.4,
        ),
        layers_alone(
            "layer_depthwise", "32x32x64, two depthwise 3x3 convolutions",
            (32, 32, 64), (Depthwise(3), Depthwise(3)), 8, goal=1.5,
        ),
        layers_alone(
            "layer_separable", "32x32x64, two separable 3x3 convolutions",
            (32, 32, 64), (Separable(64, 3), Separable(64, 3)), 8, goal=1.5,
        ),
        layers_alone(
            "layer_conv1d", "16000x16, convolutions of 9 samples to 32 channels and back",
            (16000, 16), (Conv(32, 9), Conv(16, 9)), 4, goal=1.4,
        ),
        layers_alone(
            "layer_conv3d", "32x32x32x8, 3x3x3 convolutions to 16 channels and back",
            (32, 32, 32, 8), (Conv(16, 3), Conv(8, 3)), 4, goal=1.4,
        ),
        one_recurrent("lstm_128", "lstm", 128, length=100, batch=64, rounds=9, goal=1.1),
        one_recurrent("gru_128", "gru", 128, length=100, batch=64, rounds=9, goal=1.0),
        one_recurrent("lstm_512", "lstm", 512, length=200, batch=64, rounds=3, goal=1.1),
        one_recurrent("lstm_512_b16", "lstm", 512, length=200, batch=16, rounds=3, goal=1.1),
        Workload(
            "bilstm_text", "200 tokens of 20,000, embedded in 32 features, two bidirectional "
            "LSTM(32), batch 128, sigmoid cross-entropy, Adam",
            (200,),
            (
                Embedding(20_000, 32), Recurrent("lstm", 32, sequences=True, both=True),
                Recurrent("lstm", 32, both=True), Dense(1),
            ),
            128, "bce", "adam", steps=1, rounds=7, tokens=20_000,
            goals=goals(torch=1.1, keras=1.0),
        ),
        Workload(
            "embedding_100k", "32 tokens of 100,000, the mean of their 64 features, 1 output, "
            "batch 128, mean squared error, SGD without momentum",
            (32,), (Embedding(100_000, 64), StepMean(), Dense(1)), 128, "mse", "descent",
            steps=20, tokens=100_000, learning_rate=0.1, goals=goals(torch=1.1, keras=1.0),
        ),
    )
}  # fmt: skip
