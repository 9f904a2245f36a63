"""Settings of the process: float type, fuzz factor, data format.  Keras' names."""

from __future__ import annotations

import os

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


# --- how the GPU computes: precision of products ---

_PRECISIONS = ("highest", "high")


def _precision(value: str) -> str:
    if value not in _PRECISIONS:
        raise unknown_name("matmul precision", value, _PRECISIONS)
    return value


_matmul_precision = _precision(os.environ.get("GPUNN_MATMUL_PRECISION", "highest"))


def matmul_precision() -> str:
    """``"highest"`` (the default) or ``"high"``: see `set_matmul_precision`."""
    return _matmul_precision


def set_matmul_precision(value: str) -> None:
    """Set how exactly GPUs multiply float32 matrices, in convolutions and in products of matrices.

    "highest": float32 throughout, 24 bits of mantissa. "high": GPUs of compute capability 8.0 and
    later may round the factors to tf32, 11 bits (10 of them stored), and sum in float32: several
    times faster, relative errors of about 5e-4 a product. Other dtypes and the CPU are not
    affected. The environment's ``GPUNN_MATMUL_PRECISION`` sets it from the start.

    >>> gpunn.config.set_matmul_precision("high")
    """
    global _matmul_precision
    _matmul_precision = _precision(value)
    note_change()


# --- how the GPU computes: routes of one kernel (gpunn.backend.routes) ---


def _bytes(name: str, value: object) -> int:
    try:
        count = int(str(value))
    except ValueError:
        count = 0
    if count < 1:
        raise ValueError(f"{name} must be a positive number of bytes, received {value!r}.")
    return count


_route_timing = os.environ.get("GPUNN_ROUTE_TIMING", "1") != "0"
_conv_workspace = _bytes(
    "GPUNN_CONV_WORKSPACE", os.environ.get("GPUNN_CONV_WORKSPACE", str(64 << 20))
)


def route_timing() -> bool:
    """Whether the routes of a kernel are timed, to take the fastest; True at the start."""
    return _route_timing


def set_route_timing(value: bool) -> None:
    """Time the routes of a kernel once for each kind of inputs (True), or take the first (False).

    Each route is deterministic, but two routes may round differently. With timing, results are
    the same from run to run as long as the choices are: they are kept in a file on each machine.
    Without it they do not depend on any timing. The environment's ``GPUNN_ROUTE_TIMING=0`` is
    False from the start.
    """
    global _route_timing
    if not isinstance(value, bool):
        raise ValueError(f"route timing must be True or False, received {value!r}.")
    _route_timing = value
    note_change()


def conv_workspace() -> int:
    """The bytes that a convolution may take for columns of its images, 64 MiB at the start."""
    return _conv_workspace


def set_conv_workspace(value: int) -> None:
    """Set the limit of a convolution's columns on a GPU (also ``GPUNN_CONV_WORKSPACE``).

    >>> gpunn.config.set_conv_workspace(256 << 20)
    """
    global _conv_workspace
    _conv_workspace = _bytes("the workspace of convolutions", value)
    note_change()
