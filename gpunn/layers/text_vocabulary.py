"""Vocabularies: checked, read from files, learned by counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError


class Counts:
    """How often tokens come, and in how many documents."""

    def __init__(self) -> None:
        self.tokens: Counter = Counter()
        self.documents: Counter = Counter()
        self.number = 0

    def update(self, documents: Iterable[Sequence[Any]], by_document: bool) -> None:
        """Count the tokens of some documents."""
        for document in documents:
            self.tokens.update(document)
            if by_document:
                self.documents.update(set(document))
                self.number += 1

    def ranked(self, without: Iterable[Any], limit: int | None) -> list[Any]:
        """The most frequent tokens first, of equal ones the larger."""
        left = {token: n for token, n in self.tokens.items() if token not in set(without)}
        order = sorted(left.items(), key=lambda item: (item[1], item[0]), reverse=True)
        return [token for token, _ in order[:limit]]

    def idf(self, tokens: Sequence[Any]) -> np.ndarray:
        """log(1 + documents / (1 + documents with the token))"""
        seen = np.array([self.documents[token] for token in tokens], np.float64)
        return np.log(1 + self.number / (1 + seen))


def read_vocabulary(name: str, path: str, encoding: str) -> list[str]:
    """The lines of a text file."""
    from pathlib import Path

    file = Path(path)
    if not file.is_file():
        raise ValueError(f"Layer '{name}': the vocabulary file {path} does not exist.")
    try:
        lines = file.read_bytes().decode(encoding).replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Layer '{name}': the vocabulary file {path} is not {encoding} text (byte "
            f"{error.start}: {error.reason})."
        ) from None
    while lines and lines[-1] == "":
        lines.pop()
    return lines


def plain_tokens(vocabulary: Any, kind: type) -> list[Any]:
    """A vocabulary of any container as a list of str or int."""
    if isinstance(vocabulary, Tensor):
        vocabulary = vocabulary.numpy()
    if isinstance(vocabulary, np.ndarray):
        vocabulary = vocabulary.tolist()
    return [
        v.decode() if isinstance(v, bytes) else v if kind is str and v is None else kind(v)
        for v in vocabulary
    ]


def without_specials(
    name: str, vocabulary: list[Any], specials: list[Any], reserved: list[Any]
) -> list[Any]:
    """The terms of a vocabulary, which may start with all of the special tokens, or none."""
    if not vocabulary:
        raise ValueError(f"Layer '{name}': the vocabulary is empty. Give at least one term.")
    found = vocabulary[: len(specials)] == specials
    tokens = vocabulary[len(specials) :] if found else vocabulary
    repeated = [token for token, n in Counter(tokens).items() if n > 1]
    if repeated:
        raise ValueError(
            f"Layer '{name}': the vocabulary has repeated terms: {repeated[:10]}. Name each once."
        )
    for token in reserved:
        if token is not None and token in tokens:
            raise ValueError(
                f"Layer '{name}': the reserved token {token!r} stands at position "
                f"{vocabulary.index(token, len(vocabulary) - len(tokens))} of the vocabulary. "
                f"Leave all special tokens out, or begin with exactly {specials}."
            )
    return tokens


def padded_idf(
    name: str, weights: Any, given: int, specials: int, tokens: int, depth: int
) -> np.ndarray:
    """Weights for all `depth` outputs: the mean for special tokens without one, 0 for padding."""
    weights = np.asarray(weights.numpy() if isinstance(weights, Tensor) else weights, np.float64)
    if weights.shape != (given,):
        raise ShapeError(
            f"Layer '{name}': idf_weights must hold one number a term of the vocabulary, {given}, "
            f"received shape {weights.shape}."
        )
    front = 0 if given > tokens else specials
    mean = weights.mean() if given else 0.0
    back = depth - front - given
    return np.concatenate([np.full(front, mean), weights, np.zeros(back)])
