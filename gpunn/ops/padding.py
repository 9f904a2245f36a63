"""Borders around arrays: constant, or mirrored at the edges. CUDA twin: kernels/pad.cu."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gpunn.arguments import is_whole
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.cuda import THREADS, blocks, contiguous, raw
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import FLOATS, kernel
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.examples import normal, unwritten
from gpunn.ops.padding_modes import MODES, pad_from_itself

#: (before, after) for each axis
Widths = tuple[tuple[int, int], ...]

#: How far the mirror image of the first element is from it; "reflect" does not repeat the edge.
_MIRRORS = {"constant": 0, "symmetric": 1, "reflect": 2}
_AXES = 5  # of the CUDA kernels

# --- kernels ---


def _merged(shape: tuple[int, ...], widths: Widths) -> list[tuple[int, int, int]]:
    """(n, before, n + before + after) by axis, where axes side by side that keep their length
    are one.
    """
    axes = [(1, 0, 1)]
    for n, (a, b) in zip(shape, widths, strict=True):
        if a == b == 0 and axes[-1][0] == axes[-1][2]:
            axes[-1] = (axes[-1][0] * n, 0, axes[-1][2] * n)
        else:
            axes.append((n, a, a + n + b))
    return axes


def _launch(source: Array, out: Array, widths: Widths, mode: str, **options: float) -> Any:
    inner = source if source.size < out.size else out
    axes = _merged(inner.shape, widths)
    if len(axes) > _AXES or source.size == 0 or not contiguous(source, out):
        return NotImplemented
    if source.dtype != out.dtype or source.dtype.name not in (*FLOATS, "int32"):
        return NotImplemented
    numbers = [np.int32(v) for axis in [(1, 0, 1)] * (_AXES - len(axes)) + axes for v in axis]
    extra = tuple(np.float64(v) for v in options.values())
    head = np.int64(out.size), np.int32(_MIRRORS[mode])
    return (blocks(out.size),), (THREADS,), (source, out, *head, *extra, *numbers), 0


def _borders(shape: tuple[int, ...], widths: Widths, mode: str) -> Iterator[tuple[tuple, tuple]]:
    """The slabs of a padded array of this shape, and the slabs that they mirror.

    One axis after the other: whole along the axes before it, without border along those behind.
    """
    mirror = _MIRRORS[mode]
    inside = [slice(a, m - b) for m, (a, b) in zip(shape, widths, strict=True)]
    for axis, (m, (a, b)) in enumerate(zip(shape, widths, strict=True)):
        first, last = a + mirror - 1, m - b - mirror  # the edges that the border mirrors
        stop = last - b if last - b >= 0 else None
        for width, border, image in (
            (a, slice(0, a), slice(first + a - 1, first - 1, -1)),
            (b, slice(m - b, m), slice(last, stop, -1)),
        ):
            if width:
                slabs = [(*[slice(None)] * axis, s, *inside[axis + 1 :]) for s in (border, image)]
                yield slabs[0], slabs[1]


def _examples() -> Any:
    for shape, widths in (
        ((4,), ((3, 2),)),
        ((2, 3), ((1, 1), (2, 1))),
        ((2, 4, 5, 3), ((0, 0), (1, 2), (3, 0), (0, 0))),
        ((3, 2, 4, 3, 2), ((0, 0), (1, 0), (0, 2), (2, 1), (0, 0))),
        ((3, 3), ((0, 0), (0, 0))),
    ):
        full = tuple(n + a + b for n, (a, b) in zip(shape, widths, strict=True))
        for mode in _MIRRORS:
            yield shape, full, {"widths": widths, "mode": mode}


def _forward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, full, options in _examples():
        yield (normal(rng, shape, dtype), unwritten(full, dtype)), {**options, "value": 0.5}


def _backward_examples(rng: np.random.Generator, dtype: str) -> Any:
    for shape, full, options in _examples():
        if options["mode"] != "constant":
            yield (normal(rng, full, dtype), unwritten(shape, dtype)), options


@kernel(
    cuda=raw("pad.cu", "pad_forward", _launch),
    examples=_forward_examples,
    dtypes=(*FLOATS, "int32"),
)
def pad_forward(xp: Any, x: Array, out: Array, widths: Widths, mode: str, value: float) -> None:
    """out = x with a border of `value`, or of x mirrored at its edges"""
    out[tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape, strict=True))] = x
    for border, image in _borders(out.shape, widths, mode):
        out[border] = value if mode == "constant" else out[image]


@kernel(cuda=raw("pad.cu", "pad_backward", _launch), examples=_backward_examples)
def pad_backward(xp: Any, dy: Array, dx: Array, widths: Widths, mode: str) -> None:
    """dx = dy where x stands, plus dy where x is mirrored"""
    work = dy.astype(np.float32) if dy.dtype.itemsize == 2 else dy.copy()
    for border, image in reversed(list(_borders(dy.shape, widths, mode))):
        work[image] += work[border]
    dx[...] = work[tuple(slice(a, a + n) for (a, _), n in zip(widths, dx.shape, strict=True))]


# --- op ---


def _rule(x: Any, widths: Widths, mode: str = "constant", value: float = 0.0) -> Spec:
    if len(widths) != len(x.shape):
        raise ShapeError(
            f"pad: one pair (before, after) an axis is needed (x {tuple(x.shape)}, received "
            f"{widths})."
        )
    most = {"constant": None, "symmetric": 0, "reflect": 1}[mode]
    for axis, (n, pair) in enumerate(zip(x.shape, widths, strict=True)):
        if most is not None and n is not None and max(pair) > max(n - most, 0):
            raise ShapeError(
                f"pad: mode '{mode}' mirrors at most {max(n - most, 0)} elements of axis {axis} (x "
                f"{tuple(x.shape)}, widths {widths}). Pad less, or several times."
            )
    shape = tuple(
        None if n is None else n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)
    )
    return Spec(shape, as_dtype(x.dtype))


@op(shape=_rule)
def _pad(x: Array, widths: Widths, mode: str = "constant", value: float = 0.0) -> Any:
    y = empty(_rule(x, widths).shape, x.dtype, x)
    pad_forward(packed(x), y, widths=widths, mode=mode, value=value)
    inside = tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape, strict=True))

    def gradient(dy: Array) -> Array:
        if mode == "constant":
            return dy[inside]
        dx = empty_like(x)
        pad_backward(packed(dy), dx, widths=widths, mode=mode)
        return dx

    return y, (gradient,)


def _is_pair(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(is_whole(n, 0) for n in value)


def _pairs(pad_width: Any, ndim: int) -> Widths:
    """One pair an axis, of a number, a pair, or pairs."""
    pairs = pad_width.tolist() if isinstance(pad_width, np.ndarray) else pad_width
    if is_whole(pairs, 0):
        pairs = ((pairs, pairs),) * ndim
    elif _is_pair(pairs):
        pairs = (pairs,) * ndim
    elif not isinstance(pairs, Sequence) or not all(map(_is_pair, pairs)):
        raise ValueError(
            f"pad: pad_width must be a number, a pair (before, after), or one pair an axis, of "
            f"non-negative integers; received {pad_width!r}."
        )
    elif len(pairs) == 1:
        pairs = tuple(pairs) * ndim
    return tuple((int(a), int(b)) for a, b in pairs)


def pad(
    x: Any, pad_width: Any, mode: str = "constant", constant_values: float | None = None
) -> Any:
    """x with a border of constants (0 by default), or of itself, mirrored at its edges.

    `pad_width` is a number, a pair (before, after), or one pair an axis. `mode`: "constant",
    "reflect" (c b | a b c | b a) or "symmetric" (b a | a b c | c b), whose borders are no longer
    than the mirror image; "edge" (a a | a b c | c c); "wrap" or "circular" (b c | a b c | a b);
    "maximum", "minimum", "mean" or "median" of the axis; "linear_ramp" from the edge to 0; "empty".

    >>> gpunn.ops.pad([1, 2, 3], (2, 1), mode="reflect")  # 3 2 1 2 3 2
    """
    if mode not in _MIRRORS and mode not in MODES:
        raise unknown_name("mode of pad", mode, (*_MIRRORS, *MODES))
    if constant_values is not None and mode != "constant":
        raise ValueError(
            f"pad: constant_values={constant_values!r} goes with mode='constant' only, received "
            f"mode={mode!r}. Leave it out."
        )
    x = convert_to_tensor(x)
    widths = _pairs(pad_width, len(x.shape))
    if mode in MODES and mode != "empty":
        if len(widths) != len(x.shape):
            _rule(x, widths)  # says so
        return pad_from_itself(x, widths=widths, mode=mode)
    mode = "constant" if mode == "empty" else mode
    if constant_values is not None and not isinstance(constant_values, (int, float)):
        constant_values = float(constant_values)
    return _pad(x, widths=widths, mode=mode, value=constant_values or 0.0)
