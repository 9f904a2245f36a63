"""Find the eights among handwritten digits: where one class is rare, accuracy misleads.

    python examples/skewed_classes.py [--device cpu|gpu] [--epochs N] [--seed N] [--output FOLDER]

One digit in ten is an 8. Whoever says "no 8" to every image is right in nine cases of ten and
finds none. So three numbers are told beside the accuracy: the precision (how many of those that
were called an 8 are one), the recall (how many of the eights were found), and F1, their harmonic
mean.

A model gives a probability; what counts as "8" is a threshold on it, which need not be 0.5. Two
models of one layer are trained, so small that enough mistakes remain to speak of: one plainly, one
with a `class_weight` that lets the eights count as much as all others together. Each is used with
the threshold 0.5, and with the one of the largest F1 on the validation images. The weights mostly
do what a lower threshold does: they find more eights and raise more false alarms.

The images and the test are those of digits_mlp.py. Of the others four in ten are for validation:
thresholds are chosen on them, and few eights would choose badly. The table and the curves are of
the test images, on which no threshold was chosen; with 35 eights the last figures are chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _digits import SPLIT_SEED, Data, load
from _shared import BLUE, GREY, ORANGE, start
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score, precision_recall_curve
from sklearn.model_selection import train_test_split

import gpunn as keras

DIGIT = 8
BATCH = 32
COLORS = {"plain": BLUE, "class_weight": ORANGE}


@dataclass
class Scores:
    """Of a model with a threshold."""

    model: str
    threshold: float
    accuracy: float
    precision: float
    recall: float
    f1: float


def parts() -> tuple[Data, Data, Data]:
    """Training, validation and test data: x (n, 64); y (n, 1), 1 for the rare digit, else 0."""
    *known, test = ((x, (y == DIGIT).astype("float32")[:, None]) for x, y in load(64))
    x, y = (np.concatenate(arrays) for arrays in zip(*known, strict=True))
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.4, stratify=y, random_state=SPLIT_SEED)
    return (x, y), (x_val, y_val), test


def balanced(y: np.ndarray) -> dict[int, float]:
    """Weights with which both classes count as much, and a sample counts 1 on average."""
    rare = float(y.mean())
    return {0: 0.5 / (1 - rare), 1: 0.5 / rare}


def train(data: Data, epochs: int, class_weight: dict[int, float] | None) -> Any:
    """p = σ(w · pixels + b), trained."""
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.003), loss="binary_crossentropy")
    model.fit(*data, batch_size=BATCH, epochs=epochs, class_weight=class_weight, verbose=0)
    return model


def best_threshold(y: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold with the largest F1; of several, the lowest."""
    precision, recall, thresholds = precision_recall_curve(y, probabilities)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[f1[:-1].argmax()])


def scores(model: str, y: np.ndarray, probabilities: np.ndarray, threshold: float) -> Scores:
    """What a threshold gives: an 8 is what has at least this probability."""
    below = float(np.nextafter(np.float32(threshold), np.float32(0)))  # Keras' thresholds exclude
    found = []
    for metric in (
        keras.metrics.BinaryAccuracy(threshold=below),
        keras.metrics.Precision(thresholds=below),
        keras.metrics.Recall(thresholds=below),
        keras.metrics.F1Score(average="micro", threshold=below),
    ):
        metric.update_state(y, probabilities)
        found.append(float(metric.result()))
    return Scores(model, threshold, *found)


def show(rows: list[Scores], console: Console) -> None:
    """The table, best F1 in bold."""
    table = Table("model", "threshold")
    for name in ("accuracy", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    best = max(row.f1 for row in rows)
    for row in rows:
        cells = [f"{v:.1%}" for v in (row.accuracy, row.precision, row.recall)]
        threshold = "" if row.threshold == 1 else f"{row.threshold:.2f}"
        bold = "bold" if row.f1 == best else None
        table.add_row(row.model, threshold, *cells, f"{row.f1:.2f}", style=bold)
    console.print(table)


def draw(y: np.ndarray, found: dict[str, np.ndarray], rows: list[Scores], path: Path) -> None:
    """Precision against recall over all thresholds; the used thresholds as points."""
    figure = Figure(figsize=(7, 5.4), dpi=150, layout="constrained")
    axes = figure.subplots()
    for name, probabilities in found.items():
        precision, recall, _ = precision_recall_curve(y, probabilities)
        area = average_precision_score(y, probabilities)
        label = f"{name} (average precision {area:.2f})"
        axes.plot(recall, precision, drawstyle="steps-post", color=COLORS[name], label=label)
    for row in rows:
        if row.model in COLORS:
            marker, at = ("o", "0.5") if row.threshold == 0.5 else ("D", f"{row.threshold:.2f}")
            place = row.recall, row.precision
            axes.plot(*place, marker, color=COLORS[row.model], markersize=8, zorder=5)
            below = row.model == "plain"  # its curve lies below the other one
            axes.annotate(
                f"p ≥ {at}", place, (-10, -16) if below else (10, 7), textcoords="offset points",
                ha="right" if below else "left", weight="bold",
                bbox={"color": "white", "alpha": 0.8, "pad": 1},
            )  # fmt: skip
    axes.axhline(y.mean(), color=GREY, linestyle=":", linewidth=1.2, label="all are an 8")
    axes.set_title(f"The {int(y.sum())} eights of {len(y)} test digits", loc="left", weight="bold")
    axes.set(xlabel="recall: found, of the eights", ylabel="precision: right, of the alarms")
    axes.set(xlim=(0, 1.02), ylim=(0, 1.04))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        frameon=False, loc="lower left", title="circle: 0.5, diamond: best F1 on validation",
        alignment="left", bbox_to_anchor=(0, 0.1),
    )  # fmt: skip
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> list[Scores]:
    """Train both, choose thresholds, test, draw; returns the scores on the test images."""
    options = start(__doc__, epochs=40, arguments=arguments)
    console = Console()
    data, validation, (x_test, y_test) = parts()
    console.print(f"{data[1].mean():.1%} of the training images show an {DIGIT}")

    rows = [scores("no 8 anywhere", y_test, np.zeros_like(y_test), threshold=1.0)]
    found = {}
    for name, weights in (("plain", None), ("class_weight", balanced(data[1]))):
        keras.utils.set_random_seed(options.seed)  # the same first weights and order for both
        model = train(data, options.epochs, weights)
        chosen = best_threshold(validation[1], model.predict(validation[0], verbose=0))
        found[name] = model.predict(x_test, verbose=0)
        rows += [scores(name, y_test, found[name], threshold) for threshold in (0.5, chosen)]
    show(rows, console)
    picture = options.output / "precision_recall.png"
    draw(y_test, found, rows, picture)
    console.print(f"Picture: {picture}")
    return rows


if __name__ == "__main__":
    main()
