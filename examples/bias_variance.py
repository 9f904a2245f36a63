"""Too simple or too flexible? Learning curves and validation curves say it.

    python examples/bias_variance.py [--device cpu|gpu] [--epochs N] [--seed N] [--output FOLDER]

The data are the 442 patients with diabetes that scikit-learn ships; a network shall say how far the
disease will have come a year later. scikit-learn's `learning_curve` and `validation_curve` do the
work, by `gpunn.wrappers.SKLearnRegressor`: each point is the mean of three folds, each standardized
with the numbers of its own training rows.

- Bias: a model that is too simple has the same large error on training and validation rows, and
  more rows do not help. Here: a network held down by a large L2 penalty.
- Variance: a model that is too flexible has nearly no error on its training rows and a large one on
  others; more rows help. Here: 64 hidden units without a penalty.
- Between them: with less penalty the training error only falls, the validation error falls and
  rises again. So it is with more hidden units, of which few are enough here.

A fifth of the rows is put aside before all this. At the end the L2 penalty with the least error on
validation rows is taken, and the network and a linear model meet the test rows once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _shared import BLUE, ORANGE, start
from _tables import Data, diabetes, split
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from rich.console import Console
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import KFold, learning_curve, validation_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gpunn as keras
from gpunn.wrappers import SKLearnRegressor

UNITS = 64
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
SIZES = (1, 2, 8, 32, 128)
SHARES = np.linspace(0.25, 1, 4)  # of the training rows of a fold
SCORING = "neg_root_mean_squared_error"


@dataclass
class Curve:
    """The errors (points, folds) of training and validation over some quantity."""

    title: str
    xlabel: str
    xs: Sequence[float]
    training: np.ndarray
    validation: np.ndarray

    @property
    def best(self) -> int:
        """Where the mean validation error is least."""
        return int(self.validation.mean(1).argmin())


def make_model(X: np.ndarray, y: np.ndarray, seed: int, units: int = UNITS, l2: float = 0.0) -> Any:
    """features -> units -> 1; the loss is the squared error + l2 Σ w² over both kernels."""
    keras.utils.set_random_seed(seed)  # each fold begins with the same weights
    penalty = keras.regularizers.L2(l2) if l2 else None
    model = keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            keras.layers.Dense(units, activation="relu", kernel_regularizer=penalty),
            keras.layers.Dense(y.shape[1], kernel_regularizer=penalty),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), loss="mse")
    return model


class Experiment:
    """One way to train and to divide the rows, for all curves."""

    def __init__(self, data: Data, epochs: int, seed: int):
        self.data = data
        self.seed = seed
        self.fit_kwargs = {"epochs": epochs, "batch_size": 32, "verbose": 0}
        self.folds = KFold(3, shuffle=True, random_state=seed)

    def network(self, **model_kwargs: Any) -> Any:
        """The network, between scalers of x and y that learn from what it learns from."""
        kwargs = {"seed": self.seed, **model_kwargs}
        regressor = SKLearnRegressor(make_model, model_kwargs=kwargs, fit_kwargs=self.fit_kwargs)
        scaled = TransformedTargetRegressor(regressor, transformer=StandardScaler())
        return make_pipeline(StandardScaler(), scaled)

    def over_rows(self, title: str, **model_kwargs: Any) -> Curve:
        """The learning curve of a network."""
        sizes, *scores = learning_curve(
            self.network(**model_kwargs), *self.data, cv=self.folds, scoring=SCORING,
            train_sizes=SHARES,
        )  # fmt: skip
        return Curve(title, "training rows", sizes, *(-s for s in scores))

    def over(self, name: str, values: Sequence[Any], title: str, xlabel: str) -> Curve:
        """The validation curve over an argument of `make_model`."""
        scores = validation_curve(
            self.network(), *self.data, cv=self.folds, scoring=SCORING,
            param_name="transformedtargetregressor__regressor__model_kwargs",
            param_range=[{"seed": self.seed, name: value} for value in values],
        )  # fmt: skip
        return Curve(title, xlabel, values, *(-s for s in scores))


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Two learning curves above two validation curves; means, and the folds in thin lines."""
    figure = Figure(figsize=(10.5, 8), dpi=130, layout="constrained")
    cells = figure.subplots(2, 2, sharey=True).flat
    for axes, curve in zip(cells, curves, strict=True):
        _draw_curve(axes, curve)
        if curve.xlabel != "training rows":
            axes.set_xscale("log")
            axes.set_xticks(curve.xs, [f"{x:g}" for x in curve.xs])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.axvline(curve.xs[curve.best], color=ORANGE, linewidth=1, linestyle=":")
    cells[0].legend(frameon=False, title="mean of 3 folds (thin: each)", alignment="left")
    for axes in (cells[0], cells[2]):
        axes.set_ylabel("root of the mean squared error (points)")
    cells[0].set_ylim(bottom=0)
    figure.savefig(path)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    for name, rows, color in (
        ("training", curve.training, BLUE), ("validation", curve.validation, ORANGE),
    ):  # fmt: skip
        axes.plot(curve.xs, rows, color=color, linewidth=0.8, alpha=0.4)
        axes.plot(curve.xs, rows.mean(1), color=color, linewidth=2.2, marker="o", label=name)
    axes.set_title(curve.title, loc="left", fontweight="bold", fontsize=11)
    axes.set_xlabel(curve.xlabel)
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Draw all curves, choose, test; returns the errors on the test rows."""
    options = start(__doc__, epochs=60, arguments=arguments)
    console = Console()
    data, (x_test, y_test) = split(diabetes())
    experiment = Experiment(data, options.epochs, options.seed)
    penalties = experiment.over("l2", PENALTIES, f"Over the penalty: {UNITS} units", "L2 penalty")
    curves = [
        experiment.over_rows(
            f"Bias: {UNITS} units, L2 penalty {PENALTIES[-1]:g}", l2=PENALTIES[-1]
        ),
        experiment.over_rows(f"Variance: {UNITS} units, no penalty"),
        penalties,
        experiment.over("units", SIZES, "Over the size: no penalty", "hidden units"),
    ]
    for curve in curves:
        errors = curve.training.mean(1)[-1], curve.validation.mean(1)[-1]
        console.print(
            f"{curve.title}; with {curve.xs[-1]:g} {curve.xlabel}: training error {errors[0]:.1f}, "
            f"validation error {errors[1]:.1f}",
            soft_wrap=True,
        )
    chosen = PENALTIES[penalties.best]
    models = {
        f"network, L2 penalty {chosen:g}": experiment.network(l2=chosen),
        "linear model": LinearRegression(),
    }
    found = {}
    for name, model in models.items():
        found[name] = float(root_mean_squared_error(y_test, model.fit(*data).predict(x_test)))
        console.print(f"Test error, {name}: {found[name]:.1f} points")
    picture = options.output / "bias_variance.png"
    draw(curves, picture)
    console.print(f"Picture: {picture}")
    return found


if __name__ == "__main__":
    main()
