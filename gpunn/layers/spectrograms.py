"""Layers that make spectrograms of signals: STFTSpectrogram, MelSpectrogram."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from gpunn import config, ops
from gpunn.arguments import whole_number
from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype, is_float
from gpunn.autodiff.symbolic import SymbolicShape
from gpunn.autodiff.tensor import Tensor
from gpunn.backend import devices
from gpunn.errors import ShapeError, unknown_name
from gpunn.initializers import STFT
from gpunn.initializers.windows import check_window
from gpunn.layers.input_spec import InputSpec
from gpunn.layers.layer import Layer
from gpunn.ops.windows import data_format as checked_format

_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


def _listed(window: Any) -> Any:
    """A window as a config has it: a name, None or a list of numbers."""
    return window if window is None or isinstance(window, str) else np.asarray(window).tolist()


class STFTSpectrogram(Layer):
    """X[t, f] = Σ_k g_k x[t s + k] e^(-2πi k f / F) of each channel, as `mode` shows it:
    "real", "imag", "angle", "stft" (real, then imaginary parts), "magnitude" |X|, "log" ln |X|, or
    "psd" |X|², doubled but for the first and the last frequency.

    x (N, T, C), or (N, C, T) with channels first, of floats; y (N, T', C · bins), or (N, T', bins,
    C) with `expand_dims`; with channels first (N, C · bins, T'), (N, C, T', bins). Bins: F / 2 + 1
    of F = `fft_length`, the next power of 2 by default. `frame_step` s: half of `frame_length` by
    default. `window`, `periodic`, `scaling`: of `gpunn.initializers.STFT`. The cosines and sines
    are weights: trained unless `trainable=False`.

    >>> gpunn.layers.STFTSpectrogram("log", 256, 128, trainable=False)(audio)
    """

    def __init__(
        self, mode: str = "log", frame_length: int = 256, frame_step: int | None = None,
        fft_length: int | None = None, window: Any = "hann", periodic: bool = False,
        scaling: str | None = "density", padding: str = "valid", expand_dims: bool = False,
        data_format: str | None = None, **kwargs: Any,
    ):  # fmt: skip
        for name, value, known in (("mode", mode, _MODES), ("padding", padding, ("valid", "same"))):
            if value not in known:
                raise unknown_name(f"{name} of STFTSpectrogram", value, known)
        if scaling not in (None, "density", "spectrum"):
            raise unknown_name("scaling of STFTSpectrogram", scaling, ("density", "spectrum"))
        if isinstance(window, str):
            check_window(window)
        super().__init__(**kwargs)
        self.mode, self.window, self.periodic, self.scaling = mode, window, periodic, scaling
        self.padding, self.expand_dims = padding, bool(expand_dims)
        self.frame_length = whole_number("STFTSpectrogram: frame_length", frame_length)
        self.frame_step, self.fft_length = frame_step, fft_length
        self._step, self._bins = self._checked_lengths()
        self.data_format = checked_format(data_format)
        self.input_spec = InputSpec(ndim=3)

    def _checked_lengths(self) -> tuple[int, int]:
        """The step, and how many frequencies there are."""
        length, step, terms = self.frame_length, self.frame_step, self.fft_length
        if step is not None and whole_number("STFTSpectrogram: frame_step", step) > length:
            raise ValueError(
                f"STFTSpectrogram: frame_step must not be greater than frame_length, received "
                f"{step} and {length}."
            )
        if terms is None:
            return step or max(length // 2, 1), (1 << (length - 1).bit_length()) // 2 + 1
        if whole_number("STFTSpectrogram: fft_length", terms) < length:
            raise ValueError(
                f"STFTSpectrogram: fft_length must be at least frame_length, received {terms} and "
                f"{length}."
            )
        if terms & (terms - 1):
            warnings.warn(
                f"STFTSpectrogram: fft_length={terms} is no power of 2, which is recommended.",
                stacklevel=4,
            )
        return step or max(length // 2, 1), terms // 2 + 1

    def build(self, input_shape: SymbolicShape) -> None:
        shape = (self.frame_length, 1, self._bins)
        for side in ("real", "imag"):
            if self.mode not in {"real", "imag"} - {side}:
                start = STFT(side, self.window, self.scaling, self.periodic)
                name = f"{side}_kernel"
                setattr(self, name, self.add_weight(shape, start, name=name))

    def call(self, inputs: Any) -> Any:
        if not is_float(as_dtype(inputs.dtype)):
            raise TypeError(
                f"STFTSpectrogram '{self.name}': the signal must be of floats, received "
                f"{inputs.dtype}. Cast it."
            )
        first = self.data_format == "channels_first"
        x = ops.swapaxes(inputs, 1, 2) if first else inputs
        if x.shape[-1] is None:
            raise ShapeError(
                f"STFTSpectrogram '{self.name}': how many channels there are is unknown, received "
                f"{tuple(inputs.shape)} ({self.data_format})."
            )
        channels = [self._shown(x[..., c : c + 1]) for c in range(x.shape[-1])]
        if self.expand_dims:
            return ops.stack(channels, axis=1 if first else -1)
        y = ops.concatenate(channels, axis=-1)
        return ops.swapaxes(y, 1, 2) if first else y

    def _shown(self, x: Any) -> Any:
        """The spectrogram (N, T', bins) of one channel, (N, T, 1)."""
        if self.mode in ("real", "imag"):
            return self._side(x, self.mode)
        re, im = self._side(x, "real"), self._side(x, "imag")
        if self.mode == "stft":
            return ops.concatenate([re, im], axis=-1)
        if self.mode == "angle":
            return ops.arctan2(im, re)
        power = ops.square(re) + ops.square(im)
        if self.mode == "psd":
            return power + ops.pad(power[..., 1:-1], [(0, 0), (0, 0), (1, 1)])
        size = ops.sqrt(ops.maximum(power, config.epsilon()))
        return size if self.mode == "magnitude" else ops.log(ops.maximum(size, config.epsilon()))

    def _side(self, x: Any, side: str) -> Any:
        """Σ_k w_k x[t s + k], with the weights of a side."""
        kernel = ops.cast(getattr(self, f"{side}_kernel"), x.dtype)
        return ops.conv(x, kernel, self._step, self.padding, "channels_last")

    def get_config(self) -> dict[str, Any]:
        names = ("mode", "frame_length", "frame_step", "fft_length", "periodic", "scaling",
                 "padding", "expand_dims", "data_format")  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "window": _listed(self.window)}


