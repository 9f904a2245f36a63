"""Data sets of files and series, and images, under the names of `keras.preprocessing`."""

from gpunn.preprocessing import image, sequence
from gpunn.utils.image_files import image_dataset_from_directory
from gpunn.utils.text_files import text_dataset_from_directory
from gpunn.utils.timeseries import timeseries_dataset_from_array

__all__ = ["image", "image_dataset_from_directory", "sequence", "text_dataset_from_directory",
           "timeseries_dataset_from_array"]  # fmt: skip
