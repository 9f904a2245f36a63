"""Reductions over axes. CUDA twin: kernels/reduce.cu, deterministic."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype, to_float
from gpunn.autodiff.op import op, registry
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import contiguous, cuda_type, raw
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import FLOATS, Kernel, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.rules import normalize_axes, normalize_axis, reduced_shape

Axes = tuple[int, ...]
_DTYPES = (*FLOATS, "int32")  # of the CUDA kernel
_LONG = 1 << 14  # a single row longer than this would leave most of a GPU idle

# --- kernels ---


def _split(shape: tuple[int, ...], axes: Axes) -> tuple[int, int, int] | None:
    """(outer, n, inner) when the reduced axes lie side by side, else None."""
    if not axes or axes[-1] - axes[0] + 1 != len(axes):
        return None
    first, last = axes[0], axes[-1] + 1
    return prod(shape[:first]), prod(shape[first:last]), prod(shape[last:])


def _launch(x: Array, out: Array, axes: Axes) -> Any:
    split = _split(x.shape, axes)
    if x.dtype.name not in _DTYPES or x.dtype != out.dtype or not contiguous(x, out):
        return NotImplemented
    if split is None or 0 in split:
        return NotImplemented
    outer, n, inner = split
    if (inner == 1 and outer < 64 and n > _LONG) or outer > 65535:
        return NotImplemented
    sizes = np.int32(n), np.int32(inner)
    if inner == 1:
        return (outer,), (256,), (x, out, *sizes), 0
    return (-(-inner // 32), outer), (32, 8), (x, out, *sizes), 0


def _types(functor: str) -> Callable[..., tuple]:
    def types(x: Array, out: Array, axes: Axes) -> tuple:
        split = _split(x.shape, axes)
        return cuda_type(x.dtype), functor, "true" if split and split[2] == 1 else "false"

    return types


def _examples(rng: np.random.Generator, dtype: str) -> Any:
    cases: tuple[tuple[tuple[int, ...], Axes], ...] = (
        ((7,), (0,)), ((5, 300), (1,)), ((37, 40), (0,)), ((3, 4, 70), (1,)), ((3, 4, 5), (0, 2)),
        ((2, 3, 9), (0, 1, 2)), ((4, 1), (1,)), ((3, 0), (0,)),
    )  # fmt: skip
    for shape, axes in cases:
        x = normal(rng, shape, dtype)
        yield (x, unwritten(reduced_shape(shape, axes, False), dtype)), {"axes": axes}


def _reduction(name: str, doc: str, reference: Callable, functor: str | None) -> Kernel:
    reference.__name__, reference.__doc__ = f"reduce_{name}", doc
    cuda = raw("reduce.cu", "reduce", _launch, _types(functor)) if functor else None
    return kernel(cuda=cuda, examples=_examples, dtypes=_DTYPES)(reference)


_ROWS = 4096  # summed one after the other; the sums of so many are summed then


@lru_cache(maxsize=64)
def _ones(n: int, dtype: np.dtype) -> np.ndarray:
    return np.ones(n, dtype)


def _sum_rows(x: Array, out: Array) -> None:
    """out = the sum of the rows of x; for that a GEMV of BLAS is faster than np.sum"""
    n = len(x)
    if n <= _ROWS:
        np.dot(_ones(n, x.dtype), x, out=out)
        return
    sums = np.empty((-(-n // _ROWS), x.shape[1]), x.dtype)
    for i, total in enumerate(sums):
        block = x[i * _ROWS : (i + 1) * _ROWS]
        np.dot(_ones(len(block), x.dtype), block, out=total)
    np.add.reduce(sums, axis=0, out=out)


def _sum(xp: Any, x: Array, out: Array, axes: Axes) -> None:
    leading = axes == tuple(range(len(axes))) and len(axes) < x.ndim and x.flags.c_contiguous
    if xp is np and leading and x.dtype.char in "fd" and x.size:
        _sum_rows(x.reshape(-1, out.size), out.reshape(-1))
    elif xp is np:
        np.add.reduce(x, axis=axes, out=out)  # np.sum without its Python wrapper
    else:
        xp.sum(x, axis=axes, out=out)


reduce_sum = _reduction("sum", "out = Σ x over the axes", _sum, "Sum")
reduce_prod = _reduction(
    "prod", "out = Π x over the axes", lambda xp, x, out, axes: xp.prod(x, axis=axes, out=out), None
)
reduce_max = _reduction(
    "max",
    "out = max x over the axes",
    lambda xp, x, out, axes: xp.max(x, axis=axes, out=out),
    "Max",
)
reduce_min = _reduction(
    "min",
    "out = min x over the axes",
    lambda xp, x, out, axes: xp.min(x, axis=axes, out=out),
    "Min",
)
# A maximum over nothing does not exist; the ops refuse it before they come here.
for _kernel in (reduce_max, reduce_min):
    _kernel.examples = lambda rng, dtype: (e for e in _examples(rng, dtype) if e[0][0].size)


def _spread_examples(rng: np.random.Generator, dtype: str) -> Any:
    for (shape, axes), factor in zip(
        (((5, 33), (1,)), ((3, 4, 5), (0, 2)), ((), ())), (1.0, 0.5, 2.0)
    ):
        dy = normal(rng, reduced_shape(shape, axes, True), dtype)
        yield (dy, unwritten(shape, dtype)), {"factor": factor}


@kernel(examples=_spread_examples)
def spread(xp: Any, dy: Array, dx: Array, factor: float) -> None:
    """dx = factor · dy, broadcast: the gradient of a sum (factor 1) or a mean (1/n)"""
    xp.multiply(dy, factor, out=dx)


def _extreme_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, axes in (((5, 33), (1,)), ((3, 4, 5), (0, 2))):
        x = np.round(normal(rng, shape, dtype) * 2)  # rounded, so that there are ties
        y = x.max(axis=axes, keepdims=True)
        yield (x, y, normal(rng, y.shape, dtype), unwritten(shape, dtype)), {"axes": axes}


@kernel(examples=_extreme_examples)
def extreme_backward(xp: Any, x: Array, y: Array, dy: Array, dx: Array, axes: Axes) -> None:
    """dx = dy where x is the extreme y, shared evenly among ties"""
    hit = x == y
    xp.multiply(dy / xp.sum(hit, axis=axes, keepdims=True, dtype=x.dtype), hit, out=dx)


def _index_kernel(name: str) -> Kernel:
    def reference(xp: Any, x: Array, out: Array, axis: int) -> None:
        xp.copyto(out, getattr(xp, name)(x, axis=axis), casting="same_kind")

    def examples(rng: np.random.Generator, dtype: str) -> Any:
        for shape, axis in (((5, 33), 1), ((4, 3), 0)):
            x = normal(rng, shape, dtype)
            yield (x, unwritten(reduced_shape(shape, (axis,), False), "int32")), {"axis": axis}

    reference.__name__, reference.__doc__ = f"reduce_{name}", f"out = {name} x along the axis"
    return kernel(examples=examples)(reference)


reduce_argmax = _index_kernel("argmax")
reduce_argmin = _index_kernel("argmin")

# --- rules ---


def _sum_dtype(x: Any) -> np.dtype:
    """Sums of bool and small integers are 32 bits wide; other dtypes stay."""
    dtype = as_dtype(x.dtype)
    if dtype.kind == "u" and dtype.itemsize < 4:
        return as_dtype("uint32")
    return as_dtype("int32") if dtype.kind in "bi" and dtype.itemsize < 4 else dtype


def _rule(name: str, dtype: Callable[[Any], np.dtype], needs_elements: bool = False) -> Callable:
    def rule(x: Any, axis: Any = None, keepdims: bool = False) -> Spec:
        axes = normalize_axes(name, axis, len(x.shape))
        if needs_elements and any(x.shape[a] == 0 for a in axes):
            raise ShapeError(
                f"{name}: no elements along axis {axis} ({tuple(x.shape)}). Check the data."
            )
        return Spec(reduced_shape(x.shape, axes, keepdims), dtype(x))

    return rule


def _own(x: Any) -> np.dtype:
    return as_dtype(x.dtype)


_sum_rule = _rule("sum", _sum_dtype)
_mean_rule = _rule("mean", lambda x: to_float(x.dtype))
_max_rule = _rule("max", _own, needs_elements=True)
_min_rule = _rule("min", _own, needs_elements=True)

# --- ops ---


def _reduced(run: Kernel, x: Array, axes: Axes, keepdims: bool, dtype: np.dtype) -> Array:
    """The result of a reduction kernel."""
    shape = reduced_shape(x.shape, axes, False)
    out = empty(shape, dtype, x)
    run(x, out, axes=axes)
    return out.reshape(reduced_shape(x.shape, axes, True)) if keepdims else out


def _spreading(x: Array, axes: Axes, factor: float = 1.0) -> Callable[[Array], Array]:
    kept = reduced_shape(x.shape, axes, True)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        spread(dy.reshape(kept), dx, factor=factor)
        return dx

    return gradient


@op(shape=_sum_rule)
def sum(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    """y = Σ x over the axes (None: all). Integers below 32 bits are summed in 32 bits."""
    axes = normalize_axes("sum", axis, x.ndim)
    y = _reduced(reduce_sum, x, axes, keepdims, _sum_dtype(x))
    return y, (_spreading(x, axes),)


@op(shape=_mean_rule, promotes="float")
def mean(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    """y = Σ x / n over the axes (None: all); of integers in floatx. NaN of no elements."""
    axes = normalize_axes("mean", axis, x.ndim)
    half = x.dtype.itemsize == 2  # whose sum may overflow
    total = _reduced(reduce_sum, x, axes, keepdims, as_dtype("float32") if half else x.dtype)
    y = empty(total.shape, x.dtype, x) if half else total
    n = prod(x.shape[a] for a in axes)
    factor = 1 / n if n else float("nan")
    spread(total, y, factor=factor)
    return y, (_spreading(x, axes, factor),)


def _extreme(name: str, run: Kernel, rule: Callable) -> Callable:
    def function(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
        axes = normalize_axes(name, axis, x.ndim)
        y = _reduced(run, x, axes, keepdims, x.dtype)
        kept = reduced_shape(x.shape, axes, True)

        def gradient(dy: Array) -> Array:
            dx = empty_like(x)
            extreme_backward(x, y.reshape(kept), dy.reshape(kept), dx, axes=axes)
            return dx

        return y, (gradient,)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"y = {name} x over the axes (None: all); ties share the gradient."
    return op(shape=rule)(function)


_max = _extreme("max", reduce_max, _max_rule)
_min = _extreme("min", reduce_min, _min_rule)


def max(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """y = max x over the axes (None: all), at least `initial`; ties share the gradient.

    With `initial`, axes may have no elements.
    """
    if initial is None:
        return _max(x, axis=axis, keepdims=keepdims)
    return _beyond("max", "maximum", x, axis, keepdims, initial)


def min(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    """y = min x over the axes (None: all), at most `initial`; ties share the gradient.

    With `initial`, axes may have no elements.
    """
    if initial is None:
        return _min(x, axis=axis, keepdims=keepdims)
    return _beyond("min", "minimum", x, axis, keepdims, initial)


def _beyond(name: str, pair: str, x: Any, axis: Any, keepdims: bool, initial: Any) -> Any:
    """The extreme of the initial value and the elements, in the dtype of x."""
    from gpunn.ops import arithmetic, creation

    x = creation.convert_to_tensor(x)
    axes = normalize_axes(name, axis, len(x.shape))
    if type(initial) in (int, float, bool):
        initial = as_dtype(x.dtype).type(initial).item()
    else:
        initial = creation.cast(initial, x.dtype)
    if any(x.shape[a] == 0 for a in axes):
        return sum(x, axis=axis, keepdims=keepdims) + initial
    return getattr(arithmetic, pair)(registry[name](x, axis=axis, keepdims=keepdims), initial)


@op(shape=_rule("prod", _sum_dtype))
def prod_(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    """y = Π x over the axes (None: all). Integers below 32 bits are multiplied in 32 bits."""
    axes = normalize_axes("prod", axis, x.ndim)
    y = _reduced(reduce_prod, x, axes, keepdims, _sum_dtype(x))
    kept = reduced_shape(x.shape, axes, True)

    def gradient(dy: Array) -> Array:
        dx = empty_like(x)
        product_backward(x, dy.reshape(kept), dx, axes=axes)
        return dx

    return y, (gradient,)


def _product_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, axes in (((4, 3), (1,)), ((2, 3, 4), (0, 2))):
        x = np.asarray(rng.uniform(0.5, 2.0, shape), dtype)
        x.flat[:7:3] = 0  # rows with several zeros, one, and none
        dy = normal(rng, reduced_shape(shape, axes, True), dtype)
        yield (x, dy, unwritten(shape, dtype)), {"axes": axes}


@kernel(examples=_product_examples)
def product_backward(xp: Any, x: Array, dy: Array, dx: Array, axes: Axes) -> None:
    """dx = dy · Π of the other elements: all of them must be non-zero, else it is 0"""
    zero = x == 0
    factors = xp.where(zero, x.dtype.type(1), x)
    others_are_not_zero = xp.sum(zero, axis=axes, keepdims=True) == zero
    products = xp.prod(factors, axis=axes, keepdims=True) / factors
    xp.multiply(dy * products, others_are_not_zero, out=dx)


def _index_rule(name: str) -> Callable:
    def rule(x: Any, axis: int | None = None, keepdims: bool = False) -> Spec:
        axes = normalize_axes(name, axis, len(x.shape))
        if any(x.shape[a] == 0 for a in axes):
            raise ShapeError(f"{name}: no elements along axis {axis} ({tuple(x.shape)}).")
        return Spec(reduced_shape(x.shape, axes, keepdims), as_dtype("int32"))

    return rule


def _index_op(name: str, run: Kernel) -> Callable:
    rule = _index_rule(name)

    def function(x: Array, axis: int | None = None, keepdims: bool = False) -> Any:
        spec = rule(x, axis, keepdims)
        flat = packed(x).reshape(-1) if axis is None else x
        along = 0 if axis is None else normalize_axis(name, axis, x.ndim)
        out = empty(reduced_shape(flat.shape, (along,), False), spec.dtype, x)
        run(flat, out, axis=along)
        return out.reshape(spec.shape), None

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"y = {name} of x along an axis (None: of the flat x), int32."
    return op(shape=rule)(function)


argmax = _index_op("argmax", reduce_argmax)
argmin = _index_op("argmin", reduce_argmin)


def sum_to(dy: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an input that was broadcast from `shape` to the shape of `dy`."""
    if dy.shape == shape:
        return dy
    missing = dy.ndim - len(shape)
    axes = tuple(
        i for i, n in enumerate(dy.shape) if i < missing or (shape[i - missing] == 1 and n != 1)
    )
    if not axes:
        return dy.reshape(shape)
    out = empty(reduced_shape(dy.shape, axes, False), dy.dtype, dy)
    reduce_sum(dy, out, axes=axes)
    return out.reshape(shape)


__all__ = ["argmax", "argmin", "max", "mean", "min", "prod_", "sum"]
