"""GEMM through cublasLt by ctypes: out = max(0, a b + bias), fused, on the current stream.

CuPy refuses its own cuBLAS calls while a stream is captured; this library takes the stream and the
workspace explicitly. Without it the kernel's reference (CuPy's matmul) computes the same.
Constants are those of NVIDIA's cublasLt.h and library_types.h.
"""

from __future__ import annotations

import ctypes as c
import glob
import os
import sys
import sysconfig
from typing import TYPE_CHECKING, Any

from gpunn import config
from gpunn.backend import devices
from gpunn.backend.protocol import Array
from gpunn.errors import GpunnError

if TYPE_CHECKING:
    from gpunn.backend.kernel import Kernel

_DATA_TYPE = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14}  # cudaDataType
_COMPUTE_32F, _COMPUTE_64F, _COMPUTE_32F_FAST_TF32 = 68, 70, 77  # cublasComputeType_t
_EPILOGUE = {(False, False): 1, (False, True): 2, (True, False): 4, (True, True): 6}  # bias, relu
_TRANSPOSE_A, _TRANSPOSE_B, _EPILOGUE_MODE, _BIAS_POINTER = 3, 4, 7, 8  # of a matmul descriptor
_BATCH_COUNT, _BATCH_STRIDE = 5, 6  # of a matrix layout
_MAX_WORKSPACE = 1  # of a preference
_MIN_ALIGNMENT = (5, 6, 7, 8)  # of a preference: of a, b, c and d, in bytes; 256 if not set
WORKSPACE = 32 << 20  # bytes


class _Algorithm(c.Structure):
    _fields_ = (("data", c.c_uint64 * 8),)


class _Heuristic(c.Structure):
    _fields_ = (
        ("algorithm", _Algorithm),
        ("workspace", c.c_size_t),
        ("state", c.c_int),
        ("waves", c.c_float),
        ("reserved", c.c_int * 4),
    )


def _library_candidates() -> list[str]:
    """Where the pip packages, the system and CUDA's installer put the library."""
    folder = sysconfig.get_paths()["purelib"]
    if sys.platform == "win32":
        patterns = [
            os.path.join(folder, "nvidia", "*", "bin", "**", "cublasLt64_*.dll"),
            os.path.join(os.environ.get("CUDA_PATH", ""), "bin", "**", "cublasLt64_*.dll"),
        ]
        return [path for p in patterns for path in glob.glob(p, recursive=True)]
    found = glob.glob(os.path.join(folder, "nvidia", "*", "lib", "libcublasLt.so.*"))
    return [*found, "libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"]


def _compute(dtype: str) -> int:
    """How products of this dtype are summed; "high" precision lets float32 factors be rounded."""
    if dtype == "float64":
        return _COMPUTE_64F
    fast = dtype == "float32" and config.matmul_precision() == "high"
    return _COMPUTE_32F_FAST_TF32 if fast else _COMPUTE_32F


def _open_library() -> c.CDLL | None:
    for path in _library_candidates():
        try:
            return c.CDLL(path)
        except OSError:
            continue
    return None


