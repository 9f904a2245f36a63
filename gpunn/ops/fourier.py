"""Discrete Fourier transforms of pairs (real part, imaginary part), with their gradients.

Y_k = Σ_j X_j e^(-2πi jk/n), along the last axis or the last two. The transforms are linear, and
the gradient of each is its adjoint: the sum with the other sign, without or with its factor 1/n.
NumPy's FFT on the CPU, cuFFT on a GPU, where a step that uses one of them is not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from gpunn.autodiff.dtypes import as_dtype
from gpunn.autodiff.op import Joint, op
from gpunn.autodiff.symbolic import Spec
from gpunn.backend.devices import empty, empty_like
from gpunn.backend.kernel import kernel
from gpunn.backend.protocol import Array
from gpunn.errors import ShapeError
from gpunn.ops.composite import in_single
from gpunn.ops.examples import Example, normal, unwritten

#: cuFFT can be captured, but not the making of its plans, which CuPy does at any time.
transform = partial(kernel, dtypes=("float32", "float64"), library="cuFFT")


def _complex(re: Any, im: Any) -> Array:
    """re + i im, where None is 0."""
    if im is None:
        return re + 0j
    return 1j * im if re is None else re + 1j * im


# --- complex to complex ---


def _pair_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for axes in ((-1,), (-2, -1)):
        for inverse, factor in ((False, 1.0), (True, 1.0), (True, 12.0)):
            re, im = (normal(rng, (2, 3, 4), dtype) for _ in range(2))
            outputs = (unwritten(re.shape, dtype) for _ in range(2))
            yield (re, im, *outputs), {"axes": axes, "inverse": inverse, "factor": factor}
    yield (None, im, *(unwritten(im.shape, dtype) for _ in range(2))), {
        "axes": (-1,), "inverse": False, "factor": 0.5,
    }  # fmt: skip


@transform(examples=_pair_examples)
def fourier(
    xp: Any, re: Array | None, im: Array | None, out_re: Array, out_im: Array,
    axes: tuple[int, ...], inverse: bool, factor: float,
) -> None:  # fmt: skip
    """out = factor · FFT of re + i im over the axes, or its inverse"""
    function = xp.fft.ifftn if inverse else xp.fft.fftn
    y = function(_complex(re, im), axes=axes)
    xp.multiply(y.real, factor, out=out_re)
    xp.multiply(y.imag, factor, out=out_im)


def _pair_rule(name: str, ndim: int) -> Callable[..., tuple[Spec, Spec]]:
    def rule(re: Any, im: Any, **_: Any) -> tuple[Spec, Spec]:
        same = len(re.shape) == len(im.shape) and all(
            n == m or None in (n, m) for n, m in zip(re.shape, im.shape)
        )
        if not same or len(re.shape) < ndim:
            raise ShapeError(
                f"{name}: the real and the imaginary part must have one shape of at least {ndim} "
                f"dimension(s), received {tuple(re.shape)} and {tuple(im.shape)}."
            )
        if 0 in re.shape[len(re.shape) - ndim :]:
            raise ShapeError(f"{name}: no elements to transform ({tuple(re.shape)}).")
        return Spec(re.shape, as_dtype(re.dtype)), Spec(re.shape, as_dtype(re.dtype))

    return rule


def _pair_op(name: str, axes: tuple[int, ...], inverse: bool) -> Callable[..., Any]:
    """The op (re, im) -> (re, im); n is the number of elements that are summed."""

    def function(re: Array, im: Array) -> Any:
        outputs = empty_like(re), empty_like(re)
        fourier(re, im, *outputs, axes=axes, inverse=inverse, factor=1.0)
        n = float(np.prod([re.shape[axis] for axis in axes]))

        def gradients(dys: tuple, needed: list[bool]) -> tuple[Array, Array]:
            dx = empty_like(re), empty_like(re)
            fourier(*dys, *dx, axes=axes, inverse=not inverse, factor=1 / n if inverse else n)
            return dx

        return outputs, Joint(gradients)

    function.__name__ = function.__qualname__ = name
    return op(shape=_pair_rule(name, len(axes)), promotes="float")(function)


_fft = _pair_op("fft", (-1,), inverse=False)
_fft2 = _pair_op("fft2", (-2, -1), inverse=False)
_ifft2 = _pair_op("ifft2", (-2, -1), inverse=True)


def _parts(name: str, x: Any) -> tuple[Any, Any]:
    """The real and the imaginary part."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(
            f"{name}: x must be a tuple of two tensors, the real and the imaginary part, received "
            f"{type(x).__name__}."
        )
    return x[0], x[1]


@in_single
def fft(x: tuple[Any, Any]) -> tuple[Any, Any]:
    """(re, im) of Y_k = Σ_j x_j e^(-2πi jk/n) along the last axis; x is a pair (re, im).

    >>> gpunn.ops.fft(([1.0, 0.0], [0.0, 0.0]))
    """
    return _fft(*_parts("fft", x))


@in_single
def fft2(x: tuple[Any, Any]) -> tuple[Any, Any]:
    """`fft` along the last two axes."""
    return _fft2(*_parts("fft2", x))


@in_single
def ifft2(x: tuple[Any, Any]) -> tuple[Any, Any]:
    """The inverse of `fft2`: the sums with the other sign, divided by their number of terms."""
    return _ifft2(*_parts("ifft2", x))


# --- real to complex and back; n is the length of the real side ---


