"""Settings of the process: float type, fuzz factor, data format.  Keras' names."""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Real
from typing import Any

from gpunn.arguments import is_whole, true_or_false
from gpunn.changes import note_change
from gpunn.errors import unknown_name

_FLOATS = ("bfloat16", "float16", "float32", "float64")
_INTEGERS = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
_FORMATS = ("channels_last", "channels_first")

_floatx = "float32"
_epsilon = 1e-7
_image_data_format = "channels_last"
_policy: DTypePolicy | None = None  # None: the policy of floatx

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


class DTypePolicy:
    """In which dtype a layer computes, and in which it keeps its weights.

    A dtype's name means both; ``"mixed_float16"`` and ``"mixed_bfloat16"`` compute in 16 bits and
    keep weights in float32. None is the policy of now. Integers are for layers without weights,
    such as those of images.

    >>> gpunn.layers.Dense(10, dtype=gpunn.DTypePolicy("mixed_float16"))
    """

    def __init__(self, name: str | None = None):
        name = dtype_policy().name if name is None else name
        if not isinstance(name, str):
            raise TypeError(
                f"A dtype policy is given by a name such as 'mixed_float16', received {name!r}."
            )
        if name not in _FLOATS and name not in _MIXED and name not in _INTEGERS:
            raise unknown_name("dtype policy", name, (*_FLOATS, *_MIXED, *_INTEGERS))
        self.name: str = name
        self.compute_dtype = _MIXED.get(name, name)
        self.variable_dtype = "float32" if name in _MIXED else name

    def get_config(self) -> dict[str, str]:
        """The name."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, str]) -> DTypePolicy:
        """The policy with this config."""
        return cls(config["name"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are given none."""
    return DTypePolicy(_floatx) if _policy is None else _policy


def set_dtype_policy(policy: str | DTypePolicy | None) -> None:
    """Set the policy of the layers made from now on; None: that of floatx.

    Sixteen bits are for GPUs: a CPU widens them, so that training is slower there than in float32,
    and far slower under "mixed_float16" than under "mixed_bfloat16".

    >>> gpunn.config.set_dtype_policy("mixed_float16")
    """
    global _policy
    if policy is not None and not isinstance(policy, (str, DTypePolicy)):
        raise ValueError(
            f"The dtype policy must be a name such as 'mixed_float16' or a DTypePolicy, received "
            f"{policy!r}."
        )
    _policy = DTypePolicy(policy) if isinstance(policy, str) else policy


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
    if not isinstance(value, Real) or not value > 0:
        raise ValueError(f"epsilon must be a positive number, received {value!r}.")
    _epsilon = float(value)
    note_change()


def image_data_format() -> str:
    """``"channels_last"`` (the default) or ``"channels_first"``."""
    return _image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set the default axis order of images."""
    global _image_data_format
    if data_format not in _FORMATS:
        raise unknown_name("image data format", data_format, _FORMATS)
    _image_data_format = data_format
    note_change()


# --- which backend computes ---

_ask_backend: list[Callable[[], str]] = []  # one, of `gpunn.backend.devices`: it knows


def backend() -> str:
    """``"numpy"`` or ``"cupy"``: the backend on which new arrays are created now."""
    return _ask_backend[0]()


# --- what is said while things run ---

_interactive_logging = True
_traceback_filtering = os.environ.get("GPUNN_TRACEBACK_FILTERING", "1") != "0"


def enable_interactive_logging() -> None:
    """Print progress and messages to the standard output, as from the start."""
    global _interactive_logging
    _interactive_logging = True


def disable_interactive_logging() -> None:
    """Send messages to the log "gpunn" of Python's `logging` in place of the standard output."""
    global _interactive_logging
    _interactive_logging = False


def is_interactive_logging_enabled() -> bool:
    """Whether messages are printed (True at the start) or logged."""
    return _interactive_logging


def enable_traceback_filtering() -> None:
    """Leave gpunn's own lines out of tracebacks, so that they end at yours; as from the start."""
    global _traceback_filtering
    _traceback_filtering = True


def disable_traceback_filtering() -> None:
    """Show tracebacks with all lines, gpunn's too (also ``GPUNN_TRACEBACK_FILTERING=0``)."""
    global _traceback_filtering
    _traceback_filtering = False


def is_traceback_filtering_enabled() -> bool:
    """Whether gpunn's own lines are left out of tracebacks."""
    return _traceback_filtering


# --- limits of fit, evaluate and predict, to try a script out quickly ---


def _limit(name: str, value: Any) -> int | None:
    if value in (None, ""):
        return None
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if not is_whole(value, 1):
        raise ValueError(f"{name} must be a positive integer or None, received {value!r}.")
    return int(value)


_max_epochs = _limit("GPUNN_MAX_EPOCHS", os.environ.get("GPUNN_MAX_EPOCHS"))
_max_steps_per_epoch = _limit(
    "GPUNN_MAX_STEPS_PER_EPOCH", os.environ.get("GPUNN_MAX_STEPS_PER_EPOCH")
)


def max_epochs() -> int | None:
    """The most epochs that a `fit` makes; None (at the start) is no limit."""
    return _max_epochs


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of each `fit` (also ``GPUNN_MAX_EPOCHS``); None takes the limit away."""
    global _max_epochs
    _max_epochs = _limit("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """The most steps of an epoch, evaluation or prediction; None (at the start) is no limit."""
    return _max_steps_per_epoch


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the steps of each epoch (also ``GPUNN_MAX_STEPS_PER_EPOCH``); None: no limit."""
    global _max_steps_per_epoch
    _max_steps_per_epoch = _limit("max_steps_per_epoch", max_steps_per_epoch)


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
    _route_timing = true_or_false("route timing", value)
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
