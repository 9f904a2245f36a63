"""Questions about dtypes and tensors, with Keras' answers."""

from __future__ import annotations

from typing import Any

from gpunn import config
from gpunn.autodiff.dtypes import as_dtype, is_float, promote
from gpunn.autodiff.symbolic import SymbolicTensor

_WEAK = (bool, int, float)  # Python's types: they give way to arrays of their kind


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype that is given as a name, a type or a dtype; None is floatx.

    >>> gpunn.utils.standardize_dtype(int)
    'int32'
    """
    if dtype == "string":
        return "string"
    return as_dtype("int32" if dtype == "int" else dtype).name


def is_float_dtype(dtype: Any) -> bool:
    """True for float16, bfloat16, float32 and float64."""
    return is_float(standardize_dtype(dtype))


def is_int_dtype(dtype: Any) -> bool:
    """True for signed and unsigned integers, False for bool."""
    return standardize_dtype(dtype).startswith(("int", "uint"))


def result_type(*dtypes: Any) -> str:
    """The dtype of a computation with arguments of these dtypes; floatx of none.

    Python's `bool`, `int` and `float` stand for plain numbers: an int takes the dtype of an integer
    or float array, a float that of a float array.

    >>> gpunn.backend.result_type("float16", float)
    'float16'
    """
    fixed = [as_dtype(standardize_dtype(d)) for d in dtypes if d not in _WEAK]
    weak = [d for d in dtypes if d in _WEAK]
    if not fixed:
        return promote(*weak).name
    found = promote(*fixed)
    if float in weak and not is_float(found):
        return config.floatx()
    if int in weak and found.kind == "b":
        return "int32"
    return found.name


def is_keras_tensor(x: Any) -> bool:
    """Whether x is symbolic: made by `Input`, or computed from what `Input` made."""
    return isinstance(x, SymbolicTensor)
