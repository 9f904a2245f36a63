"""StringLookup and IntegerLookup: tokens to indices, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import DTypeError
from gpunn.layers.text_host import strings
from gpunn.layers.text_lookup import IndexLookup
from gpunn.ops.encoding import entries_of


class StringLookup(IndexLookup):
    """Strings as indices of a vocabulary; with `invert`, indices as strings (a NumPy array).

    Index 0 is the mask token's, where there is one; then come `num_oov_indices` for strings that
    are not in the vocabulary (several: by their FarmHash, with a salt their SipHash, as in Keras),
    then the vocabulary. Output int64 in mode "int", else (..., vocabulary_size()) of floats.

    >>> layer = gpunn.layers.StringLookup(vocabulary=["a", "b", "c"])
    >>> layer([["a", "c"], ["d", "b"]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ):
        self.encoding = encoding
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert,
            output_mode, sparse, pad_to_max_tokens, salt=salt, name=name, **kwargs,
        )  # fmt: skip

    def _host(self, value: Any) -> np.ndarray:
        return strings(self, value, self.encoding)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "encoding": self.encoding}


class IntegerLookup(IndexLookup):
    """Integers as indices of a vocabulary; with `invert`, indices as the integers.

    Index 0 is the mask token's, where there is one; then come `num_oov_indices` for integers that
    are not in the vocabulary (several: x mod their number, or by hash with oov_method "farmhash"),
    then the vocabulary. Output int64 in mode "int", else (..., vocabulary_size()) of floats.

    On tensors, also inside models, the device looks up; but to hash, or to refuse unknown integers
    (num_oov_indices=0), the host does, and no model can.

    >>> layer = gpunn.layers.IntegerLookup(vocabulary=[12, 36, 1138, 42])
    >>> layer([[12, 1138, 42], [42, 1000, 36]])
    """

    _kind = int

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        if vocabulary_dtype != "int64":
            raise ValueError(
                f"IntegerLookup: vocabulary_dtype must be 'int64', received {vocabulary_dtype!r}."
            )
        if salt is not None and oov_method != "farmhash":
            raise ValueError(
                f"IntegerLookup: salt needs oov_method='farmhash', received {oov_method!r}."
            )
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert,
            output_mode, sparse, pad_to_max_tokens, oov_method, salt, name=name, **kwargs,
        )  # fmt: skip

    @property
    def _host_only(self) -> bool:
        hashes = self.oov_method == "farmhash" and self.num_oov_indices > 1
        return not self.invert and (hashes or self.num_oov_indices == 0)

    def _host(self, value: Any) -> np.ndarray:
        if isinstance(value, SymbolicTensor):
            raise ValueError(
                f"Layer '{self.name}' cannot be part of a model with num_oov_indices="
                f"{self.num_oov_indices} and oov_method={self.oov_method!r}, which need the host. "
                f"Use num_oov_indices=1, or call the layer on the data before fit()."
            )
        array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
        fractions = array.dtype.kind == "f" and not np.array_equal(array, np.rint(array))
        if array.dtype.kind not in "iufb" or fractions:
            raise DTypeError(
                f"Layer '{self.name}' (IntegerLookup) takes integers, received "
                f"{'fractions' if fractions else f'an array of dtype {array.dtype}'}."
            )
        return array.astype(np.int64)

    def _indices(self, inputs: Any) -> Any:
        if not isinstance(inputs, (Tensor, SymbolicTensor)) or self._host_only:
            return super()._indices(inputs)
        x = ops.cast(inputs, "int64")
        keys = self._constant("keys", x)
        place = ops.minimum(ops.searchsorted(keys, x), keys.shape[0] - 1)
        known = ops.equal(entries_of(keys, place), x)
        oov = ops.mod(x, self.num_oov_indices) + self._oov_start
        found = ops.where(known, entries_of(self._constant("indices", x), place), oov)
        if self.mask_token is None:
            return found
        masked = ops.equal(x, self.mask_token)
        return ops.where(masked, 0 if self.output_mode == "int" else -1, found)

    def _terms(self, inputs: Any) -> Any:
        if not isinstance(inputs, (Tensor, SymbolicTensor)):
            inputs = ops.convert_to_tensor(self._host(inputs))
        x = ops.cast(inputs, "int64")
        size = self.vocabulary_size()
        terms = entries_of(self._constant("terms", x), ops.clip(x, 0, size - 1))
        inside = ops.logical_and(ops.greater_equal(x, 0), ops.less(x, size))
        return ops.where(inside, terms, self.oov_token)

    def _host_constant(self, name: str) -> np.ndarray:
        tokens = np.array(self._tokens, np.int64)
        if name == "keys":
            return np.sort(tokens)
        if name == "indices":
            return np.argsort(tokens) + self._token_start
        if name == "terms":
            return np.array(self.get_vocabulary(), np.int64)
        return super()._host_constant(name)

    def get_config(self) -> dict[str, Any]:
        own = {"vocabulary_dtype": "int64", "oov_method": self.oov_method}
        return {**super().get_config(), **own}
