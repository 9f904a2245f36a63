"""Data sets of the files below a folder, with the names of its subfolders as their classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpunn import config
from gpunn.errors import unknown_name
from gpunn.seeding import next_seed
from gpunn.utils.batches import Batches


@dataclass(frozen=True)
class FileKind:
    """What a function of `gpunn.utils` makes a data set of."""

    function: str
    what: str  # "text" or "image"
    suffixes: tuple[str, ...]
    load: Callable[[list[Path]], Any]  # the samples of a batch of files


def dataset_from_directory(
    kind: FileKind,
    directory: str | os.PathLike[str],
    labels: Any,
    label_mode: str | None,
    class_names: Sequence[str] | None,
    batch_size: int | None,
    shuffle: bool,
    seed: int | None,
    validation_split: float | None,
    subset: str | None,
    follow_links: bool,
    verbose: bool,
) -> Any:
    """The files as `Batches`, or a list of two with `subset` "both"."""
    _check_labels(kind.function, labels, label_mode, class_names)
    _check_split(kind.function, validation_split, subset, shuffle, seed)
    if labels is None or label_mode is None:
        labels = label_mode = None
    seed = next_seed() if seed is None else seed
    paths, numbers, names = _index(kind, directory, labels, class_names, follow_links)
    if label_mode == "binary" and len(names or ()) != 2:
        raise ValueError(
            f"{kind.function}: label_mode='binary' needs exactly 2 classes, found {names}. Use "
            f"'int'."
        )
    if verbose:
        known = "" if names is None else f" belonging to {len(names)} classes"
        print(f"Found {len(paths)} files{known}.")
    found = []
    for part, rows in _parts(len(paths), validation_split, subset, shuffle, seed).items():
        if not len(rows):
            raise _no_files(kind, part, directory)
        if verbose and part is not None:
            print(f"Using {len(rows)} files for {part}.")
        make = _Reader(kind, paths, numbers, rows, label_mode, len(names or ()))
        mixed = shuffle and not (subset == "both" and part == "validation")
        files = [str(paths[i]) for i in rows]
        found.append(Batches(len(rows), make, batch_size, mixed, seed, names, files))
    return found if subset == "both" else found[0]


def _no_files(kind: FileKind, part: str | None, directory: Any) -> ValueError:
    of_part = f"{part} " if part else ""
    endings = " or ".join(kind.suffixes)
    return ValueError(
        f"{kind.function}: no {of_part}{kind.what} files found in {os.fspath(directory)}. They "
        f"end in {endings}."
    )


def _parts(
    n: int, split: float | None, subset: str | None, shuffle: bool, seed: int
) -> dict[str | None, np.ndarray]:
    """The numbers of the files of each subset that is wanted, split as Keras does."""
    order = np.arange(n)
    if shuffle:  # so that a split does not part the classes
        np.random.RandomState(seed % 2**32).shuffle(order)
    cut = n - int((split or 0) * n)
    parts = {None: order, "training": order[:cut], "validation": order[cut:]}
    wanted = ("training", "validation") if subset == "both" else (subset,)
    return {part: parts[part] for part in wanted}


class _Reader:
    """Reads the files of a batch and encodes their labels."""

    def __init__(
        self,
        kind: FileKind,
        paths: list[Path],
        labels: np.ndarray | None,
        order: np.ndarray,
        mode: str | None,
        classes: int,
    ):
        self.kind, self.paths, self.labels, self.order = kind, paths, labels, order
        self.mode, self.classes = mode, classes

    def __call__(self, rows: np.ndarray) -> Any:
        files = self.order[rows]
        samples = self.kind.load([self.paths[i] for i in files])
        if self.labels is None:
            return samples
        y = self.labels[files]
        if self.mode == "binary":
            y = y[:, None].astype(config.floatx())
        elif self.mode == "categorical":
            y = (y[:, None] == np.arange(self.classes)).astype(config.floatx())
        return samples, y


def _check_labels(
    name: str, labels: Any, mode: str | None, class_names: Sequence[str] | None
) -> None:
    if mode not in ("int", "binary", "categorical", None):
        raise unknown_name("label_mode", mode, ("int", "binary", "categorical", "None"))
    inferred = isinstance(labels, str) and labels == "inferred"
    if not inferred and labels is not None and not isinstance(labels, (list, tuple, np.ndarray)):
        raise ValueError(
            f"{name}: labels must be 'inferred', None, or a list of one integer a file, received "
            f"{labels!r}."
        )
    if class_names is not None and not inferred:
        raise ValueError(
            f"{name}: class_names={list(class_names)} needs labels='inferred', received "
            f"labels={labels!r}. Leave class_names out."
        )


def _check_split(
    name: str, split: float | None, subset: str | None, shuffle: bool, seed: Any
) -> None:
    if subset not in ("training", "validation", "both", None):
        raise unknown_name("subset", subset, ("training", "validation", "both", "None"))
    if split is not None and not 0 < split < 1:
        raise ValueError(f"{name}: validation_split must lie between 0 and 1, received {split!r}.")
    if (split is None) != (subset is None):
        raise ValueError(
            f"{name}: validation_split and subset go together, received {split!r} and {subset!r}. "
            f"Give both or neither."
        )
    if split is not None and shuffle and seed is None:
        raise ValueError(
            f"{name}: a shuffled split needs a seed, lest the training and validation files "
            f"overlap. Give seed=1, or shuffle=False."
        )


def _index(
    kind: FileKind,
    directory: str | os.PathLike[str],
    labels: Any,
    class_names: Sequence[str] | None,
    follow_links: bool,
) -> tuple[list[Path], np.ndarray | None, list[str] | None]:
    """Paths in order, their labels, and the names of the classes."""
    root = Path(directory)
    if not root.is_dir():
        raise ValueError(f"{kind.function}: {root} is not a directory.")
    if not isinstance(labels, str):
        paths = _files(root, kind.suffixes, follow_links)
        if labels is None:
            return paths, None, None
        if len(labels) != len(paths):
            raise ValueError(
                f"{kind.function}: received {len(labels)} labels for the {len(paths)} files in "
                f"{root}. Give one label a file, in the order of the sorted paths."
            )
        numbers = np.asarray(labels, np.int32)
        return paths, numbers, [str(label) for label in np.unique(numbers)]
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name[0] != ".")
    names = folders if class_names is None else list(class_names)
    if not set(names) <= set(folders):
        raise ValueError(
            f"{kind.function}: class_names {names} must be subdirectories of {root}, which has "
            f"{folders}."
        )
    groups = [_files(root / name, kind.suffixes, follow_links) for name in names]
    numbers = np.repeat(np.arange(len(names), dtype=np.int32), [len(g) for g in groups])
    return [path for group in groups for path in group], numbers, names


def _files(folder: Path, suffixes: tuple[str, ...], follow_links: bool) -> list[Path]:
    """The files with these endings below a folder, folder by folder."""
    return [
        Path(parent) / name
        for parent, _, files in sorted(os.walk(folder, followlinks=follow_links))
        for name in sorted(files)
        if name.lower().endswith(suffixes)
    ]
