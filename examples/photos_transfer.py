"""Transfer learning: what a network learned on the digits 0 to 4 helps it to read 5 to 9.

    python examples/photos_transfer.py [--device cpu|gpu] [--epochs N] [--runs N] [--seed N]
                                       [--output FOLDER]

The photos are the real digits of digits_mlp.py. A convolutional base learns from the many images of
0 to 4. Then, for a few images of each digit from 5 to 9, three ways are compared:

- frozen: the base stays as it is (`trainable = False`), only a new last layer is trained;
- fine-tuned: after that, the base is trained too, in small steps, with its BatchNormalization
  layers still frozen: they keep their averages, which a few images would spoil;
- from scratch: the same network without the digits 0 to 4.

Each run has its own base, images and first weights. The script draws the accuracy on all test
images of 5 to 9, and checks that frozen weights do not change by a single bit.

These digits are so small and clean that the network from scratch does about as well: where the runs
of two ways overlap, no way is the better one. What remains is that the frozen way trains 2,565
weights in place of 7,461, and needs no gradients of the base.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from _digits import Data, load
from _shared import BLUE, GREY, ORANGE, start
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from rich.console import Console
from rich.table import Table

import gpunn as keras

WAYS = {"from scratch": GREY, "frozen": BLUE, "fine-tuned": ORANGE}
PER_DIGIT = (2, 5, 10, 20, 50)  # images of each new digit
BATCH = 32
STEPS = 80  # of training the new layer, or all from scratch; fine-tuning takes half as many
MOMENTUM = 0.9  # of the moving averages: Keras' 0.99 would lag behind in so few steps

Results = dict[str, dict[int, list[float]]]  # way -> images of each digit -> accuracy of each run


def make_base() -> Any:
    """8 x 8 x 1 -> 8 x 8 x 16 -> pooled to 4 x 4 x 16 -> 4 x 4 x 32 -> 512 features."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=MOMENTUM),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=MOMENTUM),
            layers.Flatten(),
        ]
    )


def with_new_head(base: Any) -> Any:
    """The base and a new layer for five digits."""
    return keras.Sequential([keras.Input((8, 8, 1)), base, keras.layers.Dense(5)])


def train(model: Any, data: Data, epochs: int, rate: float) -> None:
    """Compile anew, so that what is frozen now counts, and fit."""
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(*data, batch_size=BATCH, epochs=epochs, verbose=0)


def accuracy(model: Any, data: Data) -> float:
    return model.evaluate(*data, batch_size=256, verbose=0)[1]


def freeze_all_but_convolutions(base: Any) -> None:
    """For fine-tuning. Frozen BatchNormalization normalizes by its averages, also in training."""
    base.trainable = True
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def digits(data: Data, first: int) -> Data:
    """The images of five digits from `first` on, labelled 0 to 4."""
    x, y = data
    chosen = (first <= y) & (y < first + 5)
    return x[chosen], y[chosen] - first


def few(data: Data, count: int, seed: int) -> Data:
    """So many images of each digit, drawn at random; of one seed, more images include the fewer."""
    x, y = data
    order = np.random.default_rng(seed).permutation(len(y))
    chosen = np.concatenate([order[y[order] == k][:count] for k in range(5)])
    return x[chosen], y[chosen]


def same_bits(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    """Whether the arrays are equal in every bit, which 0 = -0 and NaN ≠ NaN would not tell."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))


def compare(pretrained: Any, data: Data, test: Data) -> tuple[dict[str, float], bool]:
    """The test accuracy of each way, and whether the frozen weights stayed as they were."""
    epochs = -(-STEPS * BATCH // max(len(data[0]), BATCH))
    scratch = with_new_head(make_base())
    train(scratch, data, epochs, rate=2e-3)
    found = {"from scratch": accuracy(scratch, test)}

    base = make_base()
    base.set_weights(pretrained.get_weights())
    base.trainable = False
    model = with_new_head(base)
    before = base.get_weights()
    train(model, data, epochs, rate=1e-2)
    unchanged = same_bits(before, base.get_weights())
    found["frozen"] = accuracy(model, test)

    freeze_all_but_convolutions(base)
    train(model, data, -(-epochs // 2), rate=3e-4)
    found["fine-tuned"] = accuracy(model, test)
    return found, unchanged


def show(results: Results, console: Console) -> None:
    """Mean and standard deviation over the runs, in per cent."""
    table = Table("images of each digit", title="Test accuracy on 5 to 9", title_justify="left")
    for way in WAYS:
        table.add_column(way, justify="right")
    for count in PER_DIGIT:
        values = [100 * np.array(results[way][count]) for way in WAYS]
        table.add_row(str(count), *(f"{v.mean():.1f} ± {v.std():.1f} %" for v in values))
    console.print(table)


def draw(results: Results, path: Path) -> None:
    """Accuracy against images of each digit: mean and standard deviation, the runs as dots."""
    figure = Figure(figsize=(7.6, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    for place, (way, color) in enumerate(WAYS.items()):
        values = np.array([results[way][count] for count in PER_DIGIT])  # (counts, runs)
        beside = np.array(PER_DIGIT) * 1.06 ** (place - 1)  # so that no run hides another
        axes.plot(beside, values, ".", color=color, alpha=0.35, mew=0)
        mean, spread = values.mean(1), values.std(1)
        axes.errorbar(beside, mean, spread, color=color, marker="o", capsize=3, label=way)
    runs = values.shape[1]
    axes.set_title("New digits from few images", loc="left", fontweight="bold")
    axes.set(xlabel="training images of each digit", ylabel="accuracy on the test images of 5 to 9")
    axes.set_xscale("log")
    axes.set_xticks(PER_DIGIT, [str(count) for count in PER_DIGIT])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right", title=f"mean ± std of {runs} runs")
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> Results:
    """Train in all ways, compare, draw; returns the accuracies."""
    options = start(__doc__, epochs=15, arguments=arguments, runs=5)
    console = Console()
    data, _, test = load(8, 8, 1)
    results: Results = {way: {count: [] for count in PER_DIGIT} for way in WAYS}
    unchanged = True
    for run in range(options.runs):
        seed = options.seed + run
        keras.utils.set_random_seed(seed)
        base = make_base()
        model = with_new_head(base)
        train(model, digits(data, 0), options.epochs, rate=2e-3)
        console.print(
            f"Run {run + 1}: a base that reads {accuracy(model, digits(test, 0)):.1%} of the test "
            "images of 0 to 4"
        )
        for count in PER_DIGIT:
            found, same = compare(base, few(digits(data, 5), count, seed), digits(test, 5))
            unchanged &= same
            for way, value in found.items():
                results[way][count].append(value)
    show(results, console)
    console.print(f"Frozen weights after training: {'the same bits' if unchanged else 'CHANGED'}")
    picture = options.output / "transfer.png"
    draw(results, picture)
    console.print(f"Picture: {picture}")
    return results


if __name__ == "__main__":
    main()
