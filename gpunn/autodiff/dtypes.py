"""Dtypes of results: Keras' promotion, where a float always wins over an integer."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from gpunn import config
from gpunn.errors import DTypeError, unknown_name

NAMES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "bfloat16", "float32", "float64",
)  # fmt: skip
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_PYTHON = {bool: "bool", int: "int32", float: None}  # None: floatx


@cache
def _numpy_dtype(name: str) -> np.dtype:
    if name == "bfloat16":
        try:
            import ml_dtypes  # CuPy's and JAX's bfloat16; not a core dependency
        except ImportError:
            raise DTypeError(
                "bfloat16 needs the package ml_dtypes, which NumPy takes it from. Install it (pip "
                "install ml_dtypes), or use float16 ('mixed_float16')."
            ) from None
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def as_dtype(dtype: Any = None) -> np.dtype:
    """The NumPy dtype of a name, type or dtype; None is floatx."""
    if isinstance(dtype, np.dtype):
        dtype = dtype_name(dtype)
    elif dtype is None:
        dtype = config.floatx()
    elif isinstance(dtype, type):
        dtype = _PYTHON[dtype] or config.floatx() if dtype in _PYTHON else np.dtype(dtype).name
    elif hasattr(dtype, "name"):
        dtype = dtype.name
    if dtype in ("string", "str"):
        raise DTypeError("Tensors hold numbers: vectorize strings before fit(), x = layer(texts).")
    if dtype not in NAMES:
        raise unknown_name("dtype", dtype, NAMES)
    return _numpy_dtype(dtype)


@cache
def dtype_name(dtype: np.dtype) -> str:
    """``dtype.name``, which NumPy makes anew, slowly, each time."""
    return dtype.name


@cache
def is_float(dtype: Any) -> bool:
    """True for float16, bfloat16, float32 and float64."""
    return as_dtype(dtype).name in _FLOATS


@cache
def _promote_pair(a: np.dtype, b: np.dtype) -> np.dtype:
    if a == b:
        return a
    float_a, float_b = is_float(a), is_float(b)
    if float_a != float_b:
        return a if float_a else b
    if float_a:
        if {a.name, b.name} == {"float16", "bfloat16"}:
            return as_dtype("float32")
        return a if _FLOATS.index(a.name) > _FLOATS.index(b.name) else b
    common = np.result_type(a, b)
    return as_dtype(None) if common.kind == "f" else common  # int64 with uint64


def promote(*dtypes: Any) -> np.dtype:
    """The common dtype; floatx of none. int32 with float16 is float16."""
    result = as_dtype(dtypes[0] if dtypes else None)
    for dtype in dtypes[1:]:
        result = _promote_pair(result, as_dtype(dtype))
    return result


def to_float(dtype: Any) -> np.dtype:
    """The dtype itself if it is a float, else floatx."""
    dtype = as_dtype(dtype)
    return dtype if is_float(dtype) else as_dtype(None)
