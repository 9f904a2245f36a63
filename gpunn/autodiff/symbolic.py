"""Symbolic tensors: a shape and a dtype without values, made by the ops' own shape rules."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gpunn.autodiff.dtypes import as_dtype, dtype_name

#: A shape whose unknown lengths (the batch) are None.
SymbolicShape = tuple[Any, ...]


class Spec(NamedTuple):
    """What a shape rule returns for each output."""

    shape: SymbolicShape
    dtype: np.dtype


class SymbolicTensor:
    """A value that is not there yet: what `Input` returns, and what ops on it return.

    `history` is `(op, inputs, options, index)`: how to compute it; None for an input. Keras calls
    it KerasTensor.
    """

    __slots__ = ("__weakref__", "_keras_mask", "_shape", "_spec_dtype", "history", "name")

    def __init__(
        self,
        shape: SymbolicShape,
        dtype: Any = None,
        name: str | None = None,
        history: tuple | None = None,
    ):
        self._shape = tuple(shape)
        self._spec_dtype = as_dtype(dtype)
        self.name = name
        self.history = history
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
        raise TypeError(
            f"{self!r} is symbolic: it has a shape, but no values yet. Use functions of gpunn.ops "
            f"on it, or put the computation into a layer."
        )

    __array__ = __float__ = __int__ = __bool__ = __index__ = numpy = item = _no_values

    def __len__(self) -> int:
        if not self._shape or self._shape[0] is None:
            self._no_values()
        return self._shape[0]

    def __iter__(self) -> Any:
        return self._no_values()

    def __repr__(self) -> str:
        return f"<SymbolicTensor shape={self.shape} dtype={self.dtype} name={self.name}>"
