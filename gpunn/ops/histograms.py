"""How often values come: counts of integers, and of numbers by bins."""

from __future__ import annotations

from typing import Any

from gpunn.arguments import is_whole
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.errors import DTypeError, ShapeError
from gpunn.ops.compare import equal, where
from gpunn.ops.composite import is_symbolic, later
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.encoding import searchsorted, token_counts
from gpunn.ops.operands import as_float
from gpunn.ops.ranges import arange
from gpunn.ops.reduce import max, min


def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Any:
    """y_k = how often the integer k comes, or the sum of its weights: (..., n) -> (..., length).

    The length is max x + 1, at least `minlength`: the value is read on the host. The counts are
    int32, sums of weights have their dtype. x must not be negative.

    >>> gpunn.ops.bincount([1, 2, 2], minlength=5)
    """
    if sparse:
        raise NotImplementedError("bincount: there are no sparse tensors. Use sparse=False.")
    x = convert_to_tensor(x)
    if as_dtype(x.dtype).kind not in "iu":
        raise DTypeError(f"bincount: x must hold integers, received dtype {x.dtype}. Cast it.")
    if len(x.shape) not in (1, 2):
        raise ShapeError(
            f"bincount: x must be integers (n,) or rows of them (batch, n), received "
            f"{tuple(x.shape)}. Reshape it."
        )
    weights = None if weights is None else convert_to_tensor(weights)
    dtype = "int32" if weights is None else weights.dtype
    if is_symbolic(x, weights):
        counts = SymbolicTensor((*x.shape[:-1], None), dtype)
        return later(bincount, (x, weights), {"minlength": minlength}, counts)
    least, largest = (int(min(x)), int(max(x))) if x.size else (0, -1)
    if least < 0:
        raise ValueError(f"bincount: x must not be negative, received {least}. Shift it.")
    length = largest + 1 if largest >= minlength else minlength
    return token_counts(x, length, weights, dtype) if length else cast(x, dtype)


def histogram(x: Any, bins: int = 10, range: tuple[float, float] | None = None) -> tuple:
    """How many elements of x (n,) lie in each of `bins` bins of one width, and the bins' edges.

    `range`: where the bins begin and end, by default at the least and the largest element. A bin
    has its left edge in it, the last one also its right one. Both results are floats.

    >>> counts, edges = gpunn.ops.histogram([1.0, 2.0, 2.5, 4.0], bins=3)
    """
    if not is_whole(bins, 1):
        raise TypeError(f"histogram: bins must be a positive integer, received {bins!r}.")
    x, bins = as_float(x), int(bins)
    if len(x.shape) != 1 or (range is None and x.shape[0] == 0):
        raise ShapeError(
            f"histogram: x must have one axis, with elements unless a range is given, received "
            f"{tuple(x.shape)}. Use ops.ravel first."
        )
    if range is None:
        low, high = min(x), max(x)
    elif range[0] <= range[1]:
        low, high = (x[:0].sum() + float(end) for end in range)
    else:
        raise ValueError(f"histogram: the range {range} ends before it begins. Swap its ends.")
    margin = where(equal(low, high), 0.5, cast(low * 0, x.dtype))  # one value gets a bin around it
    low, high = low - margin, high + margin
    edges = low + (high - low) * (cast(arange(bins + 1), x.dtype) * (1 / bins))
    bin_of = searchsorted(edges, x, side="right") - 1
    bin_of = where(equal(x, edges[-1]), bins - 1, bin_of)
    return token_counts(bin_of, bins, dtype=x.dtype), edges