class _Plan:
    """Descriptors and algorithm of one GEMM: everything but the pointers."""

    def __init__(self, owner: CublasLt, key: tuple):
        (
            dtype, result, compute, m, n, k, batch, transpose_a, transpose_b, bias, relu,
            self.alignment,
        ) = key  # fmt: skip
        self.lib = owner.lib
        self.scalar = c.c_double if dtype == "float64" else c.c_float
        self.one, self.zero = self.scalar(1), self.scalar(0)
        self.descriptor = c.c_void_p()
        scale_type = _DATA_TYPE["float64" if dtype == "float64" else "float32"]
        owner.check(
            self.lib.cublasLtMatmulDescCreate(c.byref(self.descriptor), compute, scale_type),
            "MatmulDescCreate",
        )
        self._set(owner, _EPILOGUE_MODE, c.c_int32(_EPILOGUE[bias, relu]))
        # A row-major out = a b is the column-major outᵀ = bᵀ aᵀ: the operands change places.
        self._set(owner, _TRANSPOSE_A, c.c_int32(int(transpose_b)))
        self._set(owner, _TRANSPOSE_B, c.c_int32(int(transpose_a)))
        code = _DATA_TYPE[dtype]
        self.first = self._layout(owner, code, *((k, n) if transpose_b else (n, k)), batch)
        self.second = self._layout(owner, code, *((m, k) if transpose_a else (k, m)), batch)
        self.result = self._layout(owner, _DATA_TYPE[result], n, m, batch)
        self.algorithm: _Algorithm | None = None

    def _set(self, owner: CublasLt, attribute: int, value: Any) -> None:
        owner.check(
            self.lib.cublasLtMatmulDescSetAttribute(
                self.descriptor, attribute, c.byref(value), c.sizeof(value)
            ),
            f"MatmulDescSetAttribute {attribute}",
        )

    def _layout(
        self, owner: CublasLt, code: int, rows: int, columns: int, batch: int
    ) -> c.c_void_p:
        layout = c.c_void_p()
        owner.check(
            self.lib.cublasLtMatrixLayoutCreate(
                c.byref(layout), code, c.c_uint64(rows), c.c_uint64(columns), c.c_int64(rows)
            ),
            "MatrixLayoutCreate",
        )
        if batch > 1:
            for attribute, value in (
                (_BATCH_COUNT, c.c_int32(batch)),
                (_BATCH_STRIDE, c.c_int64(rows * columns)),
            ):
                owner.check(
                    self.lib.cublasLtMatrixLayoutSetAttribute(
                        layout, attribute, c.byref(value), c.sizeof(value)
                    ),
                    "MatrixLayoutSetAttribute",
                )
        return layout

    def choose(self, owner: CublasLt) -> _Algorithm:
        """Ask the library for its best algorithm."""
        preference, count, found = c.c_void_p(), c.c_int(), _Heuristic()
        owner.check(
            self.lib.cublasLtMatmulPreferenceCreate(c.byref(preference)), "MatmulPreferenceCreate"
        )
        settings: list[tuple[int, Any]] = [(_MAX_WORKSPACE, c.c_uint64(WORKSPACE))]
        settings += [(attribute, c.c_uint32(self.alignment)) for attribute in _MIN_ALIGNMENT]
        for attribute, value in settings:
            owner.check(
                self.lib.cublasLtMatmulPreferenceSetAttribute(
                    preference, attribute, c.byref(value), c.sizeof(value)
                ),
                f"MatmulPreferenceSetAttribute {attribute}",
            )
        status = self.lib.cublasLtMatmulAlgoGetHeuristic(
            owner.handle, self.descriptor, self.first, self.second, self.result, self.result,
            preference, 1, c.byref(found), c.byref(count),
        )  # fmt: skip
        self.lib.cublasLtMatmulPreferenceDestroy(preference)
        owner.check(status or (0 if count.value else 15), "MatmulAlgoGetHeuristic")
        self.algorithm = found.algorithm
        return found.algorithm

    def run(
        self, owner: CublasLt, a: int, b: int, bias: int | None, out: int, stream: int, add: bool
    ) -> None:
        """Launch with these device pointers; `add`: to what `out` holds.

        The workspace comes from the pool of the moment: a graph's own while it is captured, and
        never one that another stream works in.
        """
        workspace = owner.cupy.cuda.alloc(WORKSPACE)
        if bias is not None:
            self._set(owner, _BIAS_POINTER, c.c_void_p(bias))
        algorithm = self.algorithm or self.choose(owner)
        status = self.lib.cublasLtMatmul(
            owner.handle, self.descriptor, c.byref(self.one),
            c.c_void_p(b), self.first, c.c_void_p(a), self.second,
            c.byref(self.one if add else self.zero),
            c.c_void_p(out), self.result, c.c_void_p(out), self.result,
            c.byref(algorithm), c.c_void_p(workspace.ptr), c.c_size_t(WORKSPACE),
            c.c_void_p(stream),
        )  # fmt: skip
        owner.check(status, "Matmul")


