"""Read handwritten digits with a dense network: from the data to the pictures.

    python examples/digits_mlp.py [--device cpu|gpu] [--epochs N] [--seed N] [--output FOLDER]

The digits are real: 1797 images of 8 x 8 pixels from the UCI repository, which come with
scikit-learn. The script trains on 68 % of them, watches 12 % while it trains, tests on the other
20 %, and draws the learning curves and every digit that the network misread.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from _digits import load
from _shared import BLUE, GREY, ORANGE, start
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter

import gpunn as keras


def make_model() -> Any:
    """64 pixels -> 128 -> 64 -> 10 logits. Dropout keeps so large a network from memorizing."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.001),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def draw_curves(history: dict[str, list[float]], path: Path) -> None:
    """Loss and accuracy after each epoch, for training and validation."""
    figure = Figure(figsize=(10, 4), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_curve(left, history, "loss", "Loss (cross-entropy)")
    _draw_curve(right, history, "accuracy", "Accuracy")
    right.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    left.legend(frameon=False)
    figure.savefig(path)


def _draw_curve(axes: Axes, history: dict[str, list[float]], key: str, title: str) -> None:
    epochs = range(1, len(history[key]) + 1)
    axes.plot(epochs, history[key], color=BLUE, marker=".", label="training (with dropout)")
    axes.plot(epochs, history[f"val_{key}"], "--", color=ORANGE, marker=".", label="validation")
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def draw_mistakes(x: np.ndarray, y: np.ndarray, predicted: np.ndarray, path: Path) -> None:
    """The misread digits (the first 40 of them), each with its true and its predicted label."""
    wrong = np.flatnonzero(predicted != y)
    shown = wrong[:40]
    columns = max(4, math.ceil(math.sqrt(1.5 * len(shown))))
    rows = max(1, math.ceil(len(shown) / columns))
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)  # inches
    figure = Figure(figsize=(1.9 * columns, 2.1 * rows + 0.7), dpi=120, layout=layout)
    some = f" ({len(shown)} shown)" if len(shown) < len(wrong) else ""
    figure.suptitle(f"{len(wrong)} of {len(y)} test digits misread{some}", fontweight="bold")
    cells = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, i in zip(cells, shown, strict=False):
        axes.imshow(x[i].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(f"is {y[i]}", loc="left", fontsize=11, color=GREY)
        axes.set_title(
            f"read as {predicted[i]}", loc="right", fontsize=11, color=ORANGE, fontweight="bold"
        )
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#cccccc")
    for axes in cells[len(shown) :]:
        axes.set_axis_off()
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> float:
    """Train, test, draw; returns the accuracy on the test digits."""
    options = start(__doc__, epochs=40, arguments=arguments)
    train, validation, (x_test, y_test) = load(64)
    model = make_model()
    model.summary()
    history = model.fit(
        *train, batch_size=32, epochs=options.epochs, validation_data=validation, verbose=2
    )
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    predicted = model.predict(x_test, verbose=0).argmax(axis=-1)
    print(f"Test accuracy: {accuracy:.2%} (loss {loss:.3f})")

    curves, mistakes = options.output / "learning_curves.png", options.output / "mistakes.png"
    draw_curves(history.history, curves)
    draw_mistakes(x_test, y_test, predicted, mistakes)
    print(f"Pictures: {curves} and {mistakes}")
    return accuracy


if __name__ == "__main__":
    main()
