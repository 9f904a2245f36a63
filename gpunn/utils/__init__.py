"""Utilities, as in `keras.utils`."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from gpunn.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from gpunn.objects import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from gpunn.utils.batches import Batches
from gpunn.utils.dtypes import is_keras_tensor, standardize_dtype
from gpunn.utils.numbers import normalize, to_categorical
from gpunn.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from gpunn.utils.seed import set_random_seed
from gpunn.utils.sequences import pad_sequences
from gpunn.utils.session import clear_session
from gpunn.utils.source_inputs import get_source_inputs
from gpunn.utils.timeseries import timeseries_dataset_from_array

if _TYPE_CHECKING:
    from gpunn.saving import deserialize_keras_object, serialize_keras_object
    from gpunn.utils.audio_files import audio_dataset_from_directory
    from gpunn.utils.downloads import get_file
    from gpunn.utils.drawing import model_to_dot, plot_model
    from gpunn.utils.image_files import image_dataset_from_directory
    from gpunn.utils.images import array_to_img, img_to_array, load_img, save_img
    from gpunn.utils.named_values import Config
    from gpunn.utils.progbar import Progbar
    from gpunn.utils.py_dataset import PyDataset, Sequence
    from gpunn.utils.splitting import split_dataset
    from gpunn.utils.text_files import text_dataset_from_directory

#: Imported at first use, so that `import gpunn` is quick: the name and where it is.
_LATER = {
    "PyDataset": "gpunn.utils.py_dataset", "Sequence": "gpunn.utils.py_dataset",
    "Progbar": "gpunn.utils.progbar", "array_to_img": "gpunn.utils.images",
    "img_to_array": "gpunn.utils.images", "load_img": "gpunn.utils.images",
    "save_img": "gpunn.utils.images", "get_file": "gpunn.utils.downloads",
    "audio_dataset_from_directory": "gpunn.utils.audio_files",
    "image_dataset_from_directory": "gpunn.utils.image_files",
    "Config": "gpunn.utils.named_values",
    "model_to_dot": "gpunn.utils.drawing", "plot_model": "gpunn.utils.drawing",
    "text_dataset_from_directory": "gpunn.utils.text_files",
    "split_dataset": "gpunn.utils.splitting",
    "serialize_keras_object": "gpunn.saving", "deserialize_keras_object": "gpunn.saving",
}  # fmt: skip

__all__ = [
    "Batches",
    "Config",
    "CustomObjectScope",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        raise AttributeError(f"module 'gpunn.utils' has no attribute '{name}'")
    value = getattr(_import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
