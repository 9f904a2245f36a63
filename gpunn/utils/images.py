"""Single images: files, Pillow's images and arrays.  Needs the package pillow."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from gpunn import config
from gpunn.errors import MissingExtraError, ShapeError, unknown_name

_FORMATS = ("channels_first", "channels_last")
_COLORS = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_FILTERS = ("bicubic", "bilinear", "box", "hamming", "lanczos", "nearest")


def _pillow(purpose: str) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("pillow", "images", purpose) from error
    return Image


def _format(data_format: str | None) -> str:
    chosen = config.image_data_format() if data_format is None else data_format
    if chosen not in _FORMATS:
        raise unknown_name("data_format", chosen, _FORMATS)
    return chosen


def array_to_img(
    x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None
) -> Any:
    """A Pillow image of an array (height, width, channels) with 1, 3 or 4 channels.

    `scale`: stretch the values to the range from 0 to 255, else they are taken as they are.

    >>> gpunn.utils.array_to_img(np.random.rand(64, 64, 3))
    """
    pillow = _pillow("array_to_img")
    array = np.asarray(x, dtype or config.floatx())
    if array.ndim != 3:
        raise ShapeError(
            f"array_to_img: one image (height, width, channels) is needed, received an array of "
            f"shape {array.shape}. Take one of the batch."
        )
    if _format(data_format) == "channels_first":
        array = np.moveaxis(array, 0, -1)
    if scale:
        array = array - array.min()
        array = 255 * (array / (array.max() or 1))
    channels = array.shape[-1]
    if channels == 1:
        array = array[..., 0]
        return pillow.fromarray(array.astype("int32" if array.max() > 255 else "uint8"))
    if channels not in (3, 4):
        raise ShapeError(f"array_to_img: 1, 3 or 4 channels are needed, received {channels}.")
    return pillow.fromarray(array.astype("uint8"))


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """An array (height, width, channels) of a Pillow image, in floatx or `dtype`.

    >>> gpunn.utils.img_to_array(gpunn.utils.load_img("cat.jpg"))
    """
    array = np.asarray(img, dtype or config.floatx())
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3:
        raise ShapeError(f"img_to_array: an image has 2 or 3 axes, received shape {array.shape}.")
    return np.moveaxis(array, -1, 0) if _format(data_format) == "channels_first" else array


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """The Pillow image in a file (a path, or a binary file object).

    `target_size` (height, width): resize it, with `keep_aspect_ratio` after cutting it, around the
    middle, to the same proportions. Images of 16 or 32 bits stay so in "grayscale".

    >>> gpunn.utils.load_img("cat.jpg", target_size=(224, 224))
    """
    pillow = _pillow("load_img")
    if color_mode not in _COLORS:
        raise unknown_name("color_mode", color_mode, _COLORS)
    if interpolation not in _FILTERS:
        raise unknown_name("interpolation", interpolation, _FILTERS)
    if not isinstance(path, (str, bytes, os.PathLike)) and not hasattr(path, "read"):
        raise TypeError(f"load_img: path must be a path or a file, received {path!r}.")
    with pillow.open(path) as file:
        file.load()
        deep = color_mode == "grayscale" and file.mode in ("I", "I;16")
        image = file.copy() if deep else file.convert(_COLORS[color_mode])
    if target_size is None:
        return image
    height, width = target_size
    if image.size == (width, height):
        return image
    box = _middle(image.size, (width, height)) if keep_aspect_ratio else None
    return image.resize((width, height), pillow.Resampling[interpolation.upper()], box=box)


def _middle(size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest box of the target's proportions in the middle: left, upper, right, lower."""
    w = min(size[0], size[1] * target[0] // target[1])
    h = min(size[1], size[0] * target[1] // target[0])
    left, upper = (size[0] - w) // 2, (size[1] - h) // 2
    return left, upper, left + w, upper + h


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array (height, width, channels) to an image file.

    `file_format`: by default that of the path's ending; other arguments go to Pillow's `save`.

    >>> gpunn.utils.save_img("noise.png", np.random.rand(64, 64, 3))
    """
    image = array_to_img(x, data_format, scale)
    if file_format is None and isinstance(path, (str, os.PathLike)):
        file_format = os.path.splitext(os.fspath(path))[1][1:]
    kind = (file_format or "").lower().replace("jpg", "jpeg")
    if kind == "jpeg" and image.mode == "RGBA":
        warnings.warn("save_img: JPEG files have no transparency, it is dropped.", stacklevel=2)
        image = image.convert("RGB")
    image.save(path, format=kind or None, **kwargs)
