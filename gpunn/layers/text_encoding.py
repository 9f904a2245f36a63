"""Layers on numbers and strings that need no vocabulary: CategoryEncoding and Hashing."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.layers.text_hash import bucket
from gpunn.layers.text_host import ENCODINGS, HostLayer, output_mode, refuse, strings
from gpunn.layers.text_lookup import checked_salt


class CategoryEncoding(HostLayer):
    """Integers from 0 to num_tokens - 1 as "one_hot", "multi_hot" or "count" rows.

    one_hot: (..., 1) or (...) -> (..., num_tokens). multi_hot and count: a sample's integers
    together, (batch, n) -> (batch, num_tokens); in mode "count", `count_weights` of the shape of
    the inputs weigh them. Integers out of range raise an error in arrays of the host; in tensors,
    also inside models, they leave zeros.

    >>> gpunn.layers.CategoryEncoding(num_tokens=4)([[0, 1], [0, 0], [1, 2], [3, 1]])
    """

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        refuse("CategoryEncoding", sparse=sparse)
        if num_tokens is None or num_tokens < 1:
            raise ValueError(
                f"CategoryEncoding: num_tokens must be at least 1, received {num_tokens!r}. If it "
                f"is unknown, use IntegerLookup, which learns it."
            )
        self.num_tokens = num_tokens
        self.output_mode = _checked_mode("CategoryEncoding", output_mode)
        self.sparse = False

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        if count_weights is not None:
            if self.output_mode != "count":
                raise ValueError(
                    f"CategoryEncoding '{self.name}': count_weights need output_mode='count', "
                    f"which is {self.output_mode!r}."
                )
            count_weights = ops.cast(ops.convert_to_tensor(count_weights), self.dtype)
        if not isinstance(inputs, (Tensor, SymbolicTensor)):
            inputs = np.asarray(inputs)
            if inputs.size and not 0 <= inputs.min() <= inputs.max() < self.num_tokens:
                raise ValueError(
                    f"CategoryEncoding '{self.name}': inputs must lie in [0, {self.num_tokens}), "
                    f"received {inputs.min()} to {inputs.max()}. Raise num_tokens, or use "
                    f"IntegerLookup."
                )
        x = ops.convert_to_tensor(inputs)
        if as_dtype(x.dtype).kind not in "iu":
            x = ops.cast(x, "int32")
        return self.encoded(x, self.output_mode, self.num_tokens, count_weights)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        return self.encoded_shape(input_shape, self.output_mode, self.num_tokens)

    def get_config(self) -> dict[str, Any]:
        own = {"num_tokens": self.num_tokens, "output_mode": self.output_mode, "sparse": False}
        return {**super().get_config(), **own}


def _checked_mode(layer: str, mode: str, *more: str) -> str:
    return output_mode(layer, mode, (*ENCODINGS, *more))


class Hashing(HostLayer):
    """Strings or integers as the number of a bin: hash mod num_bins, the same everywhere.

    The hash of a string (of an integer's digits) is FarmHash's Fingerprint64, with a `salt` of one
    or two integers SipHash-2-4: the bins are Keras'. With a `mask_value`, bin 0 holds it alone.
    Output int64 in mode "int"; "one_hot", "multi_hot" and "count" give (..., num_bins) of floats.
    It works on the host, before fit(); inside a model it raises an error.

    >>> gpunn.layers.Hashing(num_bins=3)([["A"], ["B"], ["C"]])
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        **kwargs: Any,
    ):
        mode = _checked_mode("Hashing", output_mode, "int")
        dtype = "int64" if dtype is None and mode == "int" else dtype
        super().__init__(dtype=dtype, **kwargs)
        refuse("Hashing", sparse=sparse)
        if num_bins is None or num_bins <= 0:
            raise ValueError(f"Hashing: num_bins must be at least 1, received {num_bins!r}.")
        if mode == "int" and self.dtype not in ("int32", "int64"):
            raise ValueError(
                f"Hashing: in output_mode='int' the dtype is 'int32' or 'int64', received "
                f"{self.dtype!r}."
            )
        self.num_bins, self.mask_value, self.output_mode = num_bins, mask_value, mode
        self.salt = checked_salt("Hashing", salt)
        self.sparse = False

    def call(self, inputs: Any) -> Any:
        if isinstance(inputs, SymbolicTensor):
            raise ValueError(
                f"Layer '{self.name}' (Hashing) works on the host and cannot be part of a model. "
                f"Call it on the data before fit()."
            )
        whole = inputs.numpy() if isinstance(inputs, Tensor) else np.asarray(inputs)
        if whole.dtype.kind not in "iufb":
            whole = strings(self, inputs)
        elif whole.dtype.kind == "f":
            whole = whole.astype(np.int64)
        flat = whole.ravel().tolist()
        bins = {value: self._bin(value) for value in set(flat)}
        found = np.array([bins[value] for value in flat], np.int64).reshape(whole.shape)
        if self.output_mode == "int":
            return ops.convert_to_tensor(found.astype(self.dtype))
        return self.encoded(ops.convert_to_tensor(found), self.output_mode, self.num_bins)

    def _bin(self, value: Any) -> int:
        masked = self.mask_value is not None and self.num_bins > 1
        if masked and value == self.mask_value:
            return 0
        return masked + bucket(str(value).encode(), self.num_bins - masked, self.salt)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        if self.output_mode == "int":
            return tuple(input_shape)
        return self.encoded_shape(input_shape, self.output_mode, self.num_bins)

    def get_config(self) -> dict[str, Any]:
        names = ("num_bins", "mask_value", "salt", "output_mode", "sparse")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
