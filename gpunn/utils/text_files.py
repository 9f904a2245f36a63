"""Texts in the files of a folder, with the names of its subfolders as their classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpunn.utils.batches import check_format
from gpunn.utils.folders import FileKind, dataset_from_directory

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
    the rest, "both" gives a list of the two. The data sets know `class_names` and `file_paths`.

    >>> train, validation = gpunn.utils.text_dataset_from_directory(
    ...     "aclImdb/train", validation_split=0.2, subset="both", seed=1)
    """
    check_format(_NAME, format)
    kind = FileKind(_NAME, "text", (".txt",), partial(_texts, max_length=max_length))
    return dataset_from_directory(
        kind, directory, labels, label_mode, class_names, batch_size, shuffle, seed,
        validation_split, subset, follow_links, verbose,
    )  # fmt: skip


def _texts(paths: list[Path], max_length: int | None) -> np.ndarray:
    texts = np.empty(len(paths), object)
    texts[:] = [_text(path, max_length) for path in paths]
    return texts


def _text(path: Path, max_length: int | None) -> str:
    try:
        return path.read_bytes().decode("utf-8")[:max_length]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{_NAME}: {path} is not UTF-8 text (byte {error.start}: {error.reason}). Convert the "
            f"file, or take it out of the directory."
        ) from None
