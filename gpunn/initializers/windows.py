"""Window functions by the names of `scipy.signal.get_window`, without SciPy.

A window has N values on the N positions t = -1, ..., 1; a periodic one leaves out the last of
N + 1.  Source: Harris, On the use of windows for harmonic analysis with the discrete Fourier
transform (Proc. IEEE 66, 1978).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpunn.errors import unknown_name

Array = np.ndarray


def _cosines(*a: float) -> Callable[[Array], Array]:
    """w = Σ_k a_k cos(kπt)"""
    return lambda t: sum((c * np.cos(k * np.pi * t) for k, c in enumerate(a)), np.zeros_like(t))


def _triangle(t: Array) -> Array:
    """w = 1 - |n - (N-1)/2| / ⌈N/2⌉, which does not reach 0"""
    N = len(t)
    return 1 - np.abs(t) * (N - 1) / (N + N % 2)


def _parzen(t: Array) -> Array:
    """w = 1 - 6u² (1 - u) up to the middle of each half, 2 (1 - u)³ beyond"""
    N = len(t)
    u = np.abs(t) * (N - 1) / N
    return np.where(np.abs(t) <= 0.5, 1 - 6 * u**2 * (1 - u), 2 * (1 - u) ** 3)


def _bohman(t: Array) -> Array:
    """w = (1 - |t|) cos(πt) + sin(π|t|) / π"""
    u = np.abs(t)
    w = (1 - u) * np.cos(np.pi * u) + np.sin(np.pi * u) / np.pi
    return np.where(u == 1, 0.0, w)


def _tukey(t: Array) -> Array:
    """w = 1 in the middle half, cosine tapers beside it"""
    u = np.maximum(2 * np.abs(t) - 1, 0)
    return 0.5 * (1 + np.cos(np.pi * u))


def _taylor(t: Array, nbar: int = 4, sidelobe: float = 30.0) -> Array:
    """w = (1 + 2 Σ_m F_m cos(2πm (n - (N-1)/2) / N)) / w(0): `nbar` sidelobes of `sidelobe` dB.

    Source: Carrara, Goodman and Majewski, Spotlight synthetic aperture radar (1995), appendix D.
    """
    A = np.arccosh(10 ** (sidelobe / 20)) / np.pi
    dilation = nbar**2 / (A**2 + (nbar - 0.5) ** 2)
    m = np.arange(1, nbar)
    zeros = dilation * (A**2 + (m - 0.5) ** 2)
    F = [
        -((-1) ** k) * np.prod(1 - k**2 / zeros) / (2 * np.prod(1 - k**2 / m[m != k] ** 2))
        for k in m
    ]
    N = len(t)
    phase = np.pi * np.multiply.outer(t * (N - 1) / N, m)
    return (1 + 2 * np.cos(phase) @ F) / (1 + 2 * np.sum(F))


_WINDOWS: dict[str, Callable[[Array], Array]] = {
    "boxcar": np.ones_like,
    "triang": _triangle,
    "bartlett": lambda t: 1 - np.abs(t),
    "hann": _cosines(0.5, 0.5),
    "hamming": _cosines(0.54, 0.46),
    "blackman": _cosines(0.42, 0.5, 0.08),
    "nuttall": _cosines(0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": _cosines(0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": _cosines(0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
    "cosine": lambda t: np.cos(np.pi / 2 * t * (len(t) - 1) / len(t)),
    "lanczos": np.sinc,
    "bohman": _bohman,
    "barthann": lambda t: 0.62 - 0.24 * np.abs(t) + 0.38 * np.cos(np.pi * t),
    "parzen": _parzen,
    "tukey": _tukey,
    "taylor": _taylor,
    "exponential": lambda t: np.exp(-np.abs(t) * (len(t) - 1) / 2),
}
_ALIASES = {
    "boxcar": "box ones rect rectangular",
    "triang": "triangle tri",
    "bartlett": "bart brt",
    "hann": "han",
    "hamming": "hamm ham",
    "blackman": "black blk",
    "nuttall": "nutl nut",
    "blackmanharris": "blackharr bkh",
    "flattop": "flat flt",
    "cosine": "halfcosine",
    "lanczos": "sinc",
    "bohman": "bman bmn",
    "barthann": "brthan bth",
    "parzen": "parz par",
    "tukey": "tuk",
    "taylor": "taylorwin",
    "exponential": "poisson",
}
_BY_NAME = _WINDOWS | {a: _WINDOWS[n] for n, names in _ALIASES.items() for a in names.split()}


def check_window(name: str) -> None:
    """Raise a ``ValueError`` if no window has this name."""
    if name not in _BY_NAME:
        raise unknown_name("window", name, _WINDOWS)


def window(name: str, n: int, periodic: bool = False) -> Array:
    """The `n` values of a window, float64.

    >>> window("hann", 4, periodic=True)
    array([0. , 0.5, 1. , 0.5])
    """
    check_window(name)
    if n <= 1:
        return np.ones(n)
    return _BY_NAME[name](np.linspace(-1, 1, n + periodic))[:n]
