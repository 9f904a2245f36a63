"""Sounds in the wav files of a folder, with the names of its subfolders as their classes."""

from __future__ import annotations

import os
import wave
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.utils.folders import FileKind, dataset_from_directory

_NAME = "audio_dataset_from_directory"


def audio_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """The `.wav` files below a directory as batches (sounds, labels), or of sounds without labels.

    Sounds are float32 (batch, length, channels) from -1 to 1; shorter ones of a batch end in zeros.
    `sampling_rate`: what they are brought to, by their spectrum. `output_sequence_length`: their
    length, else that of the longest in the batch. Files are of integers of 8, 16, 24 or 32 bits.
    `ragged=True` raises. The other arguments are those of `text_dataset_from_directory`.

    >>> train, validation = gpunn.utils.audio_dataset_from_directory(
    ...     "speech", sampling_rate=8000, validation_split=0.2, subset="both", seed=1)
    """
    if ragged:
        raise ValueError(f"{_NAME}: ragged=True is not supported. Sounds end in zeros, mask them.")
    for name, value in (
        ("sampling_rate", sampling_rate),
        ("output_sequence_length", output_sequence_length),
    ):
        if value is not None and not is_whole(value, 1):
            raise ValueError(
                f"{_NAME}: {name} must be a positive integer or None, received {value!r}."
            )
    load = partial(_sounds, rate=sampling_rate, length=output_sequence_length)
    kind = FileKind(_NAME, "audio", (".wav",), load)
    return dataset_from_directory(
        kind, directory, labels, label_mode, class_names, batch_size, shuffle, seed,
        validation_split, subset, follow_links, verbose,
    )  # fmt: skip


def _sounds(paths: list[Path], rate: int | None, length: int | None) -> np.ndarray:
    """(batch, length, channels)"""
    found = [_sound(path, rate) for path in paths]
    channels = {x.shape[1] for x in found}
    if len(channels) > 1:
        raise ValueError(
            f"{_NAME}: the files of a batch have {sorted(channels)} channels, among them "
            f"{paths[0]}. Bring them to one number of channels."
        )
    longest = max(len(x) for x in found) if length is None else length
    sounds = np.zeros((len(found), longest, *channels), np.float32)
    for sound, x in zip(sounds, found):
        sound[: len(x)] = x[:longest]
    return sounds


def _sound(path: Path, rate: int | None) -> np.ndarray:
    """The samples of a file, (length, channels), from -1 to 1."""
    try:
        with wave.open(str(path)) as file:
            channels, width, own_rate, n = file.getparams()[:4]
            data = file.readframes(n)
    except (wave.Error, EOFError) as error:
        raise ValueError(
            f"{_NAME}: {path} is no wav file of integers ({error}). Convert the file, or take it "
            f"out of the directory."
        ) from None
    x = _samples(data, width).reshape(-1, channels)
    return (x if rate in (None, own_rate) else _at_rate(x, own_rate, rate)).astype(np.float32)


def _samples(data: bytes, width: int) -> np.ndarray:
    """Integers of `width` bytes as numbers from -1 to 1; those of one byte have no sign."""
    if width == 1:
        return (np.frombuffer(data, np.uint8) - 128.0) / 128
    parts = np.frombuffer(data, np.uint8).reshape(-1, width)
    wide = np.zeros((len(parts), 4), np.uint8)
    wide[:, 4 - width :] = parts  # the low bytes are 0
    return wide.view("<i4")[:, 0] / 2.0**31


def _at_rate(x: np.ndarray, old: int, new: int) -> np.ndarray:
    """The sound (length, channels) at another rate: its spectrum cut off, or with zeros."""
    n = len(x)
    m = max(round(n * new / old), 1)
    if not n:
        return x
    terms = min(n, m) // 2 + 1
    spectrum = np.zeros((m // 2 + 1, x.shape[1]), complex)
    spectrum[:terms] = np.fft.rfft(x, axis=0)[:terms]
    if min(n, m) % 2 == 0 and n != m:  # the highest term stands for two where there are more, else
        spectrum[terms - 1] *= 0.5 if n < m else 2.0  # two become one
    return np.fft.irfft(spectrum, m, axis=0) * (m / n)