class MelSpectrogram(Layer):
    """y = |STFT(x)|^mag_exp M, signals (..., T) -> (..., num_mel_bins, T'); with `power_to_db`
    10 log₁₀(max(y, min_power) / |ref_power|), and no less than the largest one - `top_db`.

    M: triangles of height 1, on the scale mel(f) = 1127 ln(1 + f / 700), from `min_freq` to
    `max_freq` (half of `sampling_rate` by default). The STFT is `gpunn.ops.stft` of the whole
    frames around each multiple of `sequence_stride`. `window`: "hann", "hamming", `sequence_length`
    numbers, or None.

    >>> gpunn.layers.MelSpectrogram(num_mel_bins=64, sampling_rate=8000, fft_length=512)(audio)
    """

    def __init__(
        self, fft_length: int = 2048, sequence_stride: int = 512,
        sequence_length: int | None = None, window: Any = "hann", sampling_rate: int = 16000,
        num_mel_bins: int = 128, min_freq: float = 20.0, max_freq: float | None = None,
        power_to_db: bool = True, top_db: float = 80.0, mag_exp: float = 2.0,
        min_power: float = 1e-10, ref_power: float = 1.0, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**{"autocast": False, **kwargs})
        self.fft_length = whole_number("MelSpectrogram: fft_length", fft_length)
        self.sequence_stride = whole_number("MelSpectrogram: sequence_stride", sequence_stride)
        self.sequence_length = whole_number(
            "MelSpectrogram: sequence_length", sequence_length or fft_length
        )
        if self.fft_length < self.sequence_length:
            raise ValueError(
                f"MelSpectrogram: fft_length must be at least sequence_length, received "
                f"{fft_length} and {sequence_length}."
            )
        self.window, self.sampling_rate = window, sampling_rate
        self.num_mel_bins = whole_number("MelSpectrogram: num_mel_bins", num_mel_bins)
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        if not 0 <= self.min_freq < self.max_freq:
            raise ValueError(
                f"MelSpectrogram: 0 <= min_freq < max_freq must hold, received {min_freq} and "
                f"{self.max_freq}."
            )
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power
        self._dtype = "float64" if self.compute_dtype == "float64" else "float32"
        named = window is None or isinstance(window, str)
        self._window = window if named else ops.convert_to_tensor(window, self._dtype)

    def call(self, inputs: Any) -> Any:
        lengths = self.sequence_length, self.sequence_stride, self.fft_length
        re, im = ops.stft(ops.cast(inputs, self._dtype), *lengths, self._window, center=True)
        power = ops.square(re) + ops.square(im)
        if self.mag_exp != 2:
            power = ops.power(power, self.mag_exp / 2)
        y = ops.matmul(power, self._to_mel())
        if self.power_to_db:
            y = self._decibels(y)
        return ops.cast(ops.swapaxes(y, -1, -2), self.compute_dtype)

    def _to_mel(self) -> Tensor:
        terms, band = self.fft_length // 2 + 1, (self.min_freq, self.max_freq)
        device = devices.current().device
        return _mel(self.num_mel_bins, terms, self.sampling_rate, *band, self._dtype, device)

    def _decibels(self, y: Any) -> Any:
        reference = 10 * np.log10(max(abs(self.ref_power), self.min_power))
        y = ops.log10(ops.maximum(y, self.min_power)) * 10 - float(reference)
        return ops.maximum(y, ops.max(y) - self.top_db)

    def linear_to_mel_weight_matrix(
        self, num_mel_bins: int = 20, num_spectrogram_bins: int = 129, sampling_rate: float = 8000,
        lower_edge_hertz: float = 125.0, upper_edge_hertz: float = 3800.0, dtype: Any = "float32",
    ) -> Tensor:  # fmt: skip
        """M[f, m] = max(0, min((mel(f) - a) / (b - a), (c - mel(f)) / (c - b))), f of frequencies
        from 0 (where M is 0) to sampling_rate / 2; a, b, c three of num_mel_bins + 2 equal steps
        from mel(lower_edge_hertz) to mel(upper_edge_hertz).
        """
        band = lower_edge_hertz, upper_edge_hertz
        device = devices.current().device
        return _mel(num_mel_bins, num_spectrogram_bins, sampling_rate, *band, dtype, device)

    def get_config(self) -> dict[str, Any]:
        names = ("fft_length", "sequence_stride", "sequence_length", "sampling_rate",
                 "num_mel_bins", "min_freq", "max_freq", "power_to_db", "top_db", "mag_exp",
                 "min_power", "ref_power")  # fmt: skip
        own = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **own, "window": _listed(self.window)}


@lru_cache(maxsize=32)
def _mel(
    bands: int, terms: int, rate: float, low: float, high: float, dtype: Any, device: str
) -> Tensor:
    """M (terms, bands): one array for all steps, so that they may be recorded."""

    def mel(hertz: Any) -> Any:
        return 1127 * np.log1p(np.asarray(hertz, np.float64) / 700)

    f = mel(np.linspace(0, rate / 2, terms))[:, None]
    edges = np.linspace(mel(low), mel(high), bands + 2)
    a, b, c = edges[:-2], edges[1:-1], edges[2:]
    M = np.maximum(0, np.minimum((f - a) / (b - a), (c - f) / (c - b)))
    M[0] = 0
    return Tensor(asarray(M.astype(as_dtype(dtype))))
