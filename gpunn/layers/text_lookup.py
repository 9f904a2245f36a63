"""Lookup of tokens in a vocabulary: what StringLookup and IntegerLookup share."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.errors import DTypeError, unknown_name
from gpunn.layers.text_hash import bucket
from gpunn.layers.text_host import ENCODINGS, output_mode, refuse
from gpunn.layers.text_terms import VocabularyLayer
from gpunn.layers.text_vocabulary import plain_tokens


class IndexLookup(VocabularyLayer):
    """Base of StringLookup and IntegerLookup."""

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode_: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        oov_method: str = "farmhash",
        salt: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        kind = type(self).__name__
        refuse(kind, sparse=sparse)
        mode = output_mode(kind, output_mode_, ("int", *ENCODINGS, "tf_idf"))
        if max_tokens is not None and max_tokens <= 1:
            raise ValueError(f"{kind}: max_tokens must be greater than 1, received {max_tokens}.")
        if pad_to_max_tokens and max_tokens is None:
            raise ValueError(f"{kind}: pad_to_max_tokens=True needs max_tokens. Give a number.")
        if num_oov_indices < 0:
            raise ValueError(f"{kind}: num_oov_indices must be >= 0, received {num_oov_indices}.")
        if invert and mode != "int":
            raise ValueError(f"{kind}: invert=True needs output_mode='int', received {mode!r}.")
        if idf_weights is not None and mode != "tf_idf":
            raise ValueError(f"{kind}: idf_weights need output_mode='tf_idf', received {mode!r}.")
        if oov_method not in ("floormod", "farmhash"):
            raise unknown_name(f"oov_method of {kind}", oov_method, ("floormod", "farmhash"))
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token = mask_token, oov_token
        self.invert, self.output_mode, self.pad_to_max_tokens = invert, mode, pad_to_max_tokens
        self.oov_method, self.salt = oov_method, checked_salt(kind, salt)
        self.input_vocabulary: Any = None
        self.input_idf_weights = None if idf_weights is None else np.asarray(idf_weights).tolist()
        self._has_input_vocabulary = vocabulary is not None
        self.reset_state()
        if vocabulary is not None:
            if not isinstance(vocabulary, str):
                self.input_vocabulary = plain_tokens(vocabulary, self._kind)
            self.set_vocabulary(vocabulary, idf_weights)

    def call(self, inputs: Any) -> Any:
        if self._tokens is None:
            raise self._no_vocabulary()
        if self.invert:
            return self._terms(inputs)
        return self._encode(self._indices(inputs))

    def _terms(self, inputs: Any) -> Any:
        """The terms at some indices, on the host."""
        if isinstance(inputs, SymbolicTensor):
            raise DTypeError(
                f"Layer '{self.name}' gives strings, which live on the host, and cannot be part of "
                f"a model. Call it on the model's results."
            )
        indices = np.asarray(inputs.numpy() if isinstance(inputs, Tensor) else inputs)
        terms = dict(enumerate(self.get_vocabulary()))
        found = [terms.get(i, self.oov_token) for i in indices.ravel().tolist()]
        return np.array(found).reshape(indices.shape)

    def _indices(self, inputs: Any) -> Any:
        array = self._host(inputs)
        return ops.convert_to_tensor(self.look_up(array.ravel().tolist()).reshape(array.shape))

    def look_up(self, tokens: list[Any]) -> np.ndarray:
        """The indices of a list of tokens."""
        if self._tokens is None:
            raise self._no_vocabulary()
        table = self._table
        if self.num_oov_indices == 1:
            oov = self._oov_start
            found = [table.get(token, oov) for token in tokens]
        else:
            found = [table[t] if t in table else self._oov_index(t) for t in tokens]
        return np.array(found, np.int64)

    def _oov_index(self, token: Any) -> int:
        if self.num_oov_indices == 0:
            raise ValueError(
                f"Layer '{self.name}': with num_oov_indices=0 all inputs must be in the "
                f"vocabulary, received {token!r}. Use num_oov_indices=1."
            )
        if self.oov_method == "floormod":
            return self._oov_start + token % self.num_oov_indices
        data = str(token).encode(self.encoding)
        return self._oov_start + bucket(data, self.num_oov_indices, self.salt)

    def _encode(self, indices: Any) -> Any:
        mode = self.output_mode
        if mode == "int":
            return indices
        if mode != "tf_idf":
            return self.encoded(indices, mode, self.depth)
        counts = self.encoded(indices, "count", self.depth)
        return counts * self._constant("idf", indices)

    def _constant(self, name: str, like: Any) -> Any:
        """What the vocabulary gives, as a tensor on the device of another one; made once."""
        backend = (
            devices.current() if isinstance(like, SymbolicTensor) else devices.backend_of(like.data)
        )
        key = name, str(backend.device)
        if key not in self._constants:
            self._constants[key] = Tensor(backend.asarray(self._host_constant(name)))
        return self._constants[key]

    def _host_constant(self, name: str) -> np.ndarray:
        return self._idf.astype(self.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.output_mode == "int":
            return tuple(input_shape)
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        return self.encoded_shape(input_shape, mode, self.depth)

    def get_config(self) -> dict[str, Any]:
        names = ("max_tokens", "num_oov_indices", "mask_token", "oov_token", "invert",
                 "output_mode", "pad_to_max_tokens", "salt")  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        given = {"vocabulary": self.input_vocabulary, "idf_weights": self.input_idf_weights}
        return {**super().get_config(), **own, **given, "sparse": False}


def checked_salt(layer: str, salt: Any) -> tuple[int, int] | None:
    """One or two integers as the key of a hash."""
    if salt is None:
        return None
    pair = (salt, salt) if isinstance(salt, int) else salt
    whole = isinstance(pair, (tuple, list)) and all(isinstance(v, int) for v in pair)
    if not whole or len(pair) != 2:
        raise ValueError(f"{layer}: salt must be one or two integers, received {salt!r}.")
    return pair[0], pair[1]
