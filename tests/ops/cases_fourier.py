"""Cases of Fourier transforms: sums of cosines and sines by loops."""

from __future__ import annotations

import math

import numpy as np

from gpunn import ops
from gpunn.autodiff.op import registry
from tests.ops.cases import add, elements, uniform


def summed(re, im, sign=-1):
    """(re, im) of Σ_j x_j e^(sign · 2πi jk/n) along the last axis."""
    n = re.shape[-1]

    def term(index, parts):
        angles = [sign * 2 * math.pi * j * index[-1] / n for j in range(n)]
        return math.fsum(p[(*index[:-1], j)] * f(t) for p, f in parts for j, t in enumerate(angles))

    minus = lambda t: -math.sin(t)
    return (
        elements(re.shape, lambda i: term(i, [(re, math.cos), (im, minus)])),
        elements(re.shape, lambda i: term(i, [(re, math.sin), (im, math.cos)])),
    )


def twice(re, im, sign=-1):
    """Along both of the last two axes."""
    parts = summed(re, im, sign)
    return tuple(p.swapaxes(-1, -2) for p in summed(*(p.swapaxes(-1, -2) for p in parts), sign))


def mixed(parts):
    """One tensor of both parts."""
    return parts[0] + 2 * parts[1]


def fitted(x, n):
    """x, cut or filled with zeros to length n."""
    return np.concatenate([x, np.zeros((*x.shape[:-1], n))], axis=-1)[..., :n]


def half(x, n):
    parts = summed(fitted(x, n), np.zeros((*x.shape[:-1], n)))
    return tuple(p[..., : n // 2 + 1] for p in parts)


def whole(re, im, n):
    """The real signal of length n whose transform begins so."""
    re, im = fitted(re, n // 2 + 1), fitted(im, n // 2 + 1)
    out = np.zeros((*re.shape[:-1], n))
    for index in np.ndindex(*out.shape):
        total = 0.0
        for k in range(n // 2 + 1):
            angle = 2 * math.pi * k * index[-1] / n
            at = (*index[:-1], k)
            once = k == 0 or 2 * k == n
            value = re[at] * math.cos(angle) - (0 if once else im[at] * math.sin(angle))
            total += value if once else 2 * value
        out[index] = total / n
    return out


PAIR = uniform((2, 3, 4), (2, 3, 4))
BOTH = {"differentiable": (0, 1), "batch": (0, 1)}
add(
    "fft",
    "pair",
    PAIR,
    lambda a, b: mixed(summed(a, b)),
    lambda a, b: mixed(ops.fft((a, b))),
    **BOTH,
)
add("fft", "imaginary", PAIR, lambda a, b: summed(a, b)[1], lambda a, b: ops.fft((a, b))[1], **BOTH)
add(
    "fft2",
    "pair",
    PAIR,
    lambda a, b: mixed(twice(a, b)),
    lambda a, b: mixed(ops.fft2((a, b))),
    **BOTH,
)
add(
    "ifft2",
    "pair",
    PAIR,
    lambda a, b: mixed(twice(a, b, 1)) / 12,
    lambda a, b: mixed(ops.ifft2((a, b))),
    **BOTH,
)
for n in (None, 4, 9):
    add(
        "rfft",
        f"length {n}",
        uniform((2, 6)),
        lambda x, n=n: mixed(half(x, n or 6)),
        lambda x, n=n: mixed(ops.rfft(x, n)),
    )
    add(
        "irfft",
        f"length {n}",
        uniform((2, 4), (2, 4)),
        lambda a, b, n=n: whole(a, b, n or 6),
        lambda a, b, n=n: ops.irfft((a, b), n),
        **BOTH,
    )


def overlapped(x, stride):
    out = np.zeros((len(x), (x.shape[1] - 1) * stride + x.shape[2]))
    for b, i, j in np.ndindex(*x.shape):
        out[b, i * stride + j] += x[b, i, j]
    return out


for stride in (2, 5):
    add(
        "overlap_add",
        f"stride {stride}",
        uniform((2, 3, 4)),
        lambda x, s=stride: overlapped(x, s),
        lambda x, s=stride: registry["overlap_add"](x, stride=s),
    )
