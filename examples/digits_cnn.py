"""Read handwritten digits with a small convolutional network, and look at what it has learned.

    python examples/digits_cnn.py [--device cpu|gpu] [--epochs N] [--seed N] [--output FOLDER]

The digits of digits_mlp.py, as images of 8 x 8 pixels with one channel. The script draws the
confusion matrix of the test digits, and the filters of the first layer with what they respond to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from _digits import load
from _shared import BLUE, GREY, ORANGE, start
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

import gpunn as keras

BATCH = 32
MOMENTUM = 0.9  # of the moving averages: Keras' 0.99 would lag behind in so few steps
FILTERS = 12  # of the first layer
SHOWN = 4  # example digits in the picture of the filters
SIGNED = LinearSegmentedColormap.from_list("signed", [BLUE, "white", ORANGE])
WARM = LinearSegmentedColormap.from_list("warm", ["white", ORANGE, "#5c2700"])


def make_model(steps: int) -> Any:
    """8 x 8 x 1 -> 8 x 8 x 32 -> pooled to 4 x 4 x 64 -> pooled to 2 x 2 x 64 -> 10 logits.

    `steps`: of the whole training, over which the learning rate falls to zero along a cosine.
    """
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(FILTERS, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=MOMENTUM),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=MOMENTUM),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=MOMENTUM),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.002, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def draw_confusion(y: np.ndarray, predicted: np.ndarray, path: Path) -> None:
    """How often each digit (row) was read as each (column): right in blue, wrong in orange."""
    counts = confusion_matrix(y, predicted, labels=range(10))
    right = np.eye(10, dtype=bool)
    figure = Figure(figsize=(6.4, 6.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.where(right, -1, np.minimum(counts, 1)) * 0.85, cmap=SIGNED, vmin=-1, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if count else "#cccccc"
        weight = "bold" if count else "normal"
        axes.text(column, row, count or "·", ha="center", va="center", color=color, weight=weight)
    axes.set_title(f"{counts[~right].sum()} of {len(y)} test digits misread", weight="bold", pad=12)
    axes.set(xlabel="the network's reading", ylabel="the digit", xticks=range(10), yticks=range(10))
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(0.5, 9), minor=True)
    axes.set_yticks(np.arange(0.5, 9), minor=True)
    axes.grid(which="minor", color="#eeeeee")
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_color("#cccccc")
    figure.savefig(path)


def strongest_patches(x: np.ndarray, responses: np.ndarray, count: int = 30) -> np.ndarray:
    """The mean of the 3 x 3 patches of x (n, 8, 8) to which each filter responds most: (F, 3, 3).

    `responses`: (n, 8, 8, F). A patch lies around its response, with zeros beyond the border.
    """
    patches = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2)
    ).reshape(-1, 3, 3)
    flat = responses.reshape(len(patches), -1)
    return np.stack(
        [patches[np.argsort(flat[:, f])[-count:]].mean(0) for f in range(flat.shape[1])]
    )


def draw_filters(model: Any, x: np.ndarray, y: np.ndarray, path: Path) -> None:
    """Each filter of the first layer (a column), its favourite patch, and its maps of digits."""
    first = model.layers[0]
    responses = keras.ops.convert_to_numpy(first(x))
    filters = np.moveaxis(keras.ops.convert_to_numpy(first.kernel)[:, :, 0], -1, 0)
    images = x[..., 0]
    favourites = strongest_patches(images, responses)
    samples = [np.flatnonzero(y == digit)[0] for digit in range(0, 10, 3)][:SHOWN]

    figure = Figure(figsize=(FILTERS + 1.6, SHOWN + 3.4), dpi=110, layout="constrained")
    cells = figure.subplots(SHOWN + 2, FILTERS + 1)
    largest = np.abs(filters).max()
    for axes, kernel in zip(cells[0, 1:], filters, strict=True):
        _draw_image(axes, kernel, SIGNED, -largest, largest)
    for axes, patch in zip(cells[1, 1:], favourites, strict=True):
        _draw_image(axes, patch, "gray_r", 0, 1)
    for row, i in zip(cells[2:], samples, strict=True):
        _draw_image(row[0], images[i], "gray_r", 0, 1)
        for f, axes in enumerate(row[1:]):
            _draw_image(axes, responses[i, ..., f], WARM, 0, responses[..., f].max())
    for axes, text in zip(cells[:2, 0], ("weights", "responds\nmost to"), strict=True):
        axes.set_axis_off()
        axes.text(0.95, 0.5, text, ha="right", va="center", transform=axes.transAxes, color=GREY)
    figure.suptitle(
        f"The {FILTERS} filters of the first layer: weights (orange +, blue −), the mean of the "
        "patches they respond to most,\nand their response to four test digits (white: none)",
        fontweight="bold",
    )
    figure.savefig(path)


def _draw_image(axes: Axes, image: np.ndarray, cmap: Any, low: float, high: float) -> None:
    axes.imshow(image, cmap=cmap, vmin=low, vmax=high)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#cccccc")


def main(arguments: list[str] | None = None) -> float:
    """Train, test, draw; returns the accuracy on the test digits."""
    options = start(__doc__, epochs=30, arguments=arguments)
    (x, y), validation, (x_test, y_test) = load(8, 8, 1)
    model = make_model(steps=options.epochs * -(-len(x) // BATCH))
    model.summary()
    model.fit(x, y, batch_size=BATCH, epochs=options.epochs, validation_data=validation, verbose=2)
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    predicted = model.predict(x_test, verbose=0).argmax(axis=-1)
    print(f"Test accuracy: {accuracy:.2%} (loss {loss:.3f})")

    confusion, filters = options.output / "confusion.png", options.output / "filters.png"
    draw_confusion(y_test, predicted, confusion)
    draw_filters(model, x_test, y_test, filters)
    print(f"Pictures: {confusion} and {filters}")
    return accuracy


if __name__ == "__main__":
    main()
