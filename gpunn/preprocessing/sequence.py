"""Sequences, under the names of `keras.preprocessing.sequence`."""

from gpunn.utils.sequences import pad_sequences

__all__ = ["pad_sequences"]
