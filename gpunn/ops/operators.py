"""NumPy-like operators and methods on tensors and symbolic tensors, by the ops of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.ops import (
    arithmetic,
    bits,
    compare,
    creation,
    elementwise,
    floats,
    gemm,
    indexing,
    products,
    reduce,
    scans,
    shaping,
    splitting,
    statistics,
)
from gpunn.ops.rules import result_dtype


def _forward(function: Callable) -> Callable:
    return lambda self, other: NotImplemented if _is_foreign(other) else function(self, other)


def _swapped(function: Callable) -> Callable:
    return lambda self, other: NotImplemented if _is_foreign(other) else function(other, self)


def _is_foreign(other: Any) -> bool:
    """What no operator takes: Python then names the operator and both types."""
    return other is None or isinstance(other, str)


def _by_bits(bitwise: Callable, logical: Callable) -> Callable:
    """`bitwise` of integers, `logical` of bool and floats, which have no bits to speak of."""

    def function(*inputs: Any) -> Any:
        dtype = as_dtype(result_dtype(*inputs))
        return (bitwise if dtype.kind in "iu" else logical)(*inputs)

    return function


def _reshape(self: Any, *shape: Any) -> Any:
    return shaping.reshape(self, shape[0] if len(shape) == 1 else shape)


def _iterate(self: Any) -> Iterator[Any]:
    if not self.shape:
        raise TypeError("A tensor of shape () has no parts to iterate over.")
    return iter(splitting.unstack(self))


def _refuse_assignment(self: Any, key: Any, value: Any) -> None:
    raise TypeError(
        "Tensors do not change: make a new one by ops.slice_update or ops.scatter_update."
    )


def _transpose(self: Any, *axes: Any) -> Any:
    given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    return shaping.transpose(self, axes=given or None)


_BINARY = {
    "add": arithmetic.add,
    "sub": arithmetic.subtract,
    "mul": arithmetic.multiply,
    "truediv": arithmetic.divide,
    "floordiv": arithmetic.floor_divide,
    "mod": arithmetic.mod,
    "pow": arithmetic.power,
    "matmul": gemm.matmul,
    "and": _by_bits(bits.bitwise_and, compare.logical_and),
    "or": _by_bits(bits.bitwise_or, compare.logical_or),
    "xor": _by_bits(bits.bitwise_xor, compare.logical_xor),
    "lshift": bits.left_shift,
    "rshift": bits.right_shift,
}
_COMPARISONS = {
    "eq": compare.equal,
    "ne": compare.not_equal,
    "lt": compare.less,
    "le": compare.less_equal,
    "gt": compare.greater,
    "ge": compare.greater_equal,
}
_METHODS: dict[str, Any] = {
    "__neg__": elementwise.negative,
    "__abs__": elementwise.abs_,
    "__pos__": lambda self: self,
    "__round__": lambda self, ndigits=None: floats.round(self, ndigits or 0),
    "__invert__": _by_bits(bits.bitwise_not, compare.logical_not),
    "__getitem__": indexing.getitem,
    "__setitem__": _refuse_assignment,
    "astype": creation.cast,
    "reshape": _reshape,
    "transpose": _transpose,
    "flatten": shaping.ravel,
    "squeeze": shaping.squeeze,
    "sum": reduce.sum,
    "mean": reduce.mean,
    "max": reduce.max,
    "min": reduce.min,
    "argmax": reduce.argmax,
    "argmin": reduce.argmin,
    "any": compare.any,
    "all": compare.all,
    "prod": statistics.prod,
    "std": statistics.std,
    "var": statistics.var,
    "cumsum": scans.cumsum,
    "dot": products.dot,
    "clip": elementwise.clip,
    "round": floats.round,
    "ravel": shaping.ravel,
    "swapaxes": shaping.swapaxes,
    "repeat": shaping.repeat,
    "copy": floats.copy,
    "T": property(shaping.transpose),
}


def install() -> None:
    """Give tensors their operators."""
    for cls in (Tensor, SymbolicTensor):
        for name, function in _BINARY.items():
            setattr(cls, f"__{name}__", _forward(function))
            setattr(cls, f"__r{name}__", _swapped(function))
        for name, function in _COMPARISONS.items():
            setattr(cls, f"__{name}__", _forward(function))
        for name, function in _METHODS.items():
            setattr(cls, name, function)
        setattr(cls, "__hash__", object.__hash__)  # noqa: B010  (== compares elements)
        setattr(cls, "__array_priority__", 100)  # noqa: B010  (ndarray + tensor is a tensor)
    Tensor.__iter__ = _iterate  # type: ignore[attr-defined]
