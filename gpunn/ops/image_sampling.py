"""Arrays read between their elements: at coordinates, under maps, at another scale."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import pi, prod
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype, is_float, to_float
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.affine import affine_transform
from gpunn.ops.affine_kernels import FILL_MODES, INTERPOLATIONS
from gpunn.ops.arithmetic import maximum, minimum, mod, multiply, subtract
from gpunn.ops.compare import greater, greater_equal, less, logical_and, where
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.elementwise import abs_, clip, floor, sign, sin
from gpunn.ops.gemm import matmul
from gpunn.ops.image_filters import as_given, batched, gaussian_blur
from gpunn.ops.indexing import getitem
from gpunn.ops.noise import normal
from gpunn.ops.ranges import arange
from gpunn.ops.reduce import sum as total
from gpunn.ops.shaping import concatenate, expand_dims, moveaxis, ravel, reshape, stack
from gpunn.seeding import next_seed

_FAR = 5e8  # positions are held within it: whatever is further away looks the same

# --- at coordinates ---


def _round(x: Any) -> Any:
    """The nearest integer, halves away from 0."""
    return multiply(floor(abs_(x) + 0.5), sign(x))


def _folded(i: Any, n: int, mode: str) -> Any:
    """The element at each position of the endless axis; any element where there is none."""
    if mode == "wrap":
        return mod(i, n)
    if mode == "mirror" and n > 1:  # c b | a b c | b a
        return abs_(mod(i + (n - 1), 2 * n - 2) - (n - 1))
    if mode == "reflect":  # b a | a b c | c b
        i = mod(i, 2 * n)
        return minimum(i, subtract(2 * n - 1, i))
    return clip(i, 0, n - 1)


def _taps(position: Any, n: int, order: int, mode: str) -> list[tuple]:
    """(element, weight, whether it exists) of each element that is needed along an axis."""
    position = clip(position, -_FAR, _FAR)
    if order == 0:
        bases = [(_round(position), None)]
    else:
        base = floor(position)
        upper = position - base
        bases = [(base, subtract(1, upper)), (base + 1, upper)]
    return [
        (_folded(cast(b, "int32"), n, mode), w, logical_and(greater_equal(b, 0), less(b, n)))
        for b, w in bases
    ]


def _sampled(
    values: Any, lengths: Sequence[int], coordinates: Sequence[Any], order: int, mode: str,
    fill: float, first: Any = 0,
) -> Any:  # fmt: skip
    """Σ w values[first + the flat index of a tap] over the taps around each coordinate.

    values (M, ...): rows of an array of these lengths, C order.
    """
    result = None
    axes = [_taps(c, n, order, mode) for c, n in zip(coordinates, lengths, strict=True)]
    for taps in product(*axes):
        index, weight, inside = first, None, None
        for axis, (i, w, exists) in enumerate(taps):
            index = index + i * prod(lengths[axis + 1 :])
            weight = w if weight is None else weight * w
            inside = exists if inside is None else logical_and(inside, exists)
        found = getitem(values, index)
        new = (*[slice(None)] * len(index.shape), *[None] * (len(found.shape) - len(index.shape)))
        if mode == "constant":
            found = where(getitem(inside, new), found, fill)
        found = found if weight is None else found * cast(getitem(weight, new), found.dtype)
        result = found if result is None else result + found
    return result


def map_coordinates(
    inputs: Any, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Any:
    """inputs at coordinates (ndim, ...), between its elements: order 0 the nearest, 1 linear.

    `fill_mode` and `fill_value`: what stands beyond the edges, as in `affine_transform`.
    Differentiable by both. Integers are computed as floats and rounded, halves away from 0.

    >>> gpunn.ops.image.map_coordinates([10.0, 20.0], [[0.25]], order=1).numpy()
    array([12.5], dtype=float32)
    """
    x = convert_to_tensor(inputs)
    parts = coordinates if isinstance(coordinates, (list, tuple)) else None
    at = (
        convert_to_tensor(coordinates) if parts is None else stack([*map(convert_to_tensor, parts)])
    )
    if order not in (0, 1):
        raise ValueError(f"map_coordinates: order must be 0 or 1, received {order!r}.")
    if fill_mode not in FILL_MODES:
        raise unknown_name("fill_mode", fill_mode, FILL_MODES)
    if len(at.shape) < 2 or at.shape[0] != len(x.shape) or None in x.shape:
        raise ShapeError(
            f"map_coordinates: coordinates (ndim, ...) need one row for each axis of inputs, whose "
            f"lengths are known (inputs {tuple(x.shape)}, coordinates {tuple(at.shape)})."
        )
    dtype = as_dtype(x.dtype)
    values = ravel(
        x if is_float(dtype) else cast(x, "float32" if dtype.itemsize < 4 else "float64")
    )
    at = at if is_float(at.dtype) and as_dtype(at.dtype).itemsize > 2 else cast(at, "float32")
    rows = [getitem(at, i) for i in range(len(x.shape))]
    y = _sampled(values, x.shape, rows, order, fill_mode, float(fill_value))
    return y if is_float(dtype) else cast(_round(y), dtype)


def _state(seed: Any) -> Tensor:
    """The stream of a `SeedGenerator`, or a new one that starts at an integer (None: any)."""
    if hasattr(seed, "state"):
        return seed.state
    start = next_seed() if seed is None else int(seed) % 2**32
    return convert_to_tensor(np.array([start, 0], np.uint32))


def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Any:
    """The images with their pixels moved by α · (Gaussian blur of noise from N(0, σ²)).

    The blur has the standard deviation σ too. `seed`: an integer, a `SeedGenerator` or None.
    Simard et al. 2003

    >>> gpunn.ops.image.elastic_transform(images, alpha=34.0, sigma=4.0)
    """
    if interpolation not in INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
    if fill_mode not in FILL_MODES:
        raise unknown_name("fill_mode", fill_mode, FILL_MODES)
    x, single, first = batched("elastic_transform", images, data_format)
    if isinstance(x, SymbolicTensor):
        return as_given(multiply(x, 1), single, first)
    n, height, width, _ = x.shape
    state, size = _state(seed), int(6 * sigma) | 1
    noise = normal(state, (n, height, width, 2), stddev=sigma, dtype="float32")
    moves = gaussian_blur(noise, (size, size), (sigma, sigma), "channels_last") * alpha
    return as_given(displaced(x, moves, interpolation, fill_mode, fill_value), single, first)


def displaced(x: Any, moves: Any, interpolation: str, fill_mode: str, fill_value: float) -> Any:
    """y[n, i, j] = x at (i, j) + moves[n, i, j]: x (N, H, W, C), moves (N, H, W, 2)."""
    dtype, (n, height, width, channels) = as_dtype(x.dtype), x.shape
    rows = cast(reshape(arange(height), (1, height, 1)), "float32") + getitem(moves, (..., 0))
    columns = cast(arange(width), "float32") + getitem(moves, (..., 1))
    values = reshape(x if is_float(dtype) else cast(x, to_float(dtype)), (-1, channels))
    start = reshape(arange(n), (n, 1, 1)) * (height * width)
    order = 0 if interpolation == "nearest" else 1
    y = _sampled(values, (height, width), (rows, columns), order, fill_mode, fill_value, start)
    return y if is_float(dtype) else cast(_round(y), dtype)


# --- perspective ---


def _cross(a: Any, b: Any) -> Any:
    """a × b along the last axis, of length 3"""
    (a0, a1, a2), (b0, b1, b2) = ([getitem(v, (..., i)) for i in range(3)] for v in (a, b))
    return stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=-1)


def _corners(points: Any) -> tuple[list, list, Any]:
    """Three points as (x, y, 1), the rows of their matrix' adjugate, and the fourth point."""
    p = concatenate([points, getitem(points, (..., slice(0, 1))) * 0 + 1], axis=-1)
    a, b, c, d = (getitem(p, (..., i, slice(None))) for i in range(4))
    return [a, b, c], [_cross(b, c), _cross(c, a), _cross(a, b)], d


