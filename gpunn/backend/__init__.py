"""Where arrays live and kernels run.  Users find Keras' `keras.backend` functions here, too."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

#: Keras' functions: settings of floor 0 and dtypes of the floors above, looked up at first use.
_PUBLIC = (
    "backend", "clear_session", "epsilon", "floatx", "get_uid", "image_data_format",
    "is_float_dtype", "is_int_dtype", "is_keras_tensor", "result_type", "set_epsilon",
    "set_floatx", "set_image_data_format", "standardize_dtype",
)  # fmt: skip

if _TYPE_CHECKING:
    from gpunn.backend_info import *
else:

    def __getattr__(name: str) -> _Any:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'gpunn.backend' has no attribute '{name}'")
        return getattr(_import_module("gpunn.backend_info"), name)
