"""Short-time Fourier transforms: the spectra of windows over a signal, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, is_float, to_float
from gpunn.autodiff.op import op
from gpunn.autodiff.symbolic import Spec, SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.protocol import Array
from gpunn.errors import ShapeError, unknown_name
from gpunn.ops.compare import greater, where
from gpunn.ops.composite import in_single, is_symbolic, later
from gpunn.ops.creation import cast, convert_to_tensor, ones
from gpunn.ops.elementwise import square
from gpunn.ops.fourier import irfft, rfft
from gpunn.ops.framing import extract_sequences, frame, overlap_add
from gpunn.ops.padding import pad
from gpunn.ops.shaping import broadcast_to

#: The second coefficient of a + (1 - a) cos: of hann a = 0.5, of hamming 0.54.
_COSINES = {"hann": 0.5, "hamming": 0.54}


@lru_cache(maxsize=32)
def _cosine(name: str, length: int, dtype: np.dtype, device: str) -> Tensor:
    """a - (1 - a) cos(2πi / length): one array for all steps, so that they may be recorded."""
    a = _COSINES[name]
    values = a - (1 - a) * np.cos(2 * np.pi * np.arange(length) / length)
    return Tensor(asarray(values.astype(dtype)))


def _window(name: str, window: Any, length: int, fft_length: int, dtype: Any) -> Any:
    """The window of `length` numbers in the middle of `fft_length`; None where all are 1."""
    if window is None:
        return None
    if isinstance(window, str):
        if window not in _COSINES:
            raise unknown_name(f"window of {name}", window, _COSINES)
        window = _cosine(window, length, as_dtype(dtype), devices.current().device)
    else:
        window = cast(window, dtype)
        if tuple(window.shape) != (length,):
            raise ShapeError(
                f"{name}: the window must have sequence_length={length} elements, received shape "
                f"{tuple(window.shape)}."
            )
    before = (fft_length - length) // 2
    return pad(window, [(before, fft_length - length - before)])


def _check(name: str, length: int, stride: int, fft_length: int) -> None:
    if length < 1 or stride < 1 or fft_length < length:
        raise ValueError(
            f"{name}: sequence_length and sequence_stride must be at least 1, and fft_length at "
            f"least sequence_length; received {length}, {stride} and {fft_length}."
        )


@in_single
def stft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int,
    window: Any = "hann", center: bool = True,
) -> tuple[Any, Any]:  # fmt: skip
    """(re, im) of the spectra of windows over x: (..., N) -> (..., count, fft_length / 2 + 1).

    Window t begins at t · sequence_stride, or with `center`, where x is mirrored at its ends, has
    its middle there. `window`: "hann" or "hamming" (periodic), a tensor of sequence_length
    factors, put in the middle of fft_length ones, or None for no factors at all.

    >>> re, im = gpunn.ops.stft(audio, 256, 128, 256)
    """
    _check("stft", sequence_length, sequence_stride, fft_length)
    if not is_float(x.dtype):
        x = cast(x, to_float(x.dtype))
    factors = _window("stft", window, sequence_length, fft_length, x.dtype)
    if center:
        half = fft_length // 2
        x = pad(x, [*[(0, 0)] * (len(x.shape) - 1), (half, half)], mode="reflect")
    frames = extract_sequences(x, fft_length, sequence_stride)
    return rfft(frames if factors is None else frames * factors, fft_length)


def _sum_rule(frames: Any, stride: int) -> Spec:
    count, length = frames.shape[-2:]
    n = None if count is None else (count - 1) * stride + length
    return Spec((*frames.shape[:-2], n), as_dtype(frames.dtype))


@op(shape=_sum_rule)
def _overlap_add(frames: Array, stride: int) -> Any:
    """y[..., k] = Σ frames[..., i, j] over i · stride + j = k"""
    y = empty(_sum_rule(frames, stride).shape, frames.dtype, frames)
    overlap_add(frames, y, stride=stride)

    def gradient(dy: Array) -> Array:
        dx = empty_like(frames)
        frame(dy, dx, stride=stride)
        return dx

    return y, (gradient,)


def istft(
    x: tuple[Any, Any], sequence_length: int, sequence_stride: int, fft_length: int,
    length: int | None = None, window: Any = "hann", center: bool = True,
) -> Any:  # fmt: skip
    """The signal whose `stft` with the same arguments is x = (re, im), (..., count, terms).

    y = Σ w · irfft(x) / Σ w² over the windows that reach an element. `length`: at most so many
    elements; without it, and with `center`, as many as all windows but for half of the outer ones.

    >>> gpunn.ops.istft(gpunn.ops.stft(audio, 256, 128, 256), 256, 128, 256)
    """
    _check("istft", sequence_length, sequence_stride, fft_length)
    if not isinstance(x, (tuple, list)) or len(x) != 2 or len(np.shape(x[0])) < 2:
        raise ValueError(
            "istft: x must be a tuple of two tensors (..., count, terms), the real and the "
            "imaginary part."
        )
    x = convert_to_tensor(x[0]), convert_to_tensor(x[1])
    count, half = x[0].shape[-2], fft_length // 2 if center else 0
    full = None if count is None else (count - 1) * sequence_stride + fft_length
    end = None if full is None else full - half
    if length is not None:
        end = half + length if full is None else min(half + length, full)
    if is_symbolic(x):
        options = {"length": length, "window": window, "center": center}
        args = (x, sequence_length, sequence_stride, fft_length)
        shape = (*x[0].shape[:-2], None if end is None else end - half)
        return later(istft, args, options, SymbolicTensor(shape, x[0].dtype))
    frames = irfft(x, fft_length)
    factors = _window("istft", window, sequence_length, fft_length, frames.dtype)
    if factors is None:
        factors = ones((fft_length,), frames.dtype)
    total = _overlap_add(frames * factors, stride=sequence_stride)
    weights = broadcast_to(square(factors), frames.shape[-2:])
    weight = _overlap_add(weights, stride=sequence_stride)
    reached = greater(weight, float(np.finfo(as_dtype(frames.dtype)).tiny))
    return (total / where(reached, weight, 1.0))[..., half:end]
