"""Layers with a vocabulary, given or learned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gpunn.layers.text_host import HostLayer, batches_of
from gpunn.layers.text_vocabulary import (
    Counts,
    padded_idf,
    plain_tokens,
    read_vocabulary,
    without_specials,
)


class VocabularyLayer(HostLayer):
    """A layer whose indices are [mask (mode "int")], [OOV] · num_oov_indices, terms."""

    _kind: type = str
    max_tokens: int | None
    num_oov_indices: int
    mask_token: Any
    oov_token: Any
    invert: bool
    output_mode: str
    pad_to_max_tokens: bool
    encoding = "utf-8"
    _has_input_vocabulary = False
    _tokens: list[Any] | None = None
    _size: int | None = None

    def _host(self, value: Any) -> np.ndarray:
        """Tokens as an array of the host."""
        raise NotImplementedError

    @property
    def _oov_start(self) -> int:
        return int(self.mask_token is not None and self.output_mode == "int")

    @property
    def _token_start(self) -> int:
        return self._oov_start + self.num_oov_indices

    @property
    def _specials(self) -> list[Any]:
        return [self.mask_token] * self._oov_start + [self.oov_token] * self.num_oov_indices

    @property
    def depth(self) -> int:
        """The length of an encoded output."""
        if self.pad_to_max_tokens and self.max_tokens is not None:
            return self.max_tokens
        if self._tokens is None:
            raise self._no_vocabulary()
        return self.vocabulary_size()

    def vocabulary_size(self) -> int:
        """The number of terms, the mask and OOV tokens included."""
        return self._token_start + len(self._tokens or ())

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The terms in the order of their indices, without the special tokens if so wished."""
        return [*(self._specials if include_special_tokens else ()), *(self._tokens or ())]

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Replace the vocabulary by a list of terms, or by the lines of a text file.

        `idf_weights`, in output_mode "tf_idf" only: one number a term.
        """
        if (idf_weights is not None) != (self.output_mode == "tf_idf"):
            raise ValueError(
                f"Layer '{self.name}': idf_weights belong to output_mode='tf_idf' and must be "
                f"given there, received output_mode={self.output_mode!r} and "
                f"idf_weights={idf_weights!r}."
            )
        if isinstance(vocabulary, str):
            vocabulary = read_vocabulary(self.name, vocabulary, self.encoding)
        terms = plain_tokens(vocabulary, self._kind)
        reserved = [self.mask_token, *([self.oov_token] if self.invert else [])]
        tokens = without_specials(self.name, terms, self._specials, reserved)
        size = self._token_start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(
                f"Layer '{self.name}': the vocabulary has {size} terms with the special tokens, "
                f"but max_tokens is {self.max_tokens}. Raise it, or leave terms out."
            )
        self._set_tokens(tokens)
        if idf_weights is not None:
            self._idf = padded_idf(
                self.name, idf_weights, len(terms), self._token_start, len(tokens), self.depth
            )

    def _set_tokens(self, tokens: list[Any]) -> None:
        size = self._token_start + len(tokens)
        fixed = self.output_mode != "int" and not self.pad_to_max_tokens
        if fixed and self._size is not None and size != self._size:
            raise RuntimeError(
                f"Layer '{self.name}': the size of the vocabulary is that of the output in "
                f"output_mode={self.output_mode!r} and cannot change from {self._size} to {size}. "
                f"Use pad_to_max_tokens=True, or make a new layer."
            )
        self._size, self._tokens = size, tokens
        start = self._token_start
        self._table = {token: start + i for i, token in enumerate(tokens)}
        if self.mask_token is not None:  # -1 leaves no trace in one_hot, multi_hot and counts
            self._table[self.mask_token] = 0 if self.output_mode == "int" else -1
        self._constants: dict[Any, Any] = {}

    def _no_vocabulary(self) -> RuntimeError:
        return RuntimeError(
            f"Layer '{self.name}' ({type(self).__name__}) has no vocabulary yet. Call adapt() with "
            f"data, or give a vocabulary."
        )

    # --- learning it ---

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: tokens by how often they come, of equal ones the larger first.

        `data`: a list, an array, or an iterable of batches, of which `steps` count.
        """
        self.reset_state()
        for part, whole in batches_of(self, data, steps):
            array = self._host(part)
            self.update_state(array[:, None] if whole and array.ndim == 1 else array)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch: each row is a document, an array of one axis is one."""
        self._check_adaptable()
        array = np.atleast_1d(self._host(data))
        rows = (
            array[None]
            if array.ndim == 1
            else array.reshape(len(array), math.prod(array.shape[1:]))
        )
        self._count(rows.tolist())

    def _count(self, documents: Any) -> None:
        self._check_adaptable()
        self._counts.update(documents, self.output_mode == "tf_idf")

    def _check_adaptable(self) -> None:
        if self._has_input_vocabulary:
            raise ValueError(
                f"Layer '{self.name}' was given its vocabulary and cannot adapt(). Leave "
                f"`vocabulary` out."
            )

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        if not self._counts.tokens:
            raise ValueError(f"Layer '{self.name}': adapt() received no tokens.")
        limit = None if self.max_tokens is None else max(self.max_tokens - self._token_start, 0)
        tokens = self._counts.ranked((self.mask_token, self.oov_token), limit)
        self._set_tokens(tokens)
        if self.output_mode == "tf_idf":
            idf, n = self._counts.idf(tokens), len(tokens)
            self._idf = padded_idf(self.name, idf, n, self._token_start, n, self.depth)
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._counts = Counts()