def _projective_map(start: Any, end: Any) -> Any:
    """The numbers (..., 8) of the map that takes the four points `end` to `start`, (..., 4, 2).

    H = Σ_i λ_i s_i e_iᵀ with three points s_i of the start, and e_i the rows of the adjugate of the
    matrix of those of the end; λ_i makes the fourth point go where it should.
    """
    columns, start_rows, start_last = _corners(start)
    _, end_rows, end_last = _corners(end)
    H: Any = 0
    for s, s_row, e_row in zip(columns, start_rows, end_rows, strict=True):
        weight = total(s_row * start_last, axis=-1) / total(e_row * end_last, axis=-1)
        outer = expand_dims(s, -1) * expand_dims(e_row, -2)
        H = outer * getitem(weight, (..., None, None)) + H
    flat = [getitem(H, (..., i, j)) for i in range(3) for j in range(3)]
    return stack([h / flat[8] for h in flat[:8]], axis=-1)


def perspective_transform(
    images: Any,
    start_points: Any,
    end_points: Any,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Any:
    """The images under the projective map that moves four points (x, y) of them to four others.

    start_points, end_points: (N, 4, 2), or (4, 2) for all images; no three on one line.

    >>> gpunn.ops.image.perspective_transform(images, corners, moved_corners)
    """
    start, end = (cast(convert_to_tensor(p), "float32") for p in (start_points, end_points))
    for name, points in (("start_points", start), ("end_points", end)):
        if len(points.shape) not in (2, 3) or tuple(points.shape[-2:]) != (4, 2):
            raise ShapeError(
                f"perspective_transform: {name} must be (N, 4, 2) or (4, 2), received "
                f"{tuple(points.shape)}."
            )
    maps = _projective_map(start, end)
    return affine_transform(images, maps, interpolation, "constant", fill_value, data_format)


# --- scale ---


def _linear(x: Any) -> Any:
    return maximum(subtract(1, x), 0.0)


def _cubic(x: Any) -> Any:
    near = ((x * 1.5 - 2.5) * x) * x + 1
    far = ((x * -0.5 + 2.5) * x - 4) * x + 2
    return where(less(x, 1), near, where(less(x, 2), far, 0.0))


def _lanczos(radius: int) -> Any:
    def f(x: Any) -> Any:
        small = less(x, 1e-3)
        safe = where(small, 1.0, x) * pi
        y = sin(safe) * sin(safe / radius) * radius / (safe * safe)
        return where(small, 1.0, where(less(x, radius), y, 0.0))

    return f


_SCALES = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), _linear),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


