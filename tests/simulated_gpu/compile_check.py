"""Compiles CUDA sources for real GPUs with NVRTC: no GPU, no driver, no nvcc.

Needs CuPy and NVIDIA's compiler, all of which pip installs: `cupy-cuda13x`,
`nvidia-cuda-nvrtc` and `nvidia-cuda-runtime` (the headers cuda_fp16.h and cuda_bf16.h).

Of CuPy's private names it uses, as of CuPy 14: `cupy.cuda.compiler._NVRTCProgram` (the public
way asks for the current device), `cupy._core.core.assemble_cupy_compiler_options` and
`_cupy_header_list`, and from `cupy._core._kernel` `_ArgInfo`, `_TypeMap` and
`_get_elementwise_kernel_code`. available() says so when one is missing.
"""

from functools import cache

import numpy as np

ARCHITECTURES = ("75", "80", "90", "100")  # Turing, Ampere, Hopper, Blackwell
_PROBE = '#include <cuda_fp16.h>\n#include <cuda_bf16.h>\nextern "C" __global__ void k() {}'
_ARRAY, _INDEXER, _SCALAR = 1, 2, 3  # _ArgInfo's kinds of arguments


class CompileError(AssertionError):
    """What NVRTC had to say."""


@cache
def _quickly():
    """The option by which NVRTC, from 12.8 on, skips slow optimizations: an eighth of the time.

    It reads, checks and assembles everything all the same.
    """
    try:
        _compile(_PROBE, ARCHITECTURES[0], ("-Ofc=max",))
    except CompileError:
        return ()
    return ("-Ofc=max",)


@cache
def available():
    """(whether kernels can be compiled here, why not)"""
    try:
        import cupy  # noqa: F401
    except ImportError as error:
        return False, f"CuPy is not installed: {error}"
    try:
        compile_source(_PROBE, ARCHITECTURES[0])
    except Exception as error:  # whatever a missing library or a changed CuPy raises
        return False, f"NVRTC does not work here: {type(error).__name__}: {str(error)[:300]}"
    return True, ""


def compile_source(source, architecture, options=(), name_expressions=()):
    """The machine code of `source` for sm_<architecture>, with the options CuPy adds."""
    return _compile(source, architecture, (*options, *_quickly()), name_expressions)


def _compile(source, architecture, options, name_expressions=()):
    from cupy._core.core import assemble_cupy_compiler_options
    from cupy.cuda import compiler

    full = (
        *assemble_cupy_compiler_options(tuple(options)),
        "-ftz=true",
        f"-arch=sm_{architecture}",
        "--device-as-default-execution-space",
    )
    program = compiler._NVRTCProgram(
        source, "kernel.cu", (), (), name_expressions=tuple(name_expressions), method="cubin"
    )
    try:
        code, _ = program.compile(full, None)
    except compiler.CompileException as error:
        raise CompileError(f"sm_{architecture}: {error}") from None
    return code


def compile_everywhere(source, options=(), name_expressions=()):
    """{architecture: machine code} for all ARCHITECTURES."""
    return {
        architecture: compile_source(source, architecture, options, name_expressions)
        for architecture in ARCHITECTURES
    }


def elementwise_source(kernel, dtypes, ndim=1, contiguous=True):
    """What CuPy would compile for `cupy.ElementwiseKernel` called with these arguments.

    `dtypes`: one per parameter, for an array of `ndim` dimensions; a Python scalar type (`float`,
    `int`) stands for a Python scalar, which takes the type of its parameter.
    """
    from cupy._core import _carray, _kernel, core

    parameters = (*kernel.in_params, *kernel.out_params)  # kernel.params also has the indexer
    types = {
        parameter.ctype: np.dtype(dtype)
        for parameter, dtype in zip(parameters, dtypes, strict=True)
        if parameter.dtype is None and dtype not in (float, int)
    }
    infos = [
        _argument(parameter, dtype, types, ndim, contiguous)
        for parameter, dtype in zip(parameters, dtypes, strict=True)
    ]
    infos.append(_kernel._ArgInfo(_INDEXER, _carray.Indexer, None, ndim, True, True))
    code = _kernel._get_elementwise_kernel_code(
        tuple(infos),
        _kernel._TypeMap(tuple((name, _type_key(dtype)) for name, dtype in types.items())),
        kernel.params,
        kernel.operation,
        kernel.name,
        kernel.preamble,
        **{key: value for key, value in kernel.kwargs.items() if key != "options"},
    )
    return "".join(f"#include <{header}>\n" for header in core._cupy_header_list) + code


def _argument(parameter, dtype, types, ndim, contiguous):
    import cupy
    from cupy._core import _kernel, _scalar

    if dtype in (float, int):
        dtype = types[parameter.ctype] if parameter.dtype is None else parameter.dtype
        return _kernel._ArgInfo(_SCALAR, _scalar.CScalar, np.dtype(dtype), 0, True, True)
    return _kernel._ArgInfo(_ARRAY, cupy.ndarray, np.dtype(dtype), ndim, contiguous, True)


def _type_key(dtype):
    """NumPy's own types go by their class, ml_dtypes' bfloat16 by its dtype."""
    return dtype if dtype.kind == "V" else dtype.type
