"""Running sums and products along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty_like
from gpunn.backend.kernel import Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.operands import as_number
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import ravel


def _examples(inputs: int) -> Callable:
    def examples(rng: np.random.Generator, dtype: str) -> Any:
        arrays = [normal(rng, (3, 4), dtype) for _ in range(inputs)]
        for axis in (0, 1):
            yield (*arrays, unwritten((3, 4), dtype)), {"axis": axis}

    return examples


@kernel(examples=_examples(1))
def cumulate(xp: Any, x: Array, out: Array, axis: int) -> None:
    """out_i = Σ_{j ≤ i} x_j along the axis"""
    xp.copyto(out, xp.cumsum(x, axis=axis), casting="same_kind")


@kernel(examples=_examples(1))
def cumulate_products(xp: Any, x: Array, out: Array, axis: int) -> None:
    """out_i = Π_{j ≤ i} x_j along the axis"""
    xp.copyto(out, xp.cumprod(x, axis=axis), casting="same_kind")


@kernel(examples=_examples(3))
def cumulate_products_backward(
    xp: Any, x: Array, y: Array, dy: Array, dx: Array, axis: int
) -> None:
    """dx_i = y_{i-1} s_i, with s_i = dy_i + x_{i+1} s_{i+1}: no division, so x may be 0"""
    x, y, dy, dx = (xp.moveaxis(a, axis, 0) for a in (x, y, dy, dx))
    s = 0
    for i in reversed(range(x.shape[0])):
        s = dy[i] + x[i + 1] * s if i + 1 < x.shape[0] else dy[i]
        dx[i] = y[i - 1] * s if i else s


def _rule(name: str) -> Callable[..., Spec]:
    def rule(x: Any, axis: int) -> Spec:
        normalize_axis(name, axis, len(x.shape))
        return Spec(x.shape, as_dtype(x.dtype))

    return rule


def _along(name: str, run: Kernel, x: Array, axis: int) -> tuple[Array, int]:
    """The result of a kernel, and the axis it went along."""
    along = normalize_axis(name, axis, x.ndim)
    y = empty_like(x)
    run(x, y, axis=along)
    return y, along


@op(shape=_rule("cumsum"))
def _cumsum(x: Array, axis: int) -> Any:
    y, along = _along("cumsum", cumulate, x, axis)
    reverse = tuple(slice(None, None, -1 if i == along else None) for i in range(x.ndim))

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        cumulate(dy[reverse], dx[reverse], axis=along)
        return dx

    return y, (gradient,)


@op(shape=_rule("cumprod"))
def _cumprod(x: Array, axis: int) -> Any:
    y, along = _along("cumprod", cumulate_products, x, axis)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        cumulate_products_backward(x, y, dy, dx, axis=along)
        return dx

    return y, (gradient,)


def _prepared(x: Any, axis: int | None, dtype: Any) -> tuple[Any, int]:
    x = as_number(x) if dtype is None else cast(convert_to_tensor(x), dtype)
    return (ravel(x), 0) if axis is None else (x, axis)


def cumsum(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """y_i = Σ_{j ≤ i} x_j along the axis (None: of the flat x), in x's dtype; bool in int32."""
    x, axis = _prepared(x, axis, dtype)
    return _cumsum(x, axis=axis)


def cumprod(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """y_i = Π_{j ≤ i} x_j along the axis (None: of the flat x), in x's dtype; bool in int32."""
    x, axis = _prepared(x, axis, dtype)
    return _cumprod(x, axis=axis)
