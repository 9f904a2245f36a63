"""Settings of the process: float type, fuzz factor, data format.  Keras' names."""

from __future__ import annotations

from gpunn.changes import note_change
from gpunn.errors import unknown_name

_FLOATS = ("bfloat16", "float16", "float32", "float64")
_FORMATS = ("channels_last", "channels_first")

_floatx = "float32"
_epsilon = 1e-7
_image_data_format = "channels_last"


def floatx() -> str:
    """The default float type of weights and computations, ``"float32"`` at the start."""
    return _floatx


def set_floatx(value: str) -> None:
    """Set the default float type.

    >>> gpunn.config.set_floatx("float64")
    """
    global _floatx
    if value not in _FLOATS:
        raise unknown_name("floatx", value, _FLOATS)
    _floatx = value
    note_change()


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite, 1e-7 at the start."""
    return _epsilon


def set_epsilon(value: float) -> None:
    """Set the fuzz factor (a positive float)."""
    global _epsilon
    if not value > 0:
        raise ValueError(f"epsilon must be positive, received {value!r}.")
    _epsilon = float(value)
    note_change()


def image_data_format() -> str:
    """``"channels_last"`` (the default) or ``"channels_first"``."""
    return _image_data_format


def set_image_data_format(value: str) -> None:
    """Set the default axis order of images."""
    global _image_data_format
    if value not in _FORMATS:
        raise unknown_name("image data format", value, _FORMATS)
    _image_data_format = value
    note_change()
