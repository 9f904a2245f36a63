"""TextVectorization: texts to rows of integers or of counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpunn import ops
from gpunn.arguments import is_whole
from gpunn.errors import ShapeError, unknown_name
from gpunn.layers.text_host import HostLayer, batches_of, output_mode, refuse, strings
from gpunn.layers.text_lookups import StringLookup
from gpunn.layers.text_splitting import SPLITS, STANDARDS, checked_widths, joined


class TextVectorization(HostLayer):
    """Texts as rows of token indices ("int"), or as "multi_hot", "count" or "tf_idf" rows.

    Each text is standardized (ASCII letters made lower case, ASCII punctuation dropped), split into
    tokens, joined to n-grams, and looked up in the vocabulary: ["", "[UNK]", ...] in mode
    "int", ["[UNK]", ...] else. Input: a str, a list, or an array (batch,) or (batch, 1) of str.

    Output "int": int64 (batch, output_sequence_length, or that of the longest text), 0 where a text
    has ended. Others: (batch, vocabulary size, or max_tokens with `pad_to_max_tokens`) of floats;
    tf_idf: count · log(1 + texts / (1 + texts with the token)), as measured by `adapt`.

    A callable `standardize` takes and gives an array of str; `split` gives a list of tokens for
    each str of an array. Strings live on the host: call the layer on the data before fit().

    >>> layer = gpunn.layers.TextVectorization(output_sequence_length=4)
    >>> layer.adapt(["foo bar", "bar baz", "baz bada boom"])
    >>> layer([["foo qux bar"], ["qux baz"]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: Any = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        refuse("TextVectorization", sparse=sparse, ragged=ragged)
        self.output_mode = _mode(output_mode)
        for kind, value, known in (
            ("standardize", standardize, STANDARDS),
            ("split", split, SPLITS),
        ):
            if value is not None and not callable(value) and value not in known:
                raise unknown_name(f"{kind} of TextVectorization", value, (*known, "None"))
        length = output_sequence_length
        if length is not None and (self.output_mode != "int" or not is_whole(length, 1)):
            raise ValueError(
                f"TextVectorization: output_sequence_length must be a positive integer, and needs "
                f"output_mode='int', received {length!r} and output_mode={self.output_mode!r}."
            )
        self.standardize, self.split, self.encoding = standardize, split, encoding
        self.ngrams = checked_widths(ngrams)
        self.output_sequence_length = length
        self._lookup_layer = StringLookup(
            max_tokens,
            mask_token="",
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            output_mode=self.output_mode,
            pad_to_max_tokens=pad_to_max_tokens,
            encoding=encoding,
            dtype=self.dtype,
        )

    # --- the vocabulary ---

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary: tokens by how often they come, of equal ones the larger first.

        `data`: a list or array of texts, or an iterable of batches of them, of which `steps` count;
        `batch_size` must be None: an array is counted as a whole.
        """
        if batch_size is not None:
            raise ValueError(
                f"TextVectorization '{self.name}': an array is counted as a whole; leave "
                f"batch_size out."
            )
        self.reset_state()
        for part, whole in batches_of(self, data, steps):
            texts = strings(self, part, self.encoding)
            self.update_state(texts[:, None] if whole and texts.ndim == 1 else texts)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Count the tokens of a batch of texts."""
        self._lookup_layer._count(self._documents(data)[0])

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The terms in the order of their indices, without the special tokens if so wished."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """The number of terms, the padding and OOV tokens included."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Replace the vocabulary by a list of terms, or by the lines of a text file."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    # --- texts ---

    def _documents(self, inputs: Any) -> tuple[list[list[str]], bool]:
        """The tokens of each text, and whether there is one text by itself."""
        texts = self._standardized(strings(self, inputs, self.encoding))
        if self.split is None:
            rows = np.atleast_1d(texts)
            single = texts.ndim < 2
            documents = [rows.tolist()] if single else rows.reshape(len(rows), -1).tolist()
        else:
            if texts.ndim > 1 and texts.shape[-1] != 1:
                raise ShapeError(
                    f"TextVectorization '{self.name}': texts to split must be (batch,) or "
                    f"(batch, 1), received {texts.shape}. Use split=None for ready tokens."
                )
            single = texts.ndim == 0
            documents = self._splitted(texts.reshape(-1))
        if self.ngrams is not None:
            documents = [joined(document, self.ngrams) for document in documents]
        return documents, single

    def _standardized(self, texts: np.ndarray) -> np.ndarray:
        if self.standardize is None:
            return texts
        if callable(self.standardize):
            given = np.asarray(texts, str)
            result = strings(self, self.standardize(given), self.encoding)
            if result.shape != texts.shape:
                raise ShapeError(
                    f"TextVectorization '{self.name}': standardize must keep the shape "
                    f"{texts.shape}, it gave {result.shape}."
                )
            return result
        table = STANDARDS[self.standardize]
        result = np.empty(texts.shape, object)
        result.reshape(-1)[:] = [text.translate(table) for text in texts.ravel().tolist()]
        return result

    def _splitted(self, texts: np.ndarray) -> list[list[str]]:
        if not callable(self.split):
            function = SPLITS[self.split]
            return [function(text) for text in texts.tolist()]
        rows = self.split(np.asarray(texts, str))
        if len(rows) != len(texts) or any(isinstance(row, (str, bytes)) for row in rows):
            raise ShapeError(
                f"TextVectorization '{self.name}': split must give a list of tokens for each of "
                f"the {len(texts)} texts, it gave {len(rows)} rows of {type(rows[0]).__name__}."
            )
        return [strings(self, list(row), self.encoding).tolist() for row in rows]

    def call(self, inputs: Any) -> Any:
        documents, single = self._documents(inputs)
        lookup = self._lookup_layer
        lengths = [len(document) for document in documents]
        found = lookup.look_up([token for document in documents for token in document])
        width = self.output_sequence_length or max(lengths, default=0)
        rows = np.full((len(documents), width), 0 if self.output_mode == "int" else -1, np.int64)
        start = 0
        for row, length in zip(rows, lengths, strict=True):
            kept = min(length, width)
            row[:kept] = found[start : start + kept]
            start += length
        return lookup._encode(ops.convert_to_tensor(rows[0] if single else rows))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        batch = tuple(input_shape)[:1]
        if self.output_mode == "int":
            return (*batch, self.output_sequence_length)
        return (*batch, self._lookup_layer.depth)

    def get_config(self) -> dict[str, Any]:
        lookup = self._lookup_layer
        names = (
            "standardize",
            "split",
            "ngrams",
            "output_mode",
            "output_sequence_length",
            "encoding",
        )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "max_tokens": lookup.max_tokens,
            "pad_to_max_tokens": lookup.pad_to_max_tokens,
            "vocabulary": lookup.input_vocabulary,
            "idf_weights": lookup.input_idf_weights,
            "sparse": False,
            "ragged": False,
        }


def _mode(mode: str) -> str:
    return output_mode("TextVectorization", mode, ("int", "multi_hot", "count", "tf_idf"))
