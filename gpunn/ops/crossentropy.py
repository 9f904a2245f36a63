"""Cross-entropies as in `keras.ops`: what log-likelihood a prediction gives to its target.

Probabilities are clipped to [ε, 1 - ε] with ε = `gpunn.config.epsilon()`; halves are computed in
float32, where 1 - ε is not 1. Where a target needs a gradient, plain ops take the place of the
fused ones of `gpunn.ops.losses`, which have none for it.
"""

from __future__ import annotations

from typing import Any

from gpunn import config
from gpunn.autodiff.dtypes import as_dtype, is_float, to_float
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError
from gpunn.ops import losses
from gpunn.ops.activations import softplus
from gpunn.ops.arithmetic import add, multiply, subtract
from gpunn.ops.creation import cast, convert_to_tensor
from gpunn.ops.elementwise import clip, log_, negative
from gpunn.ops.reduce import mean
from gpunn.ops.reduce import sum as total
from gpunn.ops.rules import normalize_axis
from gpunn.ops.shaping import moveaxis, squeeze
from gpunn.ops.softmax import log_softmax


def _wide(x: Any, dtype: Any = None) -> Any:
    """x as floats of at least 32 bits; of this dtype, if one is named."""
    wanted = to_float(x.dtype) if dtype is None else as_dtype(dtype)
    return cast(x, "float32" if wanted.itemsize < 4 else wanted)


def _operands(name: str, target: Any, output: Any, axis: int) -> tuple[Any, Any, Any]:
    """The target and the output, wide and with their axis last, and the dtype of the result."""
    t, x = convert_to_tensor(target), convert_to_tensor(output)
    if not x.shape or tuple(t.shape) != tuple(x.shape):
        known = len(t.shape) == len(x.shape) > 0 and all(
            None in pair or pair[0] == pair[1] for pair in zip(t.shape, x.shape, strict=True)
        )
        if not known:
            raise ShapeError(
                f"{name}: target and output need the same shape with at least one axis (target "
                f"{tuple(t.shape)}, output {tuple(x.shape)}). Reshape one of them."
            )
    dtype = to_float(x.dtype)
    x = _wide(x)
    t = _wide(t, x.dtype)
    if normalize_axis(name, axis, len(x.shape)) != len(x.shape) - 1:
        t, x = moveaxis(t, axis, -1), moveaxis(x, axis, -1)
    return t, x, dtype


def _constant(t: Any) -> bool:
    """True of targets that are data; what is symbolic may come from a model."""
    return isinstance(t, Tensor) and not t.tracked


def _log_clipped(p: Any) -> Any:
    return log_(clip(p, config.epsilon(), 1 - config.epsilon()))


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """-t log p - (1 - t) log(1 - p) of each element; of logits x, p = σ(x).

    >>> gpunn.ops.binary_crossentropy([0.0, 1.0], [0.1, 0.9]).numpy()
    array([0.10536055, 0.10536055], dtype=float32)
    """
    t, x, dtype = _operands("binary_crossentropy", target, output, -1)
    return cast(_binary(t, x, from_logits), dtype)


def _binary(t: Any, x: Any, from_logits: bool) -> Any:
    if from_logits:
        return subtract(softplus(x), multiply(x, t))
    p = clip(x, config.epsilon(), 1 - config.epsilon())
    either = add(multiply(t, log_(p)), multiply(subtract(1, t), log_(subtract(1, p))))
    return negative(either)


def mean_binary_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """The mean of `binary_crossentropy` along an axis, in one pass: (..., n) -> (...)."""
    t, x, dtype = _operands("binary_crossentropy", target, output, axis)
    if not _constant(t):
        loss = mean(_binary(t, x, from_logits), axis=-1)
    elif from_logits:
        loss = losses.sigmoid_cross_entropy_loss(x, t)
    else:
        loss = losses.binary_cross_entropy_loss(x, t, epsilon=config.epsilon())
    return cast(loss, dtype)


def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """-Σ t log p along the axis with p = x / Σ x; of logits, p = softmax(x): (..., n) -> (...).

    >>> gpunn.ops.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy()
    array([0.6931472], dtype=float32)
    """
    t, x, dtype = _operands("categorical_crossentropy", target, output, axis)
    if not _constant(t):
        p = None if from_logits else x / total(x, axis=-1, keepdims=True)
        log_p = log_softmax(x) if p is None else _log_clipped(p)
        loss = negative(total(multiply(t, log_p), axis=-1))
    elif from_logits:
        loss = losses.softmax_cross_entropy_loss(x, t)
    else:
        loss = losses.cross_entropy_loss(x, t, epsilon=config.epsilon())
    return cast(loss, dtype)


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """-log p[t] with p = x / Σ x along the axis; of logits, p = softmax(x).

    target `(...)` or `(..., 1)`: integer labels from 0 to classes - 1; others give NaN. output
    `(..., classes)`, or with the classes at `axis`.

    >>> gpunn.ops.sparse_categorical_crossentropy([1], [[0.5, 0.5]]).numpy()
    array([0.6931472], dtype=float32)
    """
    name = "sparse_categorical_crossentropy"
    t, x = convert_to_tensor(target), convert_to_tensor(output)
    dtype = to_float(x.dtype)
    if x.shape and normalize_axis(name, axis, len(x.shape)) != len(x.shape) - 1:
        x = moveaxis(x, axis, -1)
    if len(t.shape) == len(x.shape) and t.shape[-1:] == (1,):
        t = squeeze(t, -1)
    t, x = t if not is_float(t.dtype) else cast(t, "int32"), _wide(x)
    if from_logits:
        loss = losses.sparse_softmax_cross_entropy_loss(x, t)
    else:
        loss = losses.sparse_cross_entropy_loss(x, t, epsilon=config.epsilon())
    return cast(loss, dtype)
