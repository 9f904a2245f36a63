"""Regression on few rows: K-fold validation finds how long to train.

    python examples/house_prices_kfold.py [--data FOLDER] [--device cpu|gpu] [--epochs N] [--seed N]
                                          [--output FOLDER]

The classical example of this is on house prices (Chollet, Deep Learning with Python, section
"Predicting house prices"). scikit-learn has those of California only as a download; with --data,
the folder in which `sklearn.datasets.fetch_california_housing` has kept it, the script takes 600
of its districts. Without, it takes what scikit-learn ships: 442 patients with diabetes, and how far
the disease had come a year later. The method is the same.

A fifth of the rows is put aside for the test. The rest is cut into four folds; each fold validates
a network that was trained on the other three, standardized with the means and deviations of these
three. The number of epochs is that with the smallest mean absolute error (MAE) on the validation
rows, averaged over the folds; network and optimizer are the book's. (The MAE of that epoch is a
little too good, being the best of many.) Then a new network learns from all rows but the test's for
so many epochs, and meets the test rows once. A linear model and the median are there to compare: of
so few patients the network learns nothing that the linear model does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _shared import BLUE, GREY, ORANGE, start
from _tables import Data, diabetes, split, standardized
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.console import Console
from rich.table import Table
from sklearn.datasets import fetch_california_housing
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

import gpunn as keras

FOLDS = 4
BATCH = 16
DISTRICTS = 600  # of the houses: as few rows as in the book, else there is nothing to see


@dataclass
class Task:
    """What is predicted from what."""

    name: str
    unit: str
    data: Data


def load(folder: Path | None) -> Task:
    """The houses, if there is a folder with them, else the patients."""
    if folder is None:
        return Task("progression of diabetes", "points", diabetes())
    try:
        x, y = fetch_california_housing(
            data_home=folder, download_if_missing=False, return_X_y=True
        )
    except OSError:
        raise SystemExit(
            f"There are no house prices in {folder}. Where there is a network, get them by\n"
            f'python -c "from sklearn.datasets import fetch_california_housing as f; '
            f"f(data_home='{folder}')\""
        ) from None
    chosen = np.random.default_rng(0).permutation(len(y))[:DISTRICTS]
    return Task(
        "house prices in California", "$1000", (x[chosen].astype("float32"), 100 * y[chosen])
    )


def make_model(features: int) -> Any:
    """features -> 64 -> 64 -> a standardized target."""
    model = keras.Sequential(
        [
            keras.Input((features,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.RMSprop(0.001), loss="mse", metrics=["mae"])
    return model


def train(known: Data, others: Data, epochs: int) -> dict[str, np.ndarray]:
    """The MAE after each epoch on the rows that a network learns from, and on the others."""
    x, x_others = standardized(known[0], others[0])
    y, y_others = standardized(known[1][:, None], others[1][:, None])
    history = make_model(x.shape[1]).fit(
        x, y, batch_size=BATCH, epochs=epochs, validation_data=(x_others, y_others), verbose=0
    )
    curves = {"training": "mae", "validation": "val_mae"}
    unit = known[1].std()
    return {name: unit * np.array(history.history[key]) for name, key in curves.items()}


def cross_validate(data: Data, epochs: int, seed: int) -> dict[str, np.ndarray]:
    """The MAE of training and validation: (folds, epochs) each."""
    x, y = data
    found: dict[str, list[np.ndarray]] = {"training": [], "validation": []}
    for known, held_out in KFold(FOLDS, shuffle=True, random_state=seed).split(x):
        curves = train((x[known], y[known]), (x[held_out], y[held_out]), epochs)
        for name, curve in curves.items():
            found[name].append(curve)
    return {name: np.stack(rows) for name, rows in found.items()}


def compare(data: Data, test: Data, epochs: int) -> dict[str, float]:
    """The MAE on the test rows: of the network, a linear model, and the median as the guess."""
    x, x_test = standardized(data[0], test[0])
    model = make_model(x.shape[1])
    y, unit = standardized(data[1][:, None])[0], data[1].std()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
    network = model.predict(x_test, verbose=0)[:, 0] * unit + data[1].mean()
    guesses = {
        f"network, {epochs} epochs": network,
        "linear model": LinearRegression().fit(x, data[1]).predict(x_test),
        "median": np.full(len(test[1]), np.median(data[1])),
    }
    return {name: float(np.abs(guess - test[1]).mean()) for name, guess in guesses.items()}


def draw(curves: dict[str, np.ndarray], best: int, task: Task, path: Path) -> None:
    """The mean over the folds in bold, the folds in thin lines, the chosen epoch."""
    figure = Figure(figsize=(8, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    epochs = np.arange(1, curves["validation"].shape[1] + 1)
    for (name, rows), color in zip(curves.items(), (BLUE, ORANGE), strict=True):
        axes.plot(epochs, rows.T, color=color, linewidth=0.8, alpha=0.35)
        axes.plot(epochs, rows.mean(0), color=color, linewidth=2.2, label=name)
    error = curves["validation"].mean(0)[best - 1]
    axes.plot(best, error, "o", color=ORANGE, markersize=8)
    axes.annotate(
        f"{best} epochs: {error:.1f}", (best, error), (0, 26), textcoords="offset points",
        ha="center", color=ORANGE, weight="bold", arrowprops={"arrowstyle": "-", "color": ORANGE},
    )  # fmt: skip
    later = np.concatenate([rows[:, min(3, best - 1) :] for rows in curves.values()])
    axes.set_ylim(max(0, 0.9 * later.min()), 1.08 * later.max())  # without the first, bad epochs
    axes.set_title(f"{FOLDS}-fold validation: {task.name}", loc="left", fontweight="bold")
    axes.set(xlabel="epoch", ylabel=f"mean absolute error ({task.unit})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, title="mean of the folds (thin: each)", alignment="left")
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Validate, choose, train, test, draw; returns the MAEs on the test rows."""
    data_help = "scikit-learn's data folder, with the house prices; default: diabetes instead"
    options = start(__doc__, epochs=80, arguments=arguments, data=data_help)
    console = Console()
    task = load(options.data)
    data, test = split(task.data)
    console.print(f"{task.name}: {len(data[1])} rows to learn from, {len(test[1])} to test")

    curves = cross_validate(data, options.epochs, options.seed)
    mean = curves["validation"].mean(0)
    best = int(mean.argmin()) + 1
    console.print(f"Validation MAE ({task.unit}) is smallest after {best} epochs:")
    table = Table("fold")
    table.add_column("MAE", justify="right")
    for fold, rows in enumerate(curves["validation"], 1):
        table.add_row(str(fold), f"{rows[best - 1]:.1f}")
    table.add_row("mean", f"{mean[best - 1]:.1f}", style=f"bold {GREY}")
    console.print(table)

    found = compare(data, test, best)
    for name, error in found.items():
        console.print(f"Test MAE, {name}: {error:.1f} {task.unit}")
    picture = options.output / "kfold.png"
    draw(curves, best, task, picture)
    console.print(f"Picture: {picture}")
    return found


if __name__ == "__main__":
    main()
