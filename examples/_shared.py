"""What all examples share: the command line and the colours."""

from __future__ import annotations

import argparse
from pathlib import Path

import gpunn as keras

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"  # told apart by colour-blind readers, too


def start(
    doc: str | None,
    epochs: int,
    arguments: list[str] | None,
    runs: int = 0,
    pictures: bool = True,
    data: str = "",
) -> argparse.Namespace:
    """The command line, checked; device and seed are set, the folder for the pictures is there.

    `epochs`, `runs`: how many by default. Without runs or pictures there is no such option; `data`
    says what the folder of the option --data holds, if there is one.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "gpu"), help="default: a GPU if there is one")
    parser.add_argument("--epochs", type=int, default=epochs)
    if runs:
        parser.add_argument("--runs", type=int, default=runs, help="each with a seed of its own")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the shuffling")
    if pictures:
        parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output")
    if data:
        parser.add_argument("--data", type=Path, help=data)
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, received {options.epochs}")
    if runs and options.runs < 1:
        parser.error(f"--runs must be at least 1, received {options.runs}")
    if options.device:
        keras.device(options.device).use()
    keras.utils.set_random_seed(options.seed)
    if pictures:
        options.output.mkdir(parents=True, exist_ok=True)
    return options
