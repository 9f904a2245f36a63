"""STFT: convolution kernels that take the short-time Fourier transform of a signal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpunn.autodiff.conversion import asarray
from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError, unknown_name
from gpunn.initializers.base import Initializer, known_shape
from gpunn.initializers.windows import check_window, window

_SIDES = ("real", "imag")
_SCALINGS = ("density", "spectrum")


class STFT(Initializer):
    """w[t, ·, k] = g_t cos(-2πtk/F) / s, or with sin: the real or imaginary side (`side`).

    For kernels of shape (T, C, F/2 + 1): T samples of a frame, C input channels (all alike), and
    the lower half of F frequencies. `window` g: a name (as in `scipy.signal.get_window`), T numbers
    or None; `periodic` is for named ones. `scaling` s: ``"density"`` √Σg², ``"spectrum"`` Σ|g|,
    None 1; without a window there is no scaling.

    >>> gpunn.initializers.STFT("real", "hann")(shape=(128, 1, 65))
    """

    def __init__(
        self,
        side: str = "real",
        window: str | Sequence[float] | np.ndarray | None = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ):
        if side not in _SIDES:
            raise unknown_name("side", side, _SIDES)
        if scaling is not None and scaling not in _SCALINGS:
            raise unknown_name("scaling", scaling, _SCALINGS)
        if isinstance(window, str):
            check_window(window)
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Tensor:
        shape = known_shape(self, shape)
        if len(shape) != 3 or shape[2] < 2:
            raise ShapeError(
                f"STFT: the weight must be of shape (frame length, channels, F/2 + 1), the last at "
                f"least 2 (shape {shape})."
            )
        T, _, bins = shape
        F = 2 * (bins - 1)
        turns = np.multiply.outer(np.arange(T), np.arange(bins)) % F / F
        wave = np.cos(-2 * np.pi * turns) if self.side == "real" else np.sin(-2 * np.pi * turns)
        wave *= self._scaled_window(T)[:, None]
        return Tensor(asarray(np.broadcast_to(wave[:, None], shape).astype(as_dtype(dtype))))

    def _scaled_window(self, T: int) -> np.ndarray:
        """g / s"""
        if self.window is None:
            return np.ones(T)
        if isinstance(self.window, str):
            g = window(self.window, T, self.periodic)
        else:
            g = np.asarray(self.window, np.float64)
        if g.shape != (T,):
            raise ShapeError(
                f"STFT: the window must have one value a sample of the frame (window {g.shape}, "
                f"frame length {T}). Give {T} values."
            )
        if self.scaling is None:
            return g
        return g / (np.sqrt(np.sum(g * g)) if self.scaling == "density" else np.sum(np.abs(g)))

    def get_config(self) -> dict[str, Any]:
        named = self.window is None or isinstance(self.window, str)
        return {
            "side": self.side,
            "window": self.window if named else np.asarray(self.window).tolist(),
            "scaling": self.scaling,
            "periodic": self.periodic,
        }
