"""The simulated `cupy.linalg` and `cupy.fft`: NumPy's functions of these names.

Real CuPy's call cuSOLVER and cuFFT. The first refuses to be captured; the second may be captured
but for the making of its plans, which is refused here always.
"""

import numpy as np

from . import device
from .functions import Function

_NAMES = {
    "linalg": "cholesky det eigh eigvalsh inv lstsq matrix_rank norm pinv qr slogdet solve svd",
    "fft": "fft fft2 fftn ifft ifft2 ifftn irfft irfft2 irfftn rfft rfft2 rfftn",
}


class _LibraryFunction(Function):
    """A function that cannot be captured."""

    def __call__(self, *args, **kwargs):
        device.refuse_capture(f"calling the library of {self.name}()", NotImplementedError)
        return super().__call__(*args, **kwargs)


class Library:
    """A namespace of functions, such as `cupy.linalg`."""

    def __init__(self, name):
        module = getattr(np, name)
        for function in _NAMES[name].split():
            setattr(self, function, _LibraryFunction(function, getattr(module, function)))


linalg, fft = Library("linalg"), Library("fft")
