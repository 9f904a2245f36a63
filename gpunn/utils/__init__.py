"""Utilities, as in `keras.utils`."""

from gpunn.utils.batches import Batches
from gpunn.utils.numbers import normalize, to_categorical
from gpunn.utils.seed import set_random_seed
from gpunn.utils.sequences import pad_sequences
from gpunn.utils.session import clear_session
from gpunn.utils.text_files import text_dataset_from_directory
from gpunn.utils.timeseries import timeseries_dataset_from_array

__all__ = [
    "Batches",
    "clear_session",
    "normalize",
    "pad_sequences",
    "set_random_seed",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
]
