"""Data sets of series and texts, under the names of `keras.preprocessing`."""

from gpunn.preprocessing import sequence
from gpunn.utils.text_files import text_dataset_from_directory
from gpunn.utils.timeseries import timeseries_dataset_from_array

__all__ = ["sequence", "text_dataset_from_directory", "timeseries_dataset_from_array"]
