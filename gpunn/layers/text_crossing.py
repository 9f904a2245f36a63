"""HashedCrossing: features together as the number of a bin."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import ops
from gpunn.arguments import is_whole
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.layers.text_hash import crossed
from gpunn.layers.text_host import HostLayer, output_mode, refuse, strings


class HashedCrossing(HostLayer):
    """hash(feature_1, feature_2, ...) mod num_bins, the bins of Keras and TensorFlow.

    Each feature holds strings or integers, all of one shape: (), (batch,) or (batch, 1). Output
    int64 in mode "int"; "one_hot" gives (..., num_bins) of floats. It works on the host, before
    fit(); inside a model it raises an error.

    >>> gpunn.layers.HashedCrossing(num_bins=5)((["A", "B"], [101, 101])).numpy()
    array([1, 4])
    """

    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ):
        mode = _checked_mode(output_mode)
        dtype = "int64" if dtype is None and mode == "int" else dtype
        super().__init__(name=name, dtype=dtype, **kwargs)
        refuse("HashedCrossing", sparse=sparse)
        if not is_whole(num_bins, 1):
            raise ValueError(f"HashedCrossing: num_bins must be at least 1, received {num_bins!r}.")
        self.num_bins, self.output_mode, self.sparse = int(num_bins), mode, False

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ValueError(
                f"HashedCrossing '{self.name}' takes a list or tuple of at least two features, "
                f"received {inputs!r}."
            )
        features = [self._feature(x) for x in inputs]
        shapes = {x.shape for x in features}
        shape = features[0].shape
        if len(shapes) > 1 or len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
            raise ShapeError(
                f"HashedCrossing '{self.name}': all features must have one shape, (), (batch,) or "
                f"(batch, 1); received {[x.shape for x in features]}."
            )
        rows = zip(*(x.ravel().tolist() for x in features), strict=True)
        found = np.array([crossed(row) % self.num_bins for row in rows], np.int64).reshape(shape)
        if self.output_mode == "int":
            return ops.convert_to_tensor(found.astype(self.dtype))
        return self.encoded(ops.convert_to_tensor(found), self.output_mode, self.num_bins)

    def _feature(self, x: Any) -> np.ndarray:
        if isinstance(x, SymbolicTensor):
            raise ValueError(
                f"Layer '{self.name}' (HashedCrossing) works on the host and cannot be part of a "
                f"model. Call it on the data before fit()."
            )
        whole = x.numpy() if isinstance(x, Tensor) else np.asarray(x)
        if whole.dtype.kind == "f":
            raise ValueError(
                f"HashedCrossing '{self.name}': features hold strings or integers, received "
                f"{whole.dtype}. Cast it, or discretize it first."
            )
        return whole if whole.dtype.kind in "iub" else strings(self, x)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        first = tuple(input_shape[0])
        if self.output_mode == "int":
            return first
        return self.encoded_shape(first, self.output_mode, self.num_bins)

    def get_config(self) -> dict[str, Any]:
        names = ("num_bins", "output_mode", "sparse")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _checked_mode(mode: str) -> str:
    return output_mode("HashedCrossing", mode, ("int", "one_hot"))
