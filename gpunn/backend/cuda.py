"""Loaders of the CUDA sources in `kernels/`: elementwise expressions and whole kernels.

Sources are found beside the package in a checkout and inside it in a wheel. Local includes are
pasted in, so that CuPy's compile cache, which hashes the source, sees a changed header.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gpunn.backend import devices
from gpunn.backend.protocol import Array

if TYPE_CHECKING:
    from pathlib import Path

    from gpunn.backend.kernel import Kernel

THREADS = 256  # of a block, where nothing speaks for another number
_LOCAL_INCLUDE = re.compile(r'^\s*#\s*include\s+"([\w.]+)".*$', re.M)
_NULL = np.uint64(0)  # CuPy passes None as 0xffffffff (cupy issue 9046)
_CUDA_NAMES = {
    "float16": "__half",
    "bfloat16": "__nv_bfloat16",
    "float32": "float",
    "float64": "double",
    "bool": "bool",
    "int8": "signed char",
    "uint8": "unsigned char",
    "int32": "int",
    "uint32": "unsigned int",
    "int64": "long long",
    "uint64": "unsigned long long",
}


@cache
def source_folder() -> Path:
    """The folder with the CUDA sources."""
    from pathlib import Path

    package = Path(__file__).resolve().parents[1]
    for folder in (package / "kernels", package.parent / "kernels"):
        if (folder / "common.cuh").is_file():
            return folder
    raise FileNotFoundError(f"No CUDA sources in {package / 'kernels'}: reinstall gpunn.")


@cache
def read_source(name: str) -> str:
    """The text of a source with its local includes pasted in, each once."""
    seen: set[str] = set()

    def paste(file: str) -> str:
        if file in seen:
            return ""
        seen.add(file)
        text = (source_folder() / file).read_text(encoding="utf-8")
        return _LOCAL_INCLUDE.sub(lambda match: paste(match[1]), text)

    return paste(name)


def source_for(name: str, expression: str) -> str:
    """The text of a source with what this instance of its templates needs."""
    header = "#include <cuda_bf16.h>\n" if "bfloat16" in expression else ""  # takes its time
    return header + read_source(name)


def cuda_type(dtype: Any) -> str:
    """The CUDA C++ name of a dtype."""
    return _CUDA_NAMES[np.dtype(dtype).name]


def blocks(n: int, threads: int = THREADS) -> int:
    """How many blocks cover `n` elements, capped: kernels loop with a grid stride."""
    return max(1, min(-(-n // threads), 65535))


class elementwise:  # noqa: N801
    """One thread an element, by CuPy's ElementwiseKernel.

    `signature`: ``"T x, T alpha -> T out"``, in CuPy's notation. Its names are those of the
    reference's parameters, arrays and options alike; arrays that are read and written stand on the
    right. `operation`: CUDA C++; `include`: a header in `kernels/`.
    """

    def __init__(self, signature: str, operation: str, include: str | None = None):
        self.inputs, self.outputs = (part.strip() for part in signature.split("->"))
        self.operation = operation
        self.include = include
        parameters = [p.split() for p in f"{self.inputs},{self.outputs}".split(",") if p.strip()]
        self.names = tuple(words[-1] for words in parameters)
        self._compiled: dict[int, Any] = {}

    def build(self, cupy: Any, name: str) -> Any:
        """The CuPy kernel object (compiled by CuPy per combination of dtypes)."""
        if id(cupy) not in self._compiled:
            preamble = read_source(self.include) if self.include else ""
            self._compiled[id(cupy)] = cupy.ElementwiseKernel(
                self.inputs, self.outputs, self.operation, f"gpunn_{name}", preamble=preamble
            )
        return self._compiled[id(cupy)]

    def arguments(self, kernel: Kernel, arrays: tuple, options: dict) -> list:
        """The call's arrays and options in the signature's order."""
        values = dict(zip(kernel.parameters, arrays, strict=False), **options)
        return [values[name] for name in self.names]

    def __call__(self, kernel: Kernel, arrays: tuple, options: dict) -> None:
        compiled = self.build(devices.opened.cupy, kernel.name)
        compiled(*self.arguments(kernel, arrays, options))


#: What a raw kernel's launch function returns: grid, block, arguments, bytes of shared memory.
Launch = tuple[tuple[int, ...], tuple[int, ...], tuple, int]


class raw:  # noqa: N801
    """A `__global__` template of a `.cu` file.

    `launch(*arrays, **options)` gives `(grid, block, arguments, shared_bytes)`, where None among
    the arguments is a null pointer, or
    ``NotImplemented`` for inputs that the reference shall take. `types` picks, from the same
    arguments, the dtypes that fill the template's parameters; by default, the first array's.
    """

    cooperative = False  # whether its blocks wait for each other

    def __init__(
        self,
        file: str,
        function: str,
        launch: Callable[..., Launch],
        types: Callable[..., tuple] = lambda first, *_, **__: (first.dtype,),
    ):
        self.file, self.function = file, function
        self.launch, self.types = launch, types
        self._compiled: dict[tuple[int, str], Any] = {}

    def expression(self, arrays: tuple, options: dict) -> str:
        """The template instance, e.g. ``softmax_forward<float>``."""
        types = ", ".join(
            t if isinstance(t, str) else cuda_type(t) for t in self.types(*arrays, **options)
        )
        return f"{self.function}<{types}>"

    def build(self, cupy: Any, expression: str) -> Any:
        """The compiled kernel."""
        key = (id(cupy), expression)
        if key not in self._compiled:
            module = cupy.RawModule(
                code=source_for(self.file, expression),
                options=("-std=c++17",),
                name_expressions=[expression],
                enable_cooperative_groups=self.cooperative,
            )
            self._compiled[key] = module.get_function(expression)
        return self._compiled[key]

    def __call__(self, kernel: Kernel, arrays: tuple, options: dict) -> Any:
        plan = self.launch(*arrays, **options)
        if plan is NotImplemented:
            return NotImplemented
        grid, block, arguments, shared = plan
        arguments = tuple([_NULL if a is None else a for a in arguments])
        function = self.build(devices.opened.cupy, self.expression(arrays, options))
        function(grid, block, arguments, shared_mem=shared)
        return None


def contiguous(*arrays: Array) -> bool:
    """True if a raw kernel may walk these arrays by their flat index."""
    return all(array.flags.c_contiguous for array in arrays)
