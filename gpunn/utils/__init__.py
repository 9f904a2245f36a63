"""Utilities, as in `keras.utils`."""

from gpunn.utils.numbers import normalize, to_categorical
from gpunn.utils.seed import set_random_seed
from gpunn.utils.session import clear_session

__all__ = ["clear_session", "normalize", "set_random_seed", "to_categorical"]
