"""Input: where the graph of a model begins."""

from __future__ import annotations

from typing import Any

from gpunn.arguments import is_whole
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import Node, SymbolicShape, SymbolicTensor
from gpunn.errors import unknown_name
from gpunn.layers.layer import Layer


class InputLayer(Layer):
    """The node of an input: `output` is its symbolic tensor. `Input` makes one.

    `shape`: without the batch; or `batch_shape` with it, or `batch_size`; unknown lengths are None.
    `dtype`: that values are cast to. `optional`: None may be given.
    """

    def __init__(
        self,
        shape: SymbolicShape | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: SymbolicShape | None = None,
        input_tensor: SymbolicTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name)
        shape = kwargs.pop("input_shape", shape)  # the old names
        batch_shape = kwargs.pop("batch_input_shape", batch_shape)
        if kwargs:
            known = ("shape", "batch_size", "dtype", "batch_shape", "optional", "name")
            raise unknown_name("argument of InputLayer", next(iter(kwargs)), known)
        if sparse or ragged:
            raise ValueError(
                "Input: sparse and ragged tensors do not exist in gpunn. Give dense ones."
            )
        if input_tensor is not None:
            if shape is not None or batch_shape is not None:
                raise ValueError("Input: give a shape or a tensor, not both.")
            batch_shape, dtype = input_tensor.shape, dtype or input_tensor.dtype
        self.batch_shape = _full_shape(shape, batch_size, batch_shape)
        self.dtype = as_dtype(dtype).name
        self.optional = bool(optional)
        self.built = True
        node = Node(self, (), {})
        SymbolicTensor(self.batch_shape, self.dtype, self.name, node)
        self._nodes.append(node)

    def call(self) -> Any:
        raise TypeError(f"The input layer '{self.name}' is not called: its output is its tensor.")

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": self.batch_shape,
            "dtype": self.dtype,
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }


def Input(  # noqa: N802  (Keras' name)
    shape: SymbolicShape | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: SymbolicShape | None = None,
    name: str | None = None,
    tensor: SymbolicTensor | None = None,
    optional: bool = False,
) -> SymbolicTensor:
    """The symbolic input of a model; see `InputLayer` for the arguments.

    >>> x = gpunn.Input((64,))
    >>> model = gpunn.Model(x, gpunn.layers.Dense(10)(x))
    """
    layer = InputLayer(
        shape, batch_size, dtype, sparse, ragged, batch_shape, tensor, optional, name
    )
    return layer.output


def _full_shape(shape: Any, batch_size: Any, batch_shape: Any) -> SymbolicShape:
    if (shape is None) == (batch_shape is None):
        raise ValueError(
            f"Input needs either shape or batch_shape, received shape={shape}, "
            f"batch_shape={batch_shape}."
        )
    if batch_shape is not None and batch_size is not None:
        raise ValueError("Input: batch_shape has the batch size in it. Leave out batch_size.")
    if isinstance(shape, int):
        raise ValueError(f"Input: shape must be a tuple, received {shape}. Write ({shape},).")
    lengths = (batch_size, *(shape or batch_shape or ()))
    if not all(n is None or is_whole(n, 0) for n in lengths):
        raise ValueError(
            f"Input: lengths must be integers of at least 0, or None where they are not known, "
            f"received {shape if batch_shape is None else batch_shape!r}"
            f"{'' if batch_size is None else f' and batch_size={batch_size!r}'}."
        )
    return (batch_size, *shape) if shape is not None else tuple(batch_shape)
