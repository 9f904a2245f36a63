"""Forecast a real series: the electric potentials on a head, a twentieth of a second ahead.

    python examples/series_gru.py [--device cpu|gpu] [--epochs N] [--runs N] [--seed N]
                                  [--output FOLDER]

The series is real: an electroencephalogram, four electrodes over ten seconds at 80 samples a
second, which matplotlib ships (`sample_data/eeg.dat`, with these labels in its gallery's "MRI with
EEG"). All four are forecast 4 samples ahead from the last 24 samples of all four.

The naive forecast is "as now". The networks learn by how much the future differs from it: a dense
one, a GRU, two GRUs one above the other, and one in both directions. The first 60 % of the time
are for training, and the series is standardized with their mean and deviation; the next 20 %
choose the best epoch, and the last 20 % are the test. Do not expect wonders: 480 samples are few
to learn from. The GRUs err about an eighth less than the naive forecast, the dense network not at
all, and where the potentials leap, all of them come late.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _shared import BLUE, GREY, ORANGE, start
from rich.console import Console
from rich.table import Table

import gpunn as keras
from gpunn.errors import MissingExtraError

try:
    from matplotlib.cbook import get_sample_data
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise MissingExtraError("matplotlib", "examples", "This example") from None

STEPS = 24  # samples that the networks see
AHEAD = 4  # samples from the last one seen to the one that is forecast
RATE = 80  # samples a second
ELECTRODES = ("PG3", "PG5", "PG7", "PG9")
BATCH = 32
NAIVE = "as now"
layers = keras.layers

NETWORKS: dict[str, Callable[[], list[Any]]] = {
    "dense": lambda: [layers.Flatten(), layers.Dense(32, activation="relu")],
    "GRU": lambda: [layers.GRU(24)],
    "two GRUs": lambda: [layers.GRU(24, return_sequences=True), layers.GRU(24)],
    "GRU, both directions": lambda: [layers.Bidirectional(layers.GRU(16))],
}


@dataclass
class Series:
    """`values` (samples, electrodes), standardized, and what they change by until AHEAD later.

    `cuts`: the samples on which the first forecasts of validation and test are made.
    """

    values: np.ndarray
    changes: np.ndarray
    cuts: tuple[int, int]

    def part(self, first: int, last: int, shuffle: bool = False) -> Any:
        """Batches of windows whose forecasts are made on the samples from `first` to `last`."""
        begin = first - STEPS + 1
        return keras.utils.timeseries_dataset_from_array(
            self.values[begin:last], self.changes[first:last], STEPS, batch_size=BATCH,
            shuffle=shuffle, seed=0 if shuffle else None,
        )  # fmt: skip

    def test(self) -> slice:
        """The samples on which the test's forecasts are made."""
        return slice(self.cuts[1], len(self.changes))


