"""Builds fake_cublaslt.cpp and puts its work on the streams of the simulated device."""

import ctypes
import weakref
from functools import cache
from pathlib import Path

from . import device
from .emulator import compiler

HERE = Path(__file__).resolve().parent
_INVALID_VALUE = 7  # CUBLAS_STATUS_INVALID_VALUE
_SCHEDULER = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


def build():
    """Path of the shared library; compiled once for each content of its source."""
    sources = [HERE / "fake_cublaslt.cpp", HERE / "fake_cublaslt.h"]
    key = compiler.digest(*(source.read_text() for source in sources), compiler.COMPILER)
    target = compiler.cache_directory() / f"libcublasLt-{key}.so"
    flags = ["-std=c++17", "-O2", "-fPIC", "-shared", "-w"]
    return compiler.build(target, [compiler.COMPILER, *flags, str(sources[0])])


@cache
def connected():
    """Path of the library, whose multiplications are recorded while a stream is capturing.

    Whoever loads the same path in this process shares this one library.
    """
    path = build()
    library = ctypes.CDLL(str(path))

    @_SCHEDULER
    def schedule(problem, stream):
        work = _Multiplication(library, problem)
        try:
            device.launch("cublasLtMatmul", work, device.stream_at(stream))
        except KeyError:
            return _INVALID_VALUE  # no such stream
        return 0

    library.fakeSetScheduler(schedule)
    _keep.append(schedule)
    return path


_keep = []  # the library calls back into Python for as long as the process lives


class _Multiplication:
    """One cublasLtMatmul with the pointers it was given; as often as it is called."""

    def __init__(self, library, problem):
        self._library, self._problem = library, ctypes.c_void_p(problem)
        weakref.finalize(self, library.fakeFree, self._problem)

    def __call__(self):
        self._library.fakeRun(self._problem)
