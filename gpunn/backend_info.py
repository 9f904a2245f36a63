"""The functions of Keras' `keras.backend`, which `gpunn.backend` hands out.

>>> gpunn.backend.result_type("int32", "float16")
'float16'
"""

from __future__ import annotations

from gpunn.config import (
    backend,
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)
from gpunn.naming import next_number
from gpunn.utils.dtypes import (
    is_float_dtype,
    is_int_dtype,
    is_keras_tensor,
    result_type,
    standardize_dtype,
)
from gpunn.utils.session import clear_session

__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]


def get_uid(prefix: str = "") -> int:
    """1, 2, 3, ...: how often a number was asked for with this prefix (since `clear_session`)."""
    return next_number(prefix)
