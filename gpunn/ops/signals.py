"""Sequences of numbers: differences, integrals, correlation, and windows to multiply them by."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.compare import not_equal
from gpunn.ops.composite import later as node
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.gemm import matmul
from gpunn.ops.indexing import flip, getitem
from gpunn.ops.operands import as_float, operands
from gpunn.ops.padding import pad
from gpunn.ops.reduce import sum
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import reshape, stack


def _neighbours(name: str, x: Any, axis: int) -> tuple[Any, Any]:
    """All elements along an axis but the first, and all but the last."""
    before = (slice(None),) * normalize_axis(name, axis, len(x.shape))
    return getitem(x, (*before, slice(1, None))), getitem(x, (*before, slice(None, -1)))


def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    """y_i = a_{i+1} - a_i along the axis, n times over; of bool, whether they differ."""
    if n < 0:
        raise ValueError(f"diff: n must not be negative, received {n}.")
    a = convert_to_tensor(a)
    normalize_axis("diff", axis, len(a.shape))
    for _ in range(n):
        later, earlier = _neighbours("diff", a, axis)
        a = not_equal(later, earlier) if as_dtype(a.dtype).kind == "b" else later - earlier
    return a


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    """∫ y dx ≈ Σ (y_i + y_{i+1}) / 2 · (x_{i+1} - x_i) along the axis; without x, `dx` apart.

    x: of the shape of y, or one number a position along the axis.
    """
    y = as_float(y)
    later, earlier = _neighbours("trapezoid", y, axis)
    if x is None:
        return sum(later + earlier, axis=axis) * (0.5 * dx)
    y, x = operands(y, x, floating=True)
    if len(x.shape) == 1:
        behind = len(y.shape) - 1 - normalize_axis("trapezoid", axis, len(y.shape))
        widths = reshape(diff(x), (-1,) + (1,) * behind)
    else:
        widths = diff(x, axis=axis)
    return sum((later + earlier) * widths, axis=axis) * 0.5


def correlate(x1: Any, x2: Any, mode: str = "valid") -> Any:
    """y_k = Σ_i x1[i + k] x2[i] of two sequences.

    `mode`: "full", all k where they overlap; "valid", where the shorter one lies inside of the
    longer one; "same", as many as the longer one is long, from the middle of the full ones.
    """
    if mode not in ("full", "same", "valid"):
        raise unknown_name("mode of correlate", mode, ("full", "same", "valid"))
    x1, x2 = operands(x1, x2, floating=True)
    if len(x1.shape) != 1 or len(x2.shape) != 1 or 0 in x1.shape or 0 in x2.shape:
        raise ShapeError(
            f"correlate: x1 and x2 must be sequences with elements (x1 {tuple(x1.shape)}, x2 "
            f"{tuple(x2.shape)}). Correlate rows one at a time, or use ops.conv."
        )
    if None in (*x1.shape, *x2.shape):
        return node(correlate, (x1, x2), {"mode": mode}, SymbolicTensor((None,), x1.dtype))
    if x1.shape[0] < x2.shape[0]:
        return flip(correlate(x2, x1, mode))
    n, m = x1.shape[0], x2.shape[0]
    width = {"full": (m - 1, m - 1), "same": (m // 2, m - 1 - m // 2), "valid": (0, 0)}[mode]
    x1 = pad(x1, [width])
    count = n + width[0] + width[1] - m + 1
    windows = stack([getitem(x1, slice(i, i + count)) for i in range(m)], axis=1)
    return matmul(windows, x2)


# --- windows ---


def _window(values: Any) -> Tensor:
    return Tensor(asarray(values.astype(as_dtype(None))))


def _length(name: str, x: Any) -> int:
    """A number of points, which may come as a tensor of shape ()."""
    if getattr(x, "shape", ()) != ():
        raise ShapeError(f"{name}: the number of points must be one integer, received {x.shape}.")
    return int(x)


def bartlett(x: Any) -> Tensor:
    """w_i = 1 - |2i / (x - 1) - 1|, the triangle window of x points, in floatx."""
    return _window(np.bartlett(_length("bartlett", x)))


def blackman(x: Any) -> Tensor:
    """w_i = 0.42 - 0.5 cos t + 0.08 cos 2t, t = 2πi / (x - 1), of x points, in floatx."""
    return _window(np.blackman(_length("blackman", x)))


def hamming(x: Any) -> Tensor:
    """w_i = 0.54 - 0.46 cos(2πi / (x - 1)), the Hamming window of x points, in floatx."""
    return _window(np.hamming(_length("hamming", x)))


def hanning(x: Any) -> Tensor:
    """w_i = 0.5 - 0.5 cos(2πi / (x - 1)), the Hann window of x points, in floatx."""
    return _window(np.hanning(_length("hanning", x)))


def kaiser(x: Any, beta: Any) -> Tensor:
    """w_i = I₀(β √(1 - t²)) / I₀(β), t = 2i / (x - 1) - 1, the Kaiser window of x points."""
    return _window(np.kaiser(_length("kaiser", x), float(beta)))