class CublasLt:
    """A handle on one device, and the plans made so far."""

    def __init__(self, lib: c.CDLL, cupy: Any):
        self.lib, self.cupy = lib, cupy
        self.handle = c.c_void_p()
        self.check(lib.cublasLtCreate(c.byref(self.handle)), "Create")
        self.plans: dict[tuple, _Plan] = {}

    @staticmethod
    def check(status: int, call: str) -> None:
        """Raise on an error status."""
        if status:
            raise GpunnError(f"cublasLt{call} failed with status {status}.")

    def gemm(
        self, a: Array, b: Array, bias: Array | None, out: Array, ta: bool, tb: bool, relu: bool,
        add: bool,
    ) -> None:  # fmt: skip
        """out = max(0, a b + bias) of C-contiguous 2-D or batched 3-D arrays; `add`: to `out`."""
        m, n = out.shape[-2:]
        k = a.shape[-2] if ta else a.shape[-1]
        batch = out.shape[0] if out.ndim == 3 else 1
        pointers = [x.data.ptr for x in (a, b, bias, out) if x is not None]
        alignment = min(256, *(pointer & -pointer for pointer in pointers))
        types = a.dtype.name, out.dtype.name, _compute(a.dtype.name)
        key = (*types, m, n, k, batch, ta, tb, bias is not None, relu, alignment)
        plan = self.plans.get(key)
        if plan is None:
            plan = self.plans[key] = _Plan(self, key)
        stream = self.cupy.cuda.get_current_stream().ptr
        bias_pointer = None if bias is None else bias.data.ptr
        plan.run(self, a.data.ptr, b.data.ptr, bias_pointer, out.data.ptr, stream, add)


class _State:
    def __init__(self) -> None:
        self.library: c.CDLL | None = None
        self.searched = False
        self.handles: dict[tuple[int, int], CublasLt] = {}


_state = _State()


def use_library(library: c.CDLL | None) -> None:
    """Take this library from now on; None: none, so that CuPy's matmul computes."""
    _state.library, _state.searched = library, True
    _state.handles = {}


def library() -> c.CDLL | None:
    """The cublasLt library, or None when it is not installed."""
    if not _state.searched:
        use_library(_open_library())
    return _state.library


def _is_wider(out: Array, a: Array) -> bool:
    return out.dtype.name == "float32" and a.dtype.itemsize == 2


def gemm(kernel: Kernel, arrays: tuple, options: dict) -> Any:
    """The CUDA side of the kernel `gemm`.

    It can do more than the kernel says: the option `accumulate` adds to `out`, and halves may be
    summed in a float32 `out`.
    """
    a, b, bias, out = arrays
    lib = library()
    operands = [x for x in arrays if x is not None]
    if (
        lib is None
        or out.size == 0
        or a.size == 0
        or out.ndim not in (2, 3)
        or not a.ndim == b.ndim == out.ndim
        or any(x.dtype != a.dtype for x in operands[:-1])
        or not (out.dtype == a.dtype or (_is_wider(out, a) and bias is None))
        or not all(x.flags.c_contiguous for x in operands)
        or a.dtype.name not in _DATA_TYPE
    ):
        return NotImplemented
    cupy = devices.opened.cupy
    key = (id(cupy), out.device.id)
    if key not in _state.handles:
        _state.handles[key] = CublasLt(lib, cupy)
    _state.handles[key].gemm(
        a, b, bias, out,
        options.get("transpose_a", False), options.get("transpose_b", False),
        options.get("relu", False), options.get("accumulate", False),
    )  # fmt: skip
    return None
