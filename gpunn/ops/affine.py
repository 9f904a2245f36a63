"""Images under affine maps.

The output in column u of row v takes the value of the image at

    x = (a0 u + a1 v + a2) / k,   y = (b0 u + b1 v + b2) / k,   k = c0 u + c1 v + 1

(k = 1 for an affine map), interpolated between pixels: Σ w_i w_j image[i, j] with the weights
1 - |y - i| and 1 - |x - j|, or the nearest pixel. The gradient with respect to the images is added
up in a fixed order; there is none with respect to the map.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty_like
from gpunn.backend.protocol import Array
from gpunn.backend.transfer import packed
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.affine_kernels import FILL_MODES, INTERPOLATIONS, affine_backward, affine_forward
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.elementwise import abs_, floor, sign
from gpunn.ops.shaping import expand_dims, squeeze, transpose
from gpunn.ops.windows import data_format as checked_format


def _rule(images: Any, transform: Any, interpolation: str, mode: str, fill: float = 0.0) -> Spec:
    count, n0, n1, _ = images.shape
    maps = transform.shape[0]
    if transform.shape[-1] != 8 or (maps not in (1, count) and None not in (maps, count)):
        raise ShapeError(
            f"affine_transform: 8 numbers an image are needed, or 8 for all (images "
            f"{tuple(images.shape)}, transform {tuple(transform.shape)})."
        )
    if 0 in (n0, n1):
        raise ShapeError(
            f"affine_transform: there are no pixels to take values from (images "
            f"{tuple(images.shape)}). Give images of at least 1 x 1."
        )
    return Spec(tuple(images.shape), as_dtype(images.dtype))


@op(shape=_rule)
def _affine(
    images: Array, transform: Array, interpolation: str, mode: str, fill: float = 0.0
) -> Any:
    t, y = packed(transform), empty_like(images)
    affine_forward(packed(images), t, y, interpolation=interpolation, mode=mode, fill=fill)

    def gradient(dy: Array) -> Array:
        dx = empty_like(images)
        affine_backward(packed(dy), t, dx, interpolation=interpolation, mode=mode)
        return dx

    return y, (gradient, None)


def _checked(images: Any, transform: Any, interpolation: str, fill_mode: str) -> None:
    if interpolation not in INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
    if fill_mode not in FILL_MODES:
        raise unknown_name("fill_mode", fill_mode, FILL_MODES)
    if len(images.shape) not in (3, 4) or len(transform.shape) not in (1, 2):
        raise ShapeError(
            f"affine_transform: images have rank 3 (one image) or 4 (a batch), transforms rank 1 "
            f"or 2, received images {tuple(images.shape)} and transform {tuple(transform.shape)}. "
            f"Add or remove an axis."
        )


def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Any:
    """The images at other places: y[v, u] = image at column x, row y with

    x = (a0 u + a1 v + a2) / k, y = (b0 u + b1 v + b2) / k, k = c0 u + c1 v + 1,

    for [a0, a1, a2, b0, b1, b2, c0, c1] in `transform`, (N, 8), or (8,) for all images.

    `interpolation`: "bilinear" or "nearest". `fill_mode`: what stands beyond the edges, "constant"
    (`fill_value`), "nearest" (a a | a b c | c c), "wrap" (b c | a b c | a b), "mirror" (c b | a b c
    | b a), "reflect" (b a | a b c | c b). Differentiable with respect to the images. Integers are
    computed as floats and rounded, halves away from 0.

    >>> gpunn.ops.image.affine_transform(images, [1, 0, 2, 0, 1, 0, 0, 0])  # 2 pixels to the left
    """
    x, t = convert_to_tensor(images), convert_to_tensor(transform)
    _checked(x, t, interpolation, fill_mode)
    dtype, single = as_dtype(x.dtype), len(x.shape) == 3
    first = checked_format(data_format) == "channels_first"
    if not is_float(dtype):
        x = cast(x, "float32" if dtype.itemsize < 4 else "float64")
        fill_value = int(fill_value)
    if as_dtype(t.dtype) != np.float64:
        t = cast(t, "float32")
    x = expand_dims(x, 0) if single else x
    x = transpose(x, (0, 2, 3, 1)) if first else x
    t = expand_dims(t, 0) if len(t.shape) == 1 else t
    y = _affine(x, t, interpolation=interpolation, mode=fill_mode, fill=float(fill_value))
    y = transpose(y, (0, 3, 1, 2)) if first else y
    y = squeeze(y, 0) if single else y
    return y if is_float(dtype) else cast(floor(abs_(y) + 0.5) * sign(y), dtype)
