"""Colours of images: red, green, blue, and hue, saturation, value.

    v = max(r, g, b), c = v - min(r, g, b), s = c / v,
    h = (g - b)/6c (mod 1) where v = r, (b - r)/6c + 1/3 where v = g, (r - g)/6c + 2/3 where v = b

and back, u_k = v - v s max(0, min(k, 4 - k, 1)) with k = (m + 6h) mod 6, m = 5, 3, 1 for r, g, b.
Smith 1978, Color gamut transform pairs.
"""

from __future__ import annotations

from typing import Any

from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.errors import DTypeError, ShapeError
from gpunn.ops.arithmetic import divide, maximum, minimum, mod
from gpunn.ops.compare import equal, where
from gpunn.ops.creation import convert_to_tensor
from gpunn.ops.shaping import concatenate
from gpunn.ops.splitting import split
from gpunn.ops.windows import data_format as checked_format


def _channels(name: str, images: Any, data_format: str | None) -> tuple[list, int]:
    """The three channels, each with its axis of length 1, and that axis."""
    x = convert_to_tensor(images)
    last = checked_format(data_format) == "channels_last"
    axis = -1 if last else -3
    if len(x.shape) not in (3, 4) or x.shape[axis] != 3:
        raise ShapeError(
            f"{name}: images have rank 3 (one image) or 4 (a batch), and 3 channels; received "
            f"shape {tuple(x.shape)}. Check data_format."
        )
    if not is_float(x.dtype):
        raise DTypeError(
            f"{name}: images must be floats from 0 to 1, received {as_dtype(x.dtype).name}. "
            f"Cast them, and divide by 255."
        )
    return split(x, 3, axis=axis), axis


def rgb_to_hsv(images: Any, data_format: str | None = None) -> Any:
    """Hue, saturation and value of red, green and blue, all from 0 to 1. Grey has hue 0.

    >>> gpunn.ops.image.rgb_to_hsv([[[0.0, 1.0, 0.0]]]).numpy()
    array([[[0.33333334, 1.        , 1.        ]]], dtype=float32)
    """
    (r, g, b), axis = _channels("rgb_to_hsv", images, data_format)
    v = maximum(maximum(r, g), b)
    c = v - minimum(minimum(r, g), b)
    grey = equal(c, 0)
    six_c = where(grey, 1.0, c * 6)
    h = where(
        equal(v, r),
        mod((g - b) / six_c, 1.0),
        where(equal(v, g), (b - r) / six_c + 1 / 3, (r - g) / six_c + 2 / 3),
    )
    h = where(grey, 0.0, h)
    s = where(equal(v, 0), 0.0, divide(c, where(equal(v, 0), 1.0, v)))
    return concatenate([h, s, v], axis=axis)


def hsv_to_rgb(images: Any, data_format: str | None = None) -> Any:
    """Red, green and blue of hue, saturation and value, all from 0 to 1.

    >>> gpunn.ops.image.hsv_to_rgb([[[1 / 3, 1.0, 1.0]]]).numpy()
    array([[[0., 1., 0.]]], dtype=float32)
    """
    (h, s, v), axis = _channels("hsv_to_rgb", images, data_format)
    darker = v * s

    def part(m: float) -> Any:
        k = mod(h * 6 + m, 6.0)
        return v - darker * maximum(minimum(minimum(k, 4 - k), 1.0), 0.0)

    return concatenate([part(5.0), part(3.0), part(1.0)], axis=axis)