def _scale_weights(
    n: int, m: int, scale: Any, shift: Any, method: str, antialias: bool, dtype: Any
) -> Any:
    """w (m, n): what output i takes of input j; rows that lie beyond the image are 0."""
    inverse = 1 / scale
    stretch: Any = 1.0
    if antialias:
        stretch = max(inverse, 1.0) if isinstance(inverse, float) else maximum(inverse, 1.0)
    outputs, inputs = cast(arange(m), dtype), cast(arange(n), dtype)
    position = (outputs + 0.5) * inverse - shift * inverse - 0.5
    distance = abs_(expand_dims(position, -1) - inputs) / stretch
    w = _SCALES[method](distance)
    sums = total(w, axis=1, keepdims=True)
    known = greater(abs_(sums), 1e-4)
    w = where(known, w / where(known, sums, 1.0), 0.0)
    inside = logical_and(greater_equal(position, -0.5), less(position, n - 0.5 + 1e-6))
    return where(expand_dims(inside, -1), w, 0.0)


def _numbers(value: Any, dtype: Any) -> Any:
    """A tensor in the dtype; what is of the host as a list of floats."""
    if isinstance(value, (Tensor, SymbolicTensor)):
        return cast(value, dtype)
    return np.asarray(value, np.float64).tolist()


def scale_and_translate(
    images: Any,
    output_shape: Sequence[int],
    scale: Any,
    translation: Any,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Any:
    """The images scaled and then shifted along some axes: y -> y · scale + translation.

    `output_shape` is of all axes; scale and translation (K,) are of the K `spatial_dims`, in pixels
    whose centres are at halves. `method`: "linear", "cubic" (or "bi...", "tri..."), "lanczos3" or
    "lanczos5". What lies beyond the images is 0. Differentiable by images, scale and translation.

    >>> gpunn.ops.image.scale_and_translate(x, (5, 5), [2.0, 2.0], [-0.5, -0.5], (0, 1), "linear")
    """
    if method not in _SCALES:
        raise unknown_name("method of scale_and_translate", method, _SCALES)
    x = convert_to_tensor(images)
    dtype = as_dtype(x.dtype)
    x = x if is_float(dtype) else cast(x, to_float(dtype))
    rank, dims = len(x.shape), [int(d) for d in spatial_dims]
    scale, translation = (_numbers(v, x.dtype) for v in (scale, translation))
    wrong = any(not -rank <= d < rank for d in dims) or len({d % rank for d in dims}) != len(dims)
    sizes = np.shape(scale), np.shape(translation)
    if len(output_shape) != rank or wrong or sizes != ((len(dims),),) * 2:
        raise ShapeError(
            f"scale_and_translate: output_shape needs {rank} lengths, scale and translation one "
            f"number for each of the spatial_dims (images {tuple(x.shape)}, output_shape "
            f"{tuple(output_shape)}, spatial_dims {tuple(spatial_dims)}, scale {sizes[0]}, "
            f"translation {sizes[1]})."
        )
    for k, d in enumerate(dims):
        w = _scale_weights(
            x.shape[d], output_shape[d], scale[k], translation[k], method, antialias, x.dtype
        )  # fmt: skip
        x = moveaxis(matmul(w, moveaxis(x, d, -2)), -2, d) if rank > 1 else matmul(w, x)
    return x if is_float(dtype) else cast(_round(x), dtype)
