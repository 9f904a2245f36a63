"""The BLAS library that NumPy itself computes with: `axpby`, and the number of its threads.

y = a x + b y takes NumPy three passes over memory. Its own matrix products come from OpenBLAS, MKL
or Accelerate, and all of these have an `axpby` that NumPy does not show; where it is not found,
three passes it is. OpenBLAS and MKL also say how many threads they take; others count as one.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import cache
from glob import glob
from typing import Any

import numpy as np

from gpunn.backend.protocol import Array

LEAST = 1 << 13  # elements: below this the foreign call costs more than it saves

_NAMES = (  # `{}` is s or d; the type of lengths and strides
    ("scipy_cblas_{}axpby64_", ctypes.c_int64),  # the OpenBLAS in NumPy's wheels
    ("cblas_{}axpby64_", ctypes.c_int64),
    ("cblas_{}axpby", ctypes.c_int),  # MKL, and OpenBLAS of a distribution
    ("catlas_{}axpby", ctypes.c_int),  # Accelerate
)
_THREADS = (  # names of the functions that ask for and set the number of threads
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
)
_ADDRESS = ctypes.c_char * 1  # its `from_buffer` is twice as fast as `array.ctypes.data`
_LETTERS = {"f": ("s", ctypes.c_float), "d": ("d", ctypes.c_double)}


def axpby(xp: Any, a: Any, x: Array, b: float, y: Array, t: Array) -> None:
    """y = a x + b y for contiguous x, y and a temporary t, which may be x; `a`: number or (1,)"""
    call = _found(x.dtype.char) if xp is np and x.size >= LEAST else None
    if call is None:
        xp.multiply(x, a, out=t)
        if b != 1:
            y *= b
        y += t
    else:
        factor = a.item() if isinstance(a, np.ndarray) else a
        call(x.size, factor, _ADDRESS.from_buffer(x), 1, b, _ADDRESS.from_buffer(y), 1)


@cache
def _found(char: str) -> Callable[..., None] | None:
    """The library's function for this dtype, None if there is none."""
    if char not in _LETTERS:
        return None
    letter, number = _LETTERS[char]
    for library in _libraries():
        for name, integer in _NAMES:
            function = getattr(library, name.format(letter), None)
            if function is not None:
                array = ctypes.c_void_p, integer
                function.argtypes = [integer, number, *array, number, *array]
                function.restype = None
                return function
    return None


def threads() -> int:
    """How many threads a matrix product takes now."""
    functions = _thread_functions()
    return 1 if functions is None else functions[0]()


def set_threads(n: int) -> None:
    """Let matrix products take so many threads; nothing where the library is not known."""
    functions = _thread_functions()
    if functions is not None:
        functions[1](n)


@cache
def _thread_functions() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    for library in _libraries():
        for names in _THREADS:
            ask, set_ = (getattr(library, name, None) for name in names)
            if ask is not None and set_ is not None:
                ask.argtypes, ask.restype = [], ctypes.c_int
                set_.argtypes, set_.restype = [ctypes.c_int], None
                return ask, set_
    return None


@cache
def _libraries() -> list[ctypes.CDLL]:
    """What NumPy's linear algebra is linked to, and what lies beside NumPy in its wheel."""
    beside = os.path.join(os.path.dirname(os.path.dirname(np.__file__)), "numpy.libs")
    places = [np.linalg._umath_linalg.__file__]
    places += sorted(glob(os.path.join(beside, "*openblas*")))
    found = []
    for place in places:
        try:
            found.append(ctypes.CDLL(place))
        except OSError:
            continue
    return found
