"""Convolutions taken apart: Conv2D beside SeparableConv2D in the same small network.

    python examples/separable_vs_conv.py [--device cpu|gpu] [--epochs N] [--runs N] [--seed N]
                                         [--output FOLDER]

A convolution mixes places and channels at once, with k · k · C · F weights. A separable one
filters each channel on its own (k · k · C), then mixes the channels at each place (C · F). The
third network writes these two steps as layers of their own, with batch normalization and ReLU
between them, as MobileNet does (arXiv:1704.04861). The script compares parameters, time and
accuracy on real digits.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _digits import load
from _shared import BLUE, GREY, ORANGE, start
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import gpunn as keras

BATCH = 32
MOMENTUM = 0.9  # of the moving averages: Keras' 0.99 would lag behind in so few steps
layers = keras.layers


def normalized_relu() -> list[Any]:
    return [layers.BatchNormalization(momentum=MOMENTUM), layers.ReLU()]


def conv(filters: int) -> list[Any]:
    return [layers.Conv2D(filters, 3, padding="same", use_bias=False), *normalized_relu()]


def separable(filters: int) -> list[Any]:
    return [layers.SeparableConv2D(filters, 3, padding="same", use_bias=False), *normalized_relu()]


def mobilenet(filters: int) -> list[Any]:
    return [
        layers.DepthwiseConv2D(3, padding="same", use_bias=False),
        *normalized_relu(),
        layers.Conv2D(filters, 1, use_bias=False),
        *normalized_relu(),
    ]


BLOCKS: dict[str, Callable[[int], list[Any]]] = {
    "Conv2D": conv,
    "SeparableConv2D": separable,
    "DepthwiseConv2D + 1×1": mobilenet,
}
COLORS = dict(zip(BLOCKS, (BLUE, ORANGE, GREY), strict=True))


@dataclass
class Row:
    """What is measured of one network."""

    parameters: int = 0
    seconds: list[float] = field(default_factory=list)  # of an epoch: the median of each run
    accuracy: list[float] = field(default_factory=list)  # of each run, on the test digits


def make_model(block: Callable[[int], list[Any]]) -> Any:
    """8 x 8 x 1 -> 8 x 8 x 32 -> pooled to 4 x 4 x 64 -> pooled to 2 x 2 x 64 -> 10 logits.

    The first layer is a Conv2D in all networks: of one channel there is nothing to take apart.
    """
    model = keras.Sequential([keras.Input((8, 8, 1)), *conv(32)])
    for layer in (
        *block(64), layers.MaxPooling2D(), *block(64), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dropout(0.3), layers.Dense(10),
    ):  # fmt: skip
        model.add(layer)
    model.compile(
        optimizer=keras.optimizers.Adam(0.002),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


class Stopwatch(keras.callbacks.Callback):
    """The seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def measure(block: Callable[[int], list[Any]], epochs: int, row: Row) -> None:
    """Train and test one network once; its row grows."""
    train, _, test = load(8, 8, 1)
    model, watch = make_model(block), Stopwatch()
    model.fit(*train, batch_size=BATCH, epochs=epochs, callbacks=[watch], verbose=0)
    row.parameters = sum(w.size for w in model.trainable_weights)
    row.seconds.append(statistics.median(watch.seconds))
    row.accuracy.append(model.evaluate(*test, batch_size=256, verbose=0)[1])


def show(rows: dict[str, Row], console: Console) -> None:
    """Side by side; the time and accuracy are means of the runs."""
    table = Table("blocks of", title="The same network, three ways", title_justify="left")
    for heading in ("parameters", "s/epoch", "test accuracy", "worst", "best"):
        table.add_column(heading, justify="right")
    for name, row in rows.items():
        table.add_row(
            name,
            f"{row.parameters:,}",
            f"{statistics.mean(row.seconds):.3f}",
            f"{statistics.mean(row.accuracy):.2%}",
            f"{min(row.accuracy):.2%}",
            f"{max(row.accuracy):.2%}",
        )
    console.print(table)


def draw(rows: dict[str, Row], path: Path) -> None:
    """Three bars of each measure, the single runs as dots."""
    figure = Figure(figsize=(10, 3.4), dpi=150, layout="constrained")
    left, middle, right = figure.subplots(1, 3, sharey=True)
    wrong = [[100 * (1 - a) for a in row.accuracy] for row in rows.values()]
    _draw_bars(left, "parameters", [[row.parameters] for row in rows.values()], "{:,.0f}")
    _draw_bars(middle, "seconds per epoch", [row.seconds for row in rows.values()], "{:.3f}")
    _draw_bars(right, "test digits misread", wrong, "{:.1f} %")
    left.set_yticks(range(len(rows)), list(rows))
    left.invert_yaxis()
    figure.savefig(path)


def _draw_bars(axes: Axes, title: str, values: list[list[Any]], form: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold")
    highest = max(max(runs) for runs in values) or 1
    for place, (runs, color) in enumerate(zip(values, COLORS.values(), strict=True)):
        axes.barh(place, statistics.mean(runs), color=color, height=0.6)
        if len(runs) > 1:
            axes.plot(runs, [place] * len(runs), "o", color="white", mec="black", ms=4, mew=0.7)
        text = form.format(statistics.mean(runs))
        axes.text(max(runs) + 0.04 * highest, place, text, va="center")
    axes.set_xlim(0, 1.35 * highest)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def main(arguments: list[str] | None = None) -> dict[str, Row]:
    """Train and test all networks in turns, draw; returns what was measured."""
    options = start(__doc__, epochs=12, arguments=arguments, runs=3)
    console = Console()
    rows = {name: Row() for name in BLOCKS}
    for run in range(options.runs):
        for name, block in BLOCKS.items():
            keras.utils.set_random_seed(options.seed + run)
            measure(block, options.epochs, rows[name])
            accuracy = rows[name].accuracy[-1]
            console.print(f"Run {run + 1}: {name}: test accuracy {accuracy:.2%}")
    show(rows, console)
    picture = options.output / "separable.png"
    draw(rows, picture)
    console.print(f"Picture: {picture}")
    return rows


if __name__ == "__main__":
    main()
