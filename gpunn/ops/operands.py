"""The inputs of functions that are made of other ops, as tensors of one dtype."""

from __future__ import annotations

from typing import Any

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, is_float, to_float
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tape import state
from gpunn.autodiff.tensor import Tensor
from gpunn.ops.creation import cast, convert_to_tensor, full_like
from gpunn.ops.rules import result_dtype

_NUMBERS = (int, float, bool)


def operands(*values: Any, floating: bool = False) -> tuple[Any, ...]:
    """The values as tensors of their common dtype (`floating`: made a float if it is none).

    Python numbers are weak, and become tensors on the device of the others.
    """
    read = state.read
    values = values if read is None else tuple(map(read, values))
    like = next((v for v in values if isinstance(v, (Tensor, SymbolicTensor))), None)
    place = like.data if isinstance(like, Tensor) else None
    tensors = [
        v
        if isinstance(v, (Tensor, SymbolicTensor)) or type(v) in _NUMBERS
        else Tensor(asarray(v, None, place))
        for v in values
    ]
    if all(type(v) in _NUMBERS for v in tensors):
        tensors = [convert_to_tensor(v) for v in tensors]
    dtype = as_dtype(result_dtype(*tensors))
    if dtype.kind == "b" and any(type(v) is int for v in tensors):
        dtype = as_dtype("int32")
    dtype = to_float(dtype) if floating else dtype
    first = next(v for v in tensors if type(v) not in _NUMBERS)
    return tuple(
        full_like(first, v, dtype) if type(v) in _NUMBERS else cast(v, dtype) for v in tensors
    )


def as_float(x: Any) -> Any:
    """x as a tensor of floats: integers and bool in floatx."""
    x = convert_to_tensor(x)
    return x if is_float(x.dtype) else cast(x, to_float(x.dtype))


def as_number(x: Any) -> Any:
    """x as a tensor of numbers: bool as int32."""
    x = convert_to_tensor(x)
    return cast(x, "int32") if as_dtype(x.dtype).kind == "b" else x