def _real_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for length, n in ((6, 6), (5, 5), (7, 4), (3, 8)):
        outputs = (unwritten((2, n // 2 + 1), dtype) for _ in range(2))
        yield (normal(rng, (2, length), dtype), *outputs), {"n": n}


@transform(examples=_real_examples)
def real_fourier(xp: Any, x: Array, re: Array, im: Array, n: int) -> None:
    """re + i im = the first n/2 + 1 terms of the FFT of x, cut or filled with zeros to length n"""
    y = xp.fft.rfft(x, n)
    re[...], im[...] = y.real, y.imag


def _real_gradient_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for length, n in ((6, 6), (5, 5), (7, 4), (3, 8)):
        re, im = (normal(rng, (2, n // 2 + 1), dtype) for _ in range(2))
        yield (re, im, unwritten((2, length), dtype)), {"n": n}
        yield (None, im, unwritten((2, length), dtype)), {"n": n}


@transform(examples=_real_gradient_examples)
def real_fourier_backward(xp: Any, dre: Array | None, dim: Array | None, dx: Array, n: int) -> None:
    """dx_j = Re Σ_k (dre_k + i dim_k) e^(2πi jk/n); beyond n, 0"""
    dx.fill(0)
    full = xp.fft.fft(xp.conj(_complex(dre, dim)), n).real
    length = min(n, dx.shape[-1])
    dx[..., :length] = full[..., :length]


def _inverse_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for terms, n in ((4, 6), (3, 5), (5, 4), (2, 8)):
        re, im = (normal(rng, (2, terms), dtype) for _ in range(2))
        yield (re, im, unwritten((2, n), dtype)), {}


@transform(examples=_inverse_examples)
def inverse_real_fourier(xp: Any, re: Array, im: Array, out: Array) -> None:
    """out = the n real numbers whose FFT begins with re + i im, cut or filled with zeros"""
    out[...] = xp.fft.irfft(_complex(re, im), out.shape[-1])


def _inverse_gradient_examples(rng: np.random.Generator, dtype: str) -> Iterator[Example]:
    for terms, n in ((4, 6), (3, 5), (5, 4), (2, 8)):
        outputs = (unwritten((2, terms), dtype) for _ in range(2))
        yield (normal(rng, (2, n), dtype), *outputs), {}


@transform(examples=_inverse_gradient_examples)
def inverse_real_fourier_backward(xp: Any, dx: Array, dre: Array, dim: Array) -> None:
    """dre + i dim = the FFT of dx / n, twice where a term stands for its mirror image, too"""
    n = dx.shape[-1]
    y = xp.fft.rfft(dx) / n
    y[..., 1 : (n + 1) // 2] *= 2
    terms = min(y.shape[-1], dre.shape[-1])
    for out, part in ((dre, y.real), (dim, y.imag)):
        out.fill(0)
        out[..., :terms] = part[..., :terms]


def _length(name: str, fft_length: int | None, default: int | None) -> int | None:
    if fft_length is not None and fft_length < 1:
        raise ValueError(f"{name}: fft_length must be at least 1, received {fft_length}.")
    return default if fft_length is None else fft_length


def _rfft_rule(x: Any, fft_length: int | None = None) -> tuple[Spec, Spec]:
    if not x.shape or x.shape[-1] == 0:
        raise ShapeError(f"rfft: no elements to transform (x {tuple(x.shape)}).")
    n = _length("rfft", fft_length, x.shape[-1])
    spec = Spec((*x.shape[:-1], None if n is None else n // 2 + 1), as_dtype(x.dtype))
    return spec, spec


@op(shape=_rfft_rule, promotes="float")
def _rfft(x: Array, fft_length: int | None = None) -> Any:
    re, im = (empty(spec.shape, x.dtype, x) for spec in _rfft_rule(x, fft_length))
    n = x.shape[-1] if fft_length is None else fft_length
    real_fourier(x, re, im, n=n)

    def gradient(dys: tuple) -> Array:
        dx = empty_like(x)
        real_fourier_backward(*dys, dx, n=n)
        return dx

    return (re, im), (gradient,)


@in_single
def rfft(x: Any, fft_length: int | None = None) -> tuple[Any, Any]:
    """(re, im) of the first n/2 + 1 terms of the Fourier transform of real x along the last axis.

    n: `fft_length`, to which x is cut or filled with zeros, or the length of x.
    """
    return _rfft(x, fft_length=fft_length)


def _irfft_rule(re: Any, im: Any, fft_length: int | None = None) -> Spec:
    spec = _pair_rule("irfft", 1)(re, im)[0]
    terms = spec.shape[-1]
    n = _length("irfft", fft_length, None if terms is None else 2 * (terms - 1))
    if n == 0:
        raise ShapeError("irfft: one term alone does not say the length. Give fft_length.")
    return Spec((*spec.shape[:-1], n), spec.dtype)


@op(shape=_irfft_rule, promotes="float")
def _irfft(re: Array, im: Array, fft_length: int | None = None) -> Any:
    y = empty(_irfft_rule(re, im, fft_length).shape, re.dtype, re)
    inverse_real_fourier(re, im, y)

    def gradients(dy: Array, needed: list[bool]) -> tuple[Array, Array]:
        dx = empty_like(re), empty_like(im)
        inverse_real_fourier_backward(dy, *dx)
        return dx

    return y, Joint(gradients)


@in_single
def irfft(x: tuple[Any, Any], fft_length: int | None = None) -> Any:
    """The real numbers whose `rfft` is x = (re, im), along the last axis.

    n of them: `fft_length`, or 2 · (terms - 1).
    """
    return _irfft(*_parts("irfft", x), fft_length=fft_length)
