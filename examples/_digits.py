"""What the examples on handwritten digits share: the data, the command line, the colours.

The digits are real: 1797 images of 8 x 8 pixels from the UCI repository, which come with
scikit-learn. 68 % are for training, 12 % to watch while it trains, 20 % for the test.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gpunn as keras
from gpunn.errors import MissingExtraError

try:
    import matplotlib  # noqa: F401  # the examples draw with it
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
except ModuleNotFoundError as error:
    missing = (error.name or "matplotlib").split(".")[0]
    raise MissingExtraError(missing, "examples", "This example") from None

Data = tuple[np.ndarray, np.ndarray]

SPLIT_SEED = 1  # the same test images in every run, whatever --seed is
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"  # told apart by colour-blind readers, too


def load(*shape: int) -> tuple[Data, Data, Data]:
    """Training, validation and test data: x (n, *shape), grey values from 0 to 1; y (n,) labels.

    Stratified: each part has the same share of every digit.
    """
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype("float32").reshape(-1, *shape), y.astype("int32")
    x, x_test, y, y_test = train_test_split(
        x, y, test_size=0.2, stratify=y, random_state=SPLIT_SEED
    )
    x, x_val, y, y_val = train_test_split(x, y, test_size=0.15, stratify=y, random_state=SPLIT_SEED)
    return (x, y), (x_val, y_val), (x_test, y_test)


def start(
    doc: str | None, epochs: int, arguments: list[str] | None, runs: int = 0
) -> argparse.Namespace:
    """The command line, checked; device and seed are set, the folder for the pictures is there.

    `epochs`, `runs`: how many by default. Without runs there is no such option.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "gpu"), help="default: a GPU if there is one")
    parser.add_argument("--epochs", type=int, default=epochs)
    if runs:
        parser.add_argument("--runs", type=int, default=runs, help="each with a seed of its own")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the shuffling")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output")
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, received {options.epochs}")
    if runs and options.runs < 1:
        parser.error(f"--runs must be at least 1, received {options.runs}")
    if options.device:
        keras.device(options.device).use()
    keras.utils.set_random_seed(options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    return options
