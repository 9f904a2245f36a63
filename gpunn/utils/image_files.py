"""Images in the files of a folder, with the names of its subfolders as their classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpunn import config, ops
from gpunn.backend import devices
from gpunn.errors import unknown_name
from gpunn.utils.batches import check_format
from gpunn.utils.folders import FileKind, dataset_from_directory
from gpunn.utils.images import img_to_array, load_img

_NAME = "image_dataset_from_directory"
_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_COLORS = ("grayscale", "rgb", "rgba")


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "numpy",
    verbose: bool = True,
) -> Any:
    """The image files below a directory as batches (images, labels), or of images without labels.

    Images are floatx arrays (batch, *image_size, channels) from 0 to 255, (batch, channels, ...)
    with `data_format` "channels_first"; `color_mode` "grayscale", "rgb" or "rgba" gives 1, 3 or 4
    channels. They are read (.bmp, .gif, .jpeg, .jpg, .png; of animations the first frame) and
    resized when their batch comes: stretched, or cut (`crop_to_aspect_ratio`) or padded with 0
    (`pad_to_aspect_ratio`) so that the proportions stay. `interpolation`: see
    `gpunn.ops.image.resize`. `labels`, `label_mode`, `validation_split` and `subset`: see
    `text_dataset_from_directory`. Needs the package pillow.

    >>> train, validation = gpunn.utils.image_dataset_from_directory(
    ...     "photos", image_size=(160, 160), validation_split=0.2, subset="both", seed=1)
    """
    check_format(_NAME, format)
    if color_mode not in _COLORS:
        raise unknown_name("color_mode", color_mode, _COLORS)
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise ValueError(f"{_NAME}: image_size must be (height, width), received {image_size!r}.")
    load = partial(
        _images, color_mode=color_mode, data_format=data_format or config.image_data_format(),
        size=tuple(size), interpolation=interpolation, crop_to_aspect_ratio=crop_to_aspect_ratio,
        pad_to_aspect_ratio=pad_to_aspect_ratio,
    )  # fmt: skip
    return dataset_from_directory(
        FileKind(_NAME, "image", _SUFFIXES, load), directory, labels, label_mode, class_names,
        batch_size, shuffle, seed, validation_split, subset, follow_links, verbose,
    )  # fmt: skip


def _images(
    paths: list[Path], color_mode: str, data_format: str, size: tuple[int, int], **resizing: Any
) -> np.ndarray:
    images = []
    with devices.device("cpu"):  # a batch goes to the GPU as a whole, later
        for path in paths:
            image = img_to_array(load_img(path, color_mode), data_format)
            options = {"size": size, "data_format": data_format, **resizing}
            images.append(ops.convert_to_numpy(ops.image.resize(image, **options)))
    return np.stack(images)
