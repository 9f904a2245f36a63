"""Kernel: one computation written twice, and the only place that chooses between the two."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np

from gpunn.backend import devices
from gpunn.backend.protocol import Array
from gpunn.backend.thread import local
from gpunn.errors import DeviceError

#: Every kernel by name, in order of definition; the parity suite walks it.
registry: dict[str, Kernel] = {}

#: Example inputs of a kernel: `examples(rng, dtype)` yields `(arrays, options)`.
Examples = Callable[["np.random.Generator", str], Iterable[tuple[tuple, dict]]]

FLOATS = ("float32", "float64", "float16")


class Kernel:
    """A computation that writes into given arrays.

    `reference(xp, *arrays, **options)` is the specification: plain NumPy-like code. It runs on the
    CPU, and on the GPU where there is no `cuda`. `cuda(kernel, arrays, options)`, when set,
    launches the CUDA twin; it may return ``NotImplemented`` for inputs it leaves to the reference.
    `library` names what the reference calls on a GPU that no CUDA graph can hold (cuSOLVER).
    """

    def __init__(
        self,
        reference: Callable[..., None],
        cuda: Callable[..., Any] | None,
        examples: Examples,
        dtypes: tuple[str, ...],
        library: str | None = None,
    ):
        self.name = reference.__name__
        self.reference = reference
        self.cuda = cuda
        self.examples = examples
        self.dtypes = dtypes
        self.library = library
        self.__doc__ = reference.__doc__
        if self.name in registry:
            raise ValueError(f"A kernel named '{self.name}' exists already; rename one of them.")
        registry[self.name] = self

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of the reference's arrays and options."""
        return tuple(inspect.signature(self.reference).parameters)[1:]  # without xp

    def __call__(self, *arrays: Any, **options: Any) -> None:
        if local.recorder is not None:
            local.recorder.note(self, arrays, options)
        gpu_type = devices.opened.gpu_type
        if gpu_type is None or not self._on_gpu(arrays, gpu_type):
            self.reference(np, *arrays, **options)
            return
        if self.cuda is None or self.cuda(self, arrays, options) is NotImplemented:
            self.reference(devices.opened.cupy, *arrays, **options)

    def _on_gpu(self, arrays: tuple[Array, ...], gpu_type: type) -> bool:
        on_gpu = on_cpu = False
        for array in arrays:
            on_gpu = on_gpu or isinstance(array, gpu_type)
            on_cpu = on_cpu or isinstance(array, np.ndarray)
        if on_gpu and on_cpu:
            places = ", ".join(
                f"{devices.backend_of(a).device} {a.shape}" for a in arrays if hasattr(a, "shape")
            )
            raise DeviceError(
                f"{self.name}: its arrays live on different devices ({places}). "
                f"Create or move them all under one gpunn.device(...)."
            )
        return on_gpu

    def __repr__(self) -> str:
        return f"<Kernel {self.name}{'' if self.cuda is None else ' +cuda'}>"


def kernel(
    *,
    examples: Examples,
    cuda: Callable[..., Any] | None = None,
    dtypes: tuple[str, ...] = FLOATS,
    library: str | None = None,
) -> Callable[[Callable[..., None]], Kernel]:
    """Make a reference function a registered `Kernel`.

    >>> @kernel(cuda=elementwise("T x -> T out", "out = relu(x)", include="activations.cuh"),
    ...         examples=unary)
    ... def relu_forward(xp, x, out):
    ...     xp.maximum(x, 0, out=out)
    """

    def decorate(reference: Callable[..., None]) -> Kernel:
        return Kernel(reference, cuda, examples, dtypes, library)

    return decorate
