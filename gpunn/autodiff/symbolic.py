"""Symbolic tensors: a shape and a dtype without values, made by the ops' own shape rules."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np

from gpunn.autodiff.dtypes import as_dtype, dtype_name
from gpunn.errors import SymbolicError
from gpunn.structure import leaves

#: A shape whose unknown lengths (the batch) are None.
SymbolicShape = tuple[Any, ...]


class Spec(NamedTuple):
    """What a shape rule returns for each output."""

    shape: SymbolicShape
    dtype: np.dtype


class Node:
    """One call in a graph of symbolic tensors: `call(*args, **kwargs)` gives `outputs`.

    `call`: an op or a layer. `args`, `kwargs`: what it was called with, symbolic tensors anywhere
    inside. `outputs`: its symbolic tensors in order, however they are nested.
    """

    __slots__ = ("args", "call", "kwargs", "outputs")

    def __init__(self, call: Any, args: tuple, kwargs: dict[str, Any]):
        self.call, self.args, self.kwargs = call, args, kwargs
        self.outputs: list[SymbolicTensor] = []

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic tensors that the call takes, in order."""
        return [v for v in leaves((self.args, self.kwargs)) if isinstance(v, SymbolicTensor)]


class _Tracing(threading.local):
    """`on` while a user's function runs for its shapes only: nothing is drawn or assigned then."""

    on = False


tracing = _Tracing()


class SymbolicTensor:
    """A value that is not there yet: what `Input` returns, and what ops and layers make of it.

    `node` is the call that computes it, None where that is not known. Keras calls it KerasTensor.
    """

    __slots__ = ("__weakref__", "_keras_mask", "_shape", "_spec_dtype", "name", "node")

    def __init__(
        self,
        shape: SymbolicShape,
        dtype: Any = None,
        name: str | None = None,
        node: Node | None = None,
    ):
        self._shape = tuple(shape)
        self._spec_dtype = as_dtype(dtype)
        self.name = name
        self.node = node
        if node is not None:
            node.outputs.append(self)
        self._keras_mask: Any = None

    @property
    def shape(self) -> SymbolicShape:
        """The lengths of the axes, None where unknown."""
        return self._shape

    @property
    def dtype(self) -> str:
        """The name of the element type."""
        return dtype_name(self._spec_dtype)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._shape)

    def _no_values(self, *_: Any, **__: Any) -> Any:
        raise SymbolicError(
            f"{self!r} is symbolic: it has a shape, but no values yet. Use functions of gpunn.ops "
            f"on it, or put the computation into a layer."
        )

    __array__ = __float__ = __int__ = __bool__ = __index__ = __iter__ = numpy = item = _no_values

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.shape, np.ndim):
            return function._implementation(*args, **kwargs)
        return self._no_values()

    def __len__(self) -> int:
        if not self._shape or self._shape[0] is None:
            self._no_values()
        return self._shape[0]

    def __repr__(self) -> str:
        return f"<SymbolicTensor shape={self.shape} dtype={self.dtype} name={self.name}>"