def load() -> Series:
    """The series, standardized with what is known before the validation begins."""
    with get_sample_data("eeg.dat") as file:
        values = np.frombuffer(file.read(), "<f8").reshape(-1, len(ELECTRODES))
    n = len(values) - AHEAD
    cuts = (n * 3 // 5, n * 4 // 5)
    values = (values - values[: cuts[0]].mean(0)) / values[: cuts[0]].std(0)
    values = values.astype("float32")
    return Series(values, values[AHEAD:] - values[:-AHEAD], cuts)


class KeepBest(keras.callbacks.Callback):
    """Ends with the weights of the epoch whose validation went best."""

    def __init__(self) -> None:
        super().__init__()
        self.least = float("inf")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs["val_loss"] < self.least:
            self.least, self.weights = logs["val_loss"], self.model.get_weights()

    def on_train_end(self, logs: Any = None) -> None:
        self.model.set_weights(self.weights)


def train(name: str, series: Series, epochs: int) -> np.ndarray:
    """The changes that a network foresees in the test, after its training."""
    shape = (STEPS, len(ELECTRODES))
    model = keras.Sequential([keras.Input(shape), *NETWORKS[name](), layers.Dense(len(ELECTRODES))])
    model.compile(optimizer=keras.optimizers.Adam(0.002), loss="mae")
    first, second = series.cuts
    model.fit(
        series.part(STEPS - 1, first, shuffle=True), epochs=epochs, callbacks=[KeepBest()],
        validation_data=series.part(first, second), verbose=0,
    )  # fmt: skip
    return model.predict(series.part(second, len(series.changes)), verbose=0)


def errors(series: Series, forecasts: dict[str, list[np.ndarray]]) -> dict[str, list[float]]:
    """Mean absolute errors in the test, of each run; the naive one's first."""
    truth = series.changes[series.test()]
    found = {NAIVE: [float(np.abs(truth).mean())]}
    for name, runs in forecasts.items():
        found[name] = [float(np.abs(truth - run).mean()) for run in runs]
    return found


def show(found: dict[str, list[float]], console: Console) -> None:
    """Side by side; means of the runs."""
    table = Table(
        "forecast", title="Errors in the test, in standard deviations", title_justify="left"
    )
    for heading in ("MAE", "best", "worst", "of the naive one"):
        table.add_column(heading, justify="right")
    for name, runs in found.items():
        mean = statistics.mean(runs)
        numbers = [f"{value:.4f}" for value in (mean, min(runs), max(runs))]
        table.add_row(name, *numbers, f"{mean / found[NAIVE][0]:.1%}")
    console.print(table)


def draw(
    series: Series, forecasts: dict[str, list[np.ndarray]], found: dict[str, list[float]],
    path: Path,
) -> None:  # fmt: skip
    """The test's first electrode with two forecasts, and the errors as bars."""
    figure = Figure(figsize=(11, 4.4), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(5, 2))
    now = series.values[:-AHEAD][series.test(), 0]
    seconds = (np.arange(len(series.changes))[series.test()] + AHEAD) / RATE
    truth = now + series.changes[series.test(), 0]
    left.plot(seconds, truth, color=GREY, lw=2.5, alpha=0.6, label="measured")
    for name, color in ((NAIVE, ORANGE), ("GRU", BLUE)):
        change = 0 if name == NAIVE else np.mean(forecasts[name], axis=0)[:, 0]
        left.plot(seconds, now + change, color=color, lw=1.2, label=f"forecast: {name}")
    left.set_title(f"Electrode {ELECTRODES[0]}, standardized", loc="left", fontweight="bold")
    left.set_xlabel("seconds")
    left.legend(frameon=False, loc="upper right")
    left.spines[["top", "right"]].set_visible(False)

    means = [statistics.mean(runs) for runs in found.values()]
    colors = [{NAIVE: ORANGE, "GRU": BLUE}.get(name, GREY) for name in found]
    right.barh(list(found), means, color=colors, height=0.6)
    for place, mean in enumerate(means):
        right.text(mean + 0.02 * max(means), place, f"{mean:.3f}", va="center")
    right.set_xlim(0, 1.25 * max(means))
    right.invert_yaxis()
    right.set_title("Mean absolute error", loc="left", fontweight="bold")
    right.set_xticks([])
    right.tick_params(length=0)
    right.spines[["top", "right", "bottom"]].set_visible(False)
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    """Train and test all networks, draw; returns the errors."""
    options = start(__doc__, epochs=40, arguments=arguments, runs=3)
    console = Console()
    series = load()
    forecasts: dict[str, list[np.ndarray]] = {name: [] for name in NETWORKS}
    for run in range(options.runs):
        for name in NETWORKS:
            keras.utils.set_random_seed(options.seed + run)
            forecasts[name].append(train(name, series, options.epochs))
            console.print(f"Run {run + 1}: {name}: done")
    found = errors(series, forecasts)
    show(found, console)
    picture = options.output / "series.png"
    draw(series, forecasts, found, picture)
    console.print(f"Picture: {picture}")
    return found


if __name__ == "__main__":
    main()
