"""Keras: Sequential, compile, fit. gpunn runs the same code, see `KerasFit`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

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
    Shape,
    StepMean,
    walk,
)
from benchmarks.sides import Epochs
from benchmarks.workloads import Workload


def make_layers(keras: Any, layer: Layer, shape: Shape) -> list[Any]:
    """The layer for an input of this shape; more than one where Keras has no single one."""
    layers, rank = keras.layers, len(shape) - 1
    match layer:
        case Dense(units, relu):
            return [layers.Dense(units, activation="relu" if relu else None)]
        case Conv(filters, size, relu, padding, stride, bias):
            kind = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1]
            activation = "relu" if relu else None
            return [kind(filters, size, stride, padding, activation=activation, use_bias=bias)]
        case Depthwise(size, stride, bias):
            return [layers.DepthwiseConv2D(size, stride, padding="same", use_bias=bias)]
        case Separable(filters, size):
            return [layers.SeparableConv2D(filters, size, padding="same")]
        case MaxPool(size):
            return [layers.MaxPooling2D(size)]
        case Flatten():
            return [layers.Flatten()]
        case BatchNorm(relu):
            return [layers.BatchNormalization(), *([layers.ReLU()] if relu else [])]
        case GlobalPool():
            return [layers.GlobalAveragePooling2D()]
        case Embedding(vocabulary, features):
            return [layers.Embedding(vocabulary, features)]
        case Recurrent(kind, units, sequences, both):
            kind = {"lstm": layers.LSTM, "gru": layers.GRU}[kind]
            made = kind(units, return_sequences=sequences)
            return [layers.Bidirectional(made) if both else made]
        case StepMean():
            return [layers.GlobalAveragePooling1D()]
        case Residual(path, shortcut):
            return [make_residual(keras, make_stack(keras, path, shape),
                                  make_stack(keras, shortcut, shape))]  # fmt: skip


def make_stack(keras: Any, layers: tuple[Layer, ...], shape: Shape) -> list[Any]:
    """All layers, one after the other."""
    return [made for found in walk(layers, shape) for made in make_layers(keras, *found)]


def make_residual(keras: Any, path: list[Any], shortcut: list[Any]) -> Any:
    """A residual block, as a user writes it: a layer with layers inside."""

    class Residual(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.shortcut = path, shortcut  # Keras has a `path`

        def call(self, x: Any) -> Any:
            y = x
            for layer in self.main:
                y = layer(y)
            for layer in self.shortcut:
                x = layer(x)
            return keras.ops.relu(x + y)

    return Residual()


def make(keras: Any, workload: Workload) -> Any:
    """The model, with the workload's weights."""
    stack = make_stack(keras, workload.layers, workload.shape)
    dtype = "int32" if workload.tokens else None
    model = keras.Sequential([keras.Input(workload.shape, dtype=dtype), *stack])
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
        "sgd": lambda rate: optimizers.SGD(rate, momentum=0.9),
        "descent": lambda rate: optimizers.SGD(rate),
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
        half = workload.precision == "bf16"
        keras.config.set_dtype_policy("mixed_bfloat16" if half else "float32")
        x, y = map(np.asarray, workload.data())
        super().__init__(keras, workload, x, y)
