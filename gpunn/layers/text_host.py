"""What layers on strings and tokens share: host data passes as it is, tokens are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from gpunn import ops
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import DTypeError, unknown_name
from gpunn.layers.layer import Layer

ENCODINGS = ("one_hot", "multi_hot", "count")
_OLD_MODES = {"binary": "multi_hot", "tf-idf": "tf_idf"}


class HostLayer(Layer):
    """A layer that takes strings, lists and arrays of the host beside tensors.

    `dtype` is that of its outputs, which may be integers; of a mixed policy, float32.
    """

    def _as_input(self, value: Any, positional: bool = False) -> Any:
        return value

    def encoded(self, tokens: Any, mode: str, depth: int, weights: Any = None) -> Any:
        """Integer tokens as one_hot, multi_hot or counts of `depth` classes, in the dtype."""
        if not tokens.shape:
            tokens = ops.reshape(tokens, (1,))
        if mode == "one_hot":
            if len(tokens.shape) > 1 and tokens.shape[-1] == 1:
                tokens = ops.squeeze(tokens, -1)
            return ops.one_hot(tokens, depth, dtype=self.dtype)
        if mode == "multi_hot":
            return ops.multi_hot(tokens, depth, dtype=self.dtype)
        return ops.token_counts(tokens, depth, weights, dtype=self.dtype)

    def encoded_shape(self, input_shape: Any, mode: str, depth: int) -> tuple:
        """The shape of `encoded`, by its ops."""
        return tuple(self.encoded(SymbolicTensor(tuple(input_shape), "int32"), mode, depth).shape)


def output_mode(layer: str, mode: str, known: tuple[str, ...]) -> str:
    """The mode under its present name."""
    mode = _OLD_MODES.get(mode, mode)
    if mode not in known:
        raise unknown_name(f"output_mode of {layer}", mode, known)
    return mode


def refuse(layer: str, **given: bool) -> None:
    """The kinds of outputs that TensorFlow has and gpunn has not."""
    for name, value in given.items():
        if value:
            raise ValueError(
                f"{layer}: {name}=True is not supported: tensors are dense. Leave it out."
            )


def strings(layer: Layer, value: Any, encoding: str = "utf-8") -> np.ndarray:
    """Strings or bytes, single, in lists or in an array, as an array of str."""
    if isinstance(value, (Tensor, SymbolicTensor)):
        raise DTypeError(
            f"Layer '{layer.name}' ({type(layer).__name__}) takes strings, which live on the host, "
            f"and received a tensor of dtype {as_dtype(value.dtype).name}. Strings cannot be the "
            f"input of a model: vectorize them before fit(), with x = layer(texts)."
        )
    whole = value if isinstance(value, np.ndarray) else np.asarray(value, object)
    if whole.dtype.kind in "UT":
        return whole
    if whole.dtype.kind not in "OS" and whole.size:
        raise DTypeError(
            f"Layer '{layer.name}' ({type(layer).__name__}) takes strings, received an array of "
            f"dtype {whole.dtype}."
        )
    out = np.empty(whole.shape, object)
    flat = [v.decode(encoding) if isinstance(v, bytes) else v for v in whole.ravel().tolist()]
    wrong = [v for v in flat if not isinstance(v, str)]
    if wrong:
        raise DTypeError(
            f"Layer '{layer.name}' ({type(layer).__name__}) takes strings, in rows of one length, "
            f"received {wrong[0]!r} ({type(wrong[0]).__name__}) among them."
        )
    out.reshape(-1)[:] = flat
    return out


def batches_of(layer: Layer, data: Any, steps: int | None = None) -> Iterator[tuple[Any, bool]]:
    """The parts of what `adapt` takes, and whether there is only this one.

    Lists, tuples, arrays and tensors are one part; other iterables give batches, of which `steps`
    count; of the tuples of data sets (x, y), x does.
    """
    if isinstance(data, (str, bytes)) or not isinstance(data, (Iterable, Tensor)):
        raise TypeError(
            f"Layer '{layer.name}': adapt() takes a list, an array or an iterable of batches, "
            f"received {type(data).__name__}."
        )
    if isinstance(data, (list, tuple, np.ndarray, Tensor)):
        if steps is not None:
            raise ValueError(
                f"Layer '{layer.name}': steps counts batches of an iterable; an array is taken "
                f"whole. Leave steps out."
            )
        yield data, True
        return
    for batch in islice(data, steps):
        yield (batch[0] if isinstance(batch, tuple) else batch), False
