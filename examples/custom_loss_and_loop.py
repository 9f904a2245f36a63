"""A loss of one's own, and a training loop of one's own: how low, how high may it be?

    python examples/custom_loss_and_loop.py [--device cpu|gpu] [--epochs N] [--seed N]
                                            [--output FOLDER]

The pinball loss counts an error upwards and one downwards differently, along two straight lines:

    L(y, q) = τ (y - q) where y ≥ q,  (1 - τ) (q - y) where y < q.

The constant q with the least mean loss is the τ-quantile of y. The loss is written with
`gpunn.ops`, gradient descent by `gpunn.GradientTape` finds its q, and numpy.quantile says the same.
(Where the quantile lies between two of the values, all numbers between them are as good.)

Then a network learns the quantiles of 10, 50 and 90 % as functions: how far diabetes will have come
a year later, given the body mass index (442 patients; the data come with scikit-learn). Its
training loop is written out below, recorded by `gpunn.function`. The weights of the epoch with the
least loss on the validation patients are kept; that choice is all that those are used for. On the
test patients, met once, the shares below the three curves are to be near 10, 50 and 90 %; near,
for there are only 89 of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _shared import BLUE, GREY, ORANGE, start
from _tables import Data, diabetes, split, standardized
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import gpunn as keras

ops = keras.ops
LEVELS = (0.1, 0.5, 0.9)
BATCH = 32
BODY_MASS_INDEX = 2  # the column
STEPS, RATE = 3000, 0.5  # of the search for a constant


class Pinball(keras.losses.Loss):
    """The mean over the columns of max(τ e, (τ - 1) e), e = y - q; one τ for each column."""

    def __init__(self, levels: tuple[float, ...], **kwargs: Any):
        super().__init__(**kwargs)
        self.levels = levels
        self._taus = ops.convert_to_tensor(levels, dtype="float32")  # once, not in each step

    def call(self, y_true: Any, y_pred: Any) -> Any:
        error = y_true - y_pred  # (batch, 1) - (batch, levels)
        return ops.mean(ops.maximum(self._taus * error, (self._taus - 1) * error), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "levels": self.levels}


def constant_quantiles(y: np.ndarray) -> np.ndarray:
    """The constants of least loss for y (n, 1), by gradient descent in ever smaller steps."""
    q = keras.Variable(np.full((1, len(LEVELS)), y.mean(), "float32"))
    rate = keras.optimizers.schedules.PolynomialDecay(RATE * float(y.std()), STEPS, power=2.0)
    optimizer, loss = keras.optimizers.SGD(rate), Pinball(LEVELS)

    @keras.function
    def step(y: Any) -> None:
        with keras.GradientTape() as tape:
            value = loss(y, ops.broadcast_to(q, (y.shape[0], len(LEVELS))))
        optimizer.apply_gradients([(tape.gradient(value, q), q)])

    for _ in range(STEPS):
        step(y)
    return q.numpy()[0]


def make_model() -> Any:
    """One number -> 16 -> 16 -> q₁, q₂ - q₁, q₃ - q₂, the last two positive -> q₁ ≤ q₂ ≤ q₃."""
    x = keras.Input((1,))
    h = keras.layers.Dense(16, activation="tanh")(x)
    h = keras.layers.Dense(16, activation="tanh")(h)
    lowest = keras.layers.Dense(1)(h)
    gaps = keras.layers.Dense(len(LEVELS) - 1, activation="softplus")(h)
    quantiles = ops.cumsum(ops.concatenate([lowest, gaps], axis=-1), axis=-1)
    return keras.Model(x, quantiles)


def make_step(model: Any, loss: Any, optimizer: Any) -> Callable[..., Any]:
    """One update with a batch; returns the loss from before it."""

    @keras.function
    def step(x: Any, y: Any) -> Any:
        with keras.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return value

    return step


def train(model: Any, data: Data, validation: Data, epochs: int, seed: int) -> list[float]:
    """The loop; ends with the weights of the best epoch, returns the loss on validation data."""
    loss = Pinball(LEVELS)
    step = make_step(model, loss, keras.optimizers.Adam(0.005))
    rng = np.random.default_rng(seed)
    history: list[float] = []
    best = model.get_weights()
    x, y = data
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for first in range(0, len(x) - BATCH + 1, BATCH):  # the few left over wait for their turn
            rows = order[first : first + BATCH]
            step(x[rows], y[rows])
        found = float(loss(validation[1], model(validation[0], training=False)))
        if found < min(history, default=np.inf):
            best = model.get_weights()
        history.append(found)
    model.set_weights(best)
    return history


def draw(test: Data, grid: np.ndarray, curves: np.ndarray, path: Path) -> None:
    """The patients as dots, the three quantiles (grid, levels) as curves."""
    figure = Figure(figsize=(7.6, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.fill_between(grid, curves[:, 0], curves[:, -1], color=BLUE, alpha=0.13, linewidth=0)
    for level, curve in zip(LEVELS, curves.T, strict=True):
        middle = level == 0.5
        axes.plot(grid, curve, color=BLUE, linewidth=2.4 if middle else 1.4)
        axes.annotate(
            f"{level:.0%}", (grid[-1], curve[-1]), (6, 0), textcoords="offset points",
            va="center", color=BLUE, weight="bold", annotation_clip=False,
        )  # fmt: skip
    x, y = test[0][:, 0], test[1][:, 0]
    at = np.stack([np.interp(x, grid, curve) for curve in curves.T], axis=1)
    inside = (at[:, 0] <= y) & (y <= at[:, -1])
    axes.plot(x[inside], y[inside], "o", color=GREY, markersize=4, label="test patients")
    axes.plot(x[~inside], y[~inside], "o", color=ORANGE, markersize=5, label="outside of the band")
    axes.set_title("Quantiles of the progression of diabetes", loc="left", fontweight="bold")
    axes.set(xlabel="body mass index (kg/m²)", ylabel="progression after a year (points)")
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> np.ndarray:
    """Find the constants, train the network, test, draw; returns the shares below its curves."""
    options = start(__doc__, epochs=80, arguments=arguments)
    console = Console()
    x, y = diabetes()
    rest, test = split((x[:, BODY_MASS_INDEX : BODY_MASS_INDEX + 1], y[:, None]))
    data, validation = split(rest, test=0.25)

    table = Table("quantile of the progression", *(f"{level:.0%}" for level in LEVELS))
    table.add_row("by the pinball loss", *(f"{q:.1f}" for q in constant_quantiles(data[1])))
    table.add_row("by numpy.quantile", *(f"{q:.1f}" for q in np.quantile(data[1], LEVELS)))
    console.print(table)

    xs = standardized(data[0], validation[0], test[0])
    ys = standardized(data[1], validation[1])
    model = make_model()
    history = train(model, (xs[0], ys[0]), (xs[1], ys[1]), options.epochs, options.seed)
    best = int(np.argmin(history)) + 1
    console.print(f"Validation loss: {min(history):.4f} after epoch {best} of {len(history)}")

    def quantiles(x: np.ndarray) -> np.ndarray:
        return model.predict(x, verbose=0) * data[1].std() + data[1].mean()

    shares = (test[1] < quantiles(xs[2])).mean(0)
    told = ", ".join(f"{share:.0%} ({level:.0%})" for share, level in zip(shares, LEVELS))
    console.print(f"Test patients below the curves: {told}")
    picture = options.output / "quantiles.png"
    grid = np.linspace(rest[0].min(), rest[0].max(), 200, dtype="float32")[:, None]
    draw(test, grid[:, 0], quantiles(standardized(data[0], grid)[1]), picture)
    console.print(f"Picture: {picture}")
    return shares


if __name__ == "__main__":
    main()
