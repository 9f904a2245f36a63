"""What users give, as arrays of numbers on the host."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np

from gpunn.errors import DTypeError

_REMEDIES = {
    "O": "Ragged rows? Pad them, by utils.pad_sequences. Missing values? Fill them or drop them.",
    "M": "Turn dates into numbers, such as days since the first of them.",
    "U": (
        "Text? Vectorize it by layers.TextVectorization before fit(). Labels? Number them by "
        "np.unique(y, return_inverse=True)."
    ),
}
_REMEDIES |= {"m": _REMEDIES["M"], "S": _REMEDIES["U"]}


def numbers(value: Any, dtype: Any = None) -> np.ndarray:
    """The value as a NumPy array; what holds anything but numbers raises a `DTypeError`.

    >>> numbers([1, 2], "float32")
    array([1., 2.], dtype=float32)
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DTypeError(
            f"Cannot make a tensor of this sequence: {str(error).rstrip('.')}. Pad its rows to one "
            f"length first."
        ) from None
    if array.dtype.kind in _REMEDIES:
        remedy, what = _REMEDIES[array.dtype.kind], _described(value, array)
        if array.dtype.kind == "O":
            if array.shape == ():
                remedy = "Give a number, an array or a list."
            elif any(isinstance(v, str) for v in array.flat):
                remedy = _REMEDIES["U"]
            elif all(isinstance(v, Number) for v in array.flat):
                remedy = "All are numbers: give x.astype('float32')."
        raise DTypeError(f"gpunn computes with numbers, received {what}. {remedy}")
    return array if dtype is None else array.astype(dtype, copy=False)


def _described(value: Any, array: np.ndarray) -> str:
    """What a user gave in place of numbers."""
    if array.shape == () and not hasattr(value, "dtype"):
        return "None" if value is None else f"{value!r} ({type(value).__name__})"
    rows = (Number, list, tuple, np.ndarray)
    odd = [v for v in array.flat if not isinstance(v, rows)] if array.dtype.kind == "O" else []
    among = f" (one element is {odd[0]!r})" if odd else ""
    return f"an array of dtype {array.dtype} and shape {array.shape}{among}"
