"""Texts in the files of a folder, with the names of its subfolders as their classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunn import config
from gpunn.errors import unknown_name
from gpunn.seeding import next_seed
from gpunn.utils.batches import Batches, check_format

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX = ".txt"
_NAME = "text_dataset_from_directory"


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "numpy",
    verbose: bool = True,
) -> Any:
    """The `.txt` files below a directory as batches (texts, labels), or of texts without labels.

    `labels`: "inferred" from the subdirectories, None, or a list of integers in the order of the
    sorted paths. `label_mode`: "int" gives int32 (batch,), "binary" floatx (batch, 1),
    "categorical" floatx (batch, classes), None only the texts. Texts are arrays (batch,) of str,
    of at most `max_length` characters; files are read, as UTF-8, when their batch comes.

    `validation_split`: the share of the files that `subset` "validation" holds; "training" holds
    the rest, "both" gives a list of the two. The data sets know `class_names`.

    >>> train, validation = gpunn.utils.text_dataset_from_directory(
    ...     "aclImdb/train", validation_split=0.2, subset="both", seed=1)
    """
    check_format(_NAME, format)
    _check_labels(labels, label_mode, class_names)
    _check_split(validation_split, subset, shuffle, seed)
    if labels is None or label_mode is None:
        labels = label_mode = None
    seed = next_seed() if seed is None else seed
    paths, numbers, names = _index(directory, labels, class_names, follow_links)
    _check_classes(label_mode, names)
    if verbose:
        known = "" if names is None else f" belonging to {len(names)} classes"
        print(f"Found {len(paths)} files{known}.")
    found = []
    for part, rows in _parts(len(paths), validation_split, subset, shuffle, seed).items():
        if not len(rows):
            raise _no_files(part, directory)
        if verbose and part is not None:
            print(f"Using {len(rows)} files for {part}.")
        make = _Reader(paths, numbers, rows, label_mode, len(names or ()), max_length)
        mixed = shuffle and not (subset == "both" and part == "validation")
        found.append(Batches(len(rows), make, batch_size, mixed, seed, names))
    return found if subset == "both" else found[0]


def _no_files(part: str | None, directory: Any) -> ValueError:
    kind = f"{part} " if part else ""
    return ValueError(
        f"{_NAME}: no {kind}text files found in {os.fspath(directory)}. They end in {_SUFFIX}."
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
    """Reads the texts of a batch and encodes their labels."""

    def __init__(
        self,
        paths: list[Path],
        labels: np.ndarray | None,
        order: np.ndarray,
        mode: str | None,
        classes: int,
        max_length: int | None,
    ):
        self.paths, self.labels, self.order = paths, labels, order
        self.mode, self.classes, self.max_length = mode, classes, max_length

    def __call__(self, rows: np.ndarray) -> Any:
        files = self.order[rows]
        texts = np.empty(len(files), object)
        texts[:] = [_text(self.paths[i], self.max_length) for i in files]
        if self.labels is None:
            return texts
        y = self.labels[files]
        if self.mode == "binary":
            y = y[:, None].astype(config.floatx())
        elif self.mode == "categorical":
            y = (y[:, None] == np.arange(self.classes)).astype(config.floatx())
        return texts, y


def _text(path: Path, max_length: int | None) -> str:
    try:
        return path.read_bytes().decode("utf-8")[:max_length]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{_NAME}: {path} is not UTF-8 text (byte {error.start}: {error.reason}). Convert the "
            f"file, or take it out of the directory."
        ) from None


def _check_labels(labels: Any, mode: str | None, class_names: Sequence[str] | None) -> None:
    if mode not in ("int", "binary", "categorical", None):
        raise unknown_name("label_mode", mode, ("int", "binary", "categorical", "None"))
    inferred = isinstance(labels, str) and labels == "inferred"
    if not inferred and labels is not None and not isinstance(labels, (list, tuple, np.ndarray)):
        raise ValueError(
            f"{_NAME}: labels must be 'inferred', None, or a list of one integer a file, received "
            f"{labels!r}."
        )
    if class_names is not None and not inferred:
        raise ValueError(
            f"{_NAME}: class_names={list(class_names)} needs labels='inferred', received "
            f"labels={labels!r}. Leave class_names out."
        )


def _check_classes(mode: str | None, names: list[str] | None) -> None:
    if mode == "binary" and len(names or ()) != 2:
        raise ValueError(
            f"{_NAME}: label_mode='binary' needs exactly 2 classes, found {names}. Use 'int'."
        )


def _check_split(split: float | None, subset: str | None, shuffle: bool, seed: Any) -> None:
    if subset not in ("training", "validation", "both", None):
        raise unknown_name("subset", subset, ("training", "validation", "both", "None"))
    if split is not None and not 0 < split < 1:
        raise ValueError(f"{_NAME}: validation_split must lie between 0 and 1, received {split!r}.")
    if (split is None) != (subset is None):
        raise ValueError(
            f"{_NAME}: validation_split and subset go together, received {split!r} and {subset!r}. "
            f"Give both or neither."
        )
    if split is not None and shuffle and seed is None:
        raise ValueError(
            f"{_NAME}: a shuffled split needs a seed, lest the training and validation files "
            f"overlap. Give seed=1, or shuffle=False."
        )


def _index(
    directory: str | os.PathLike[str],
    labels: Any,
    class_names: Sequence[str] | None,
    follow_links: bool,
) -> tuple[list[Path], np.ndarray | None, list[str] | None]:
    """Paths in order, their labels, and the names of the classes."""
    from pathlib import Path

    root = Path(directory)
    if not root.is_dir():
        raise ValueError(f"{_NAME}: {root} is not a directory.")
    if not isinstance(labels, str):
        paths = _files(root, follow_links)
        if labels is None:
            return paths, None, None
        if len(labels) != len(paths):
            raise ValueError(
                f"{_NAME}: received {len(labels)} labels for the {len(paths)} files in {root}. "
                f"Give one label a file, in the order of the sorted paths."
            )
        numbers = np.asarray(labels, np.int32)
        return paths, numbers, [str(label) for label in np.unique(numbers)]
    folders = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name[0] != ".")
    names = folders if class_names is None else list(class_names)
    if not set(names) <= set(folders):
        raise ValueError(
            f"{_NAME}: class_names {names} must be subdirectories of {root}, which has {folders}."
        )
    groups = [_files(root / name, follow_links) for name in names]
    numbers = np.repeat(np.arange(len(names), dtype=np.int32), [len(g) for g in groups])
    return [path for group in groups for path in group], numbers, names


def _files(folder: Path, follow_links: bool) -> list[Path]:
    """The text files below a folder, folder by folder."""
    from pathlib import Path

    return [
        Path(parent) / name
        for parent, _, files in sorted(os.walk(folder, followlinks=follow_links))
        for name in sorted(files)
        if name.lower().endswith(_SUFFIX)
    ]
