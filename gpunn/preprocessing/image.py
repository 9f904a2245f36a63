"""Single images, under the names of `keras.preprocessing.image`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn import config, ops
from gpunn.utils.images import array_to_img, img_to_array, load_img, save_img


def smart_resize(
    x: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
) -> Any:
    """The largest part in the middle with the aspect ratio of `size`, in that size, as floats.

    x: (H, W, C) or (N, H, W, C); an array gives an array.

    >>> gpunn.preprocessing.image.smart_resize(image, (224, 224))
    """
    images = ops.convert_to_tensor(x)
    if "float" not in str(images.dtype):
        images = ops.cast(images, config.floatx())
    y = ops.image.resize(
        images, size, interpolation, crop_to_aspect_ratio=True, data_format=data_format
    )
    return y.numpy() if isinstance(x, np.ndarray) else y


__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]
