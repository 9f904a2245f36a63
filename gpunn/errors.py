"""Errors of gpunn.  Each message names the thing, what was received, and the remedy."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any


class GpunnError(Exception):
    """Base of the errors that only gpunn raises."""


class ShapeError(GpunnError, ValueError):
    """Shapes that do not fit: ``<op>: <what disagrees> (<every shape>). <remedy>.``"""


class DTypeError(GpunnError, TypeError):
    """A dtype that the operation or the backend cannot take."""


class DeviceError(GpunnError, RuntimeError):
    """A device that does not exist, or arrays of two devices in one operation."""


class GradientError(GpunnError, RuntimeError):
    """A gradient was asked for that no tape holds."""


class SymbolicError(GpunnError, TypeError, ValueError, NotImplementedError):
    """A value was asked for that is not there yet. Keras raises now one, now another of these."""


class MissingExtraError(GpunnError, ImportError):
    """An optional package is missing; the message names the extra that installs it."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed. "
            f"Install it with: pip install 'gpunn[{extra}]'."
        )


def unknown_name(kind: str, name: object, known: Iterable[str]) -> ValueError:
    """A ``ValueError`` that says what is unknown and which known name is close to it."""
    names = sorted(known)
    import difflib

    given, original = str(name).lower(), {n.lower(): n for n in names}
    close = difflib.get_close_matches(given, original, n=1)
    if not close and len(given) > 1:
        close = [n for n in original if n.startswith(given)]
    hint = f" Did you mean '{original[close[0]]}'?" if close else ""
    return ValueError(f"Unknown {kind}: {name!r}.{hint} Known: {', '.join(names)}.")


def described(value: Any) -> str:
    """A value in a message: of arrays and tensors the type and shape, of others a short repr.

    >>> described([np.zeros((2, 3)), None])
    '[ndarray of shape (2, 3), None]'
    """
    if hasattr(value, "shape"):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    if isinstance(value, (list, tuple)):
        parts = ", ".join([described(part) for part in value[:4]] + ["..."] * (len(value) > 4))
        return f"[{parts}]" if isinstance(value, list) else f"({parts})"
    return reprlib.repr(value)
