"""Elementwise functions, bits, statistics and windows give what `keras.ops` gives: a walk.

The oracle is Keras on JAX, in whose defaults 64-bit numbers are 32 bits wide.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from gpunn import ops
from gpunn.autodiff.symbolic import SymbolicTensor

os.environ.setdefault("KERAS_BACKEND", "jax")
keras_ops = pytest.importorskip("keras").ops

NAN, INF = np.nan, np.inf
F = np.array([[1.0, -2.5, 3.0], [0.0, 0.3, -6.0]], "float32")
G = np.array([[2.0, -1.5, -3.0], [0.5, -0.3, 4.0]], "float32")
H = F.astype("float16")
I = np.array([[1, -2, 3], [0, 7, 12]], "int32")  # noqa: E741
J = np.array([[4, 3, 2], [1, 6, 8]], "int32")
U = np.array([[1, 2, 3], [0, 200, 12]], "uint8")
B = np.array([[True, False, True], [False, False, True]])
N = np.array([[1, NAN, 3, -INF], [NAN, NAN, NAN, NAN], [0, 2, INF, -1]], "float32")
M = np.array([[1, NAN, 3], [2.0, 5.0, NAN], [0, 2, -1]], "float32")
UNIT = np.array([-1, -0.99, -0.5, 0, 0.2, 0.999, 1], "float32")
ROW, SHORT = np.array([1.0, 2, 3, 4, -1], "float32"), np.array([1.0, 0.5], "float32")

CASES: list[tuple] = []


def walk(names: str, *arguments: tuple, **options) -> None:
    """Each function with each of these arguments."""
    CASES.extend((name, args, options) for name in names.split() for args in arguments)


walk(
    "cbrt copy conjugate imag deg2rad rad2deg fabs i0 isreal signbit sinc erfc nan_to_num "
    "square var std median average count_nonzero cumprod nanargmin nancumsum nanmin nanmean nansum "
    "diff trapezoid round ptp corrcoef",
    (I,),
)
walk("deg2rad sinc i0 var median nanmean nan_to_num trapezoid round angle cumprod", (H,))
walk("cumsum prod cumprod square nansum nanmean count_nonzero diff fabs signbit copy", (B,))
walk("cumsum", (U,))
walk("erfinv", (UNIT,))
walk("angle isneginf isposinf nan_to_num signbit", (N,))
walk("nan_to_num", (N,), nan=1.5, posinf=2, neginf=-7.0)
walk("round", (F * 3.14159, 2), (I, -1), (F * 9, -1))
walk("bitwise_not", (I,), (B,))
walk("bitwise_and bitwise_or bitwise_xor", (I, J), (B, B), (U, I[0]))
walk("left_shift right_shift", (I, J), (B, 1))
walk("gcd lcm", (I, J), (U, 6))
walk("arctan2 fmax heaviside hypot logaddexp logaddexp2", (F, G), (I, 2))
walk("hypot heaviside fmin", (I, H))
walk("divide_no_nan fmin isclose nextafter", (F, G), (I, 2.5))
walk("fmod mod floor_divide power", (abs(I) + 1, J), (B, 1))
walk("fmod", (F, G))
walk("fmax fmin", (N, N[::-1]))
walk("ldexp", (F, I), (I, 2))
walk("allclose", (F, F * (1 + 1e-6)), (F, F + 1e-3))
walk("isclose", (N, N), (N, N[::-1]), equal_nan=True)
walk("isclose", (F, F + 1e-3), rtol=0.0, atol=0.01)
walk("clip", (I, 1, 5), (I, 1.5, 5), (B, 0, 1), (F, None, 1), (F, G, 3.0))
walk(
    "saturate_cast",
    *[(np.array([300, -5, 2.7, 3e38, -3e38], "float32"), t) for t in ("uint8", "int32", "float16")],
    (I, "uint8"),
    (I, "bool"),
    (np.array([-5, 70000]), "float16"),
)
walk("nanmax nanmin nanmean nanprod nansum nanvar nanmedian", (M,), axis=0, keepdims=True)
walk("nanmax nanmean nanstd nanargmax nanargmin", (N,), axis=1)
walk("amax amin", (F,), axis=(0, 1), keepdims=True)
walk("cumprod nancumprod", (M,), axis=-1)
walk("cumsum prod", (I,), axis=0, dtype="float16")
walk("max min", (F,), (I,), axis=1, initial=2)
walk("max", (np.zeros((2, 0), "float32"),), axis=1, initial=-1.5)
walk("average", (I,), axis=1, weights=np.array([1, 2, 3], "float32"))
walk("average", (F,), weights=abs(G))
walk("corrcoef", (ROW,))
walk("diff", (F, 2), (F, 5))
walk("trapezoid", (F, ROW[:3]), (F, G), (F, None, 0.5))
walk("trapezoid", (F,), axis=0)
walk("correlate", (ROW, SHORT), (I[0], J[1, :2]))
walk("correlate", (ROW, SHORT), (SHORT, ROW), mode="same")
walk("correlate", (SHORT, ROW), mode="full")
for method in ("linear", "lower", "higher", "midpoint", "nearest"):
    walk("quantile", (F, 0.3), axis=1, method=method)
walk("quantile", (I, [0.2, 0.75]), (M, 0.5), axis=(0, 1), keepdims=True)
walk("nanquantile", (M, [0.2, 0.75]), axis=0, keepdims=True)
walk("percentile", (M, 50))
walk("bincount", (abs(I[0]), None, 13), (J, None, 9))
walk("bartlett hanning", (5,), (1,))
walk("kaiser", (5, 14.0))


def name_of(case):
    name, args, options = case
    shown = [f"{a.dtype}{list(a.shape)}" if hasattr(a, "dtype") else repr(a) for a in args]
    return f"{name}({', '.join(shown)}{options or ''})"


def parts(y):
    return list(y) if isinstance(y, (list, tuple)) else [y]


#: JAX, by default, makes 64 bits 32.
NARROW = {"float64": "float32", "int64": "int32"}


@pytest.mark.parametrize("case", CASES, ids=name_of)
@pytest.mark.filterwarnings("ignore")
def test_equals_keras(case):
    name, args, options = case
    args = [a.astype(NARROW.get(str(a.dtype), a.dtype)) if hasattr(a, "dtype") else a for a in args]
    received = parts(getattr(ops, name)(*args, **options))
    expected = parts(getattr(keras_ops, name)(*args, **options))
    assert len(received) == len(expected)
    for y, wanted in zip(received, expected, strict=True):
        assert (y.dtype, y.shape) == (str(wanted.dtype), tuple(wanted.shape))
        tolerance = 2e-3 if y.dtype == "float16" else 2e-6
        np.testing.assert_allclose(
            y.numpy().astype("float64"),
            np.asarray(wanted).astype("float64"),
            rtol=tolerance,
            atol=tolerance,
        )


@pytest.mark.parametrize("case", CASES, ids=name_of)
@pytest.mark.filterwarnings("ignore")
def test_symbolic_shapes_and_dtypes(case):
    """Of a batch of unknown size; windows are made of numbers and take none."""
    name, args, options = case
    if not isinstance(args[0], np.ndarray) or args[0].ndim == 0:
        return
    symbol = SymbolicTensor((None, *args[0].shape[1:]), args[0].dtype)
    received = parts(getattr(ops, name)(symbol, *args[1:], **options))
    for y, wanted in zip(received, parts(getattr(ops, name)(*args, **options)), strict=True):
        assert y.dtype == wanted.dtype
        assert len(y.shape) == len(wanted.shape)
        assert all(n in (None, m) for n, m in zip(y.shape, wanted.shape, strict=True))
