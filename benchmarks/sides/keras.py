"""Keras: Sequential, compile, fit. gpunn runs the same code, see `KerasFit`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from benchmarks.layers import Conv, Dense, Depthwise, Flatten, Layer, MaxPool, Separable, Shape
from benchmarks.sides import Epochs
from benchmarks.workloads import Workload


def make_layer(layers: Any, layer: Layer, shape: Shape) -> Any:
    """The layer for an input of this shape."""
    rank = len(shape) - 1
    match layer:
        case Dense(units, relu):
            return layers.Dense(units, activation="relu" if relu else None)
        case Conv(filters, size, relu, padding):
            kind = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1]
            return kind(filters, size, padding=padding, activation="relu" if relu else None)
        case Depthwise(size):
            return layers.DepthwiseConv2D(size, padding="same")
        case Separable(filters, size):
            return layers.SeparableConv2D(filters, size, padding="same")
        case MaxPool(size):
            return layers.MaxPooling2D(size)
        case Flatten():
            return layers.Flatten()


def make(keras: Any, workload: Workload) -> Any:
    """The model, with the workload's weights."""
    stack = [make_layer(keras.layers, *found) for found in workload.walk()]
    model = keras.Sequential([keras.Input(workload.shape), *stack])
    model.set_weights(workload.weights())
    return model


def compile_model(model: Any, keras: Any, workload: Workload, **options: Any) -> None:
    """``model.compile`` with the workload's loss and optimizer."""
    losses, optimizers = keras.losses, keras.optimizers
    loss = {
        "crossentropy": lambda: losses.SparseCategoricalCrossentropy(from_logits=True),
        "mse": lambda: losses.MeanSquaredError(),
        "bce": lambda: losses.BinaryCrossentropy(from_logits=True),
    }[workload.loss]()
    optimizer = {
        "adam": lambda rate: optimizers.Adam(rate),
        # √(v + 1e-14), for PyTorch's and the textbook's √v + 1e-7
        "rmsprop": lambda rate: optimizers.RMSprop(rate, epsilon=1e-14),
    }[workload.optimizer](workload.learning_rate)
    model.compile(optimizer=optimizer, loss=loss, **options)


def stopwatch(keras: Any) -> Any:
    """A callback with the seconds and the loss of each epoch.

    Reading the loss at the end of an epoch waits for the device.
    """

    class Stopwatch(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.epochs: Epochs = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.epochs.append((time.perf_counter() - self.start, float(logs["loss"])))

    return Stopwatch()


class KerasFit:
    """`model.fit` of Keras or of a package with its interface."""

    options: ClassVar[dict[str, Any]] = {}  # of compile

    def __init__(self, keras: Any, workload: Workload, x: Any, y: Any):
        self.keras, self.workload, self.x, self.y = keras, workload, x, y
        self.model = make(keras, workload)

    def compile(self) -> None:
        compile_model(self.model, self.keras, self.workload, **self.options)

    def train(self, epochs: int, shuffle: bool, callbacks: Sequence[Any] = ()) -> Epochs:
        watch = stopwatch(self.keras)
        self.model.fit(
            self.x, self.y, batch_size=self.workload.batch, epochs=epochs, shuffle=shuffle,
            verbose=0, callbacks=[watch, *callbacks],
        )  # fmt: skip
        return watch.epochs


class Fit(KerasFit):
    """Keras' own, on its JAX backend."""

    def __init__(self, workload: Workload, device: str):
        import jax
        import keras

        jax.config.update("jax_default_device", jax.devices(device)[0])
        x, y = map(np.asarray, workload.data())
        super().__init__(keras, workload, x, y)
