"""Cases of multi_hot, counts, searchsorted and draws of classes."""

from __future__ import annotations

import math

import numpy as np

from gpunn import ops
from gpunn.ops.sampling import categorical
from tests.ops.cases import add, elements, loop


def labels(*shape):
    return lambda rng: (rng.integers(-1, 6, shape).astype("int32"),)


def weighted(*shape):
    return lambda rng: (rng.normal(size=shape), *labels(*shape)(rng))


for shape in ((4, 7), (9,), (2, 3, 4)):
    rest = shape[:1] + shape[2:] if len(shape) > 1 else ()

    def summed(k, w, rest=rest):
        """Σ_j w[j] (k[j] = c), where j runs along axis 1, or 0 of one axis."""
        k, w = (a if a.ndim > 1 else a[None] for a in (k, w))
        one = elements(
            (*(rest or (1,)), 5),
            lambda i: math.fsum(
                w[(i[0], j, *i[1:-1])] for j in range(k.shape[1]) if k[(i[0], j, *i[1:-1])] == i[-1]
            ),
        )
        return one if rest else one[0]

    batch = (0,) if rest else ()
    add(
        "encode_tokens",
        f"multi_hot {shape}",
        labels(*shape),
        lambda k, s=summed: np.minimum(s(k, np.ones(k.shape)), 1),
        call=lambda k: ops.multi_hot(k, 5),
        differentiable=(),
        batch=batch,
        result="float32",
    )
    add(
        "encode_tokens",
        f"counts {shape}",
        labels(*shape),
        lambda k, s=summed: s(k, np.ones(k.shape)),
        call=lambda k: ops.token_counts(k, 5, dtype="int32"),
        differentiable=(),
        batch=batch,
        result="int32",
    )
    add(
        "encode_tokens",
        f"weights {shape}",
        weighted(*shape),
        lambda w, k, s=summed: s(k, w),
        call=lambda w, k: ops.token_counts(k, 5, w),
        batch=(0, 1) if rest else (),
    )


def sorted_and_values(rng):
    return np.sort(np.round(rng.normal(size=9) * 4)), np.round(rng.normal(size=(4, 6)) * 4)


for side in ("left", "right"):
    add(
        "search_sorted",
        side,
        sorted_and_values,
        lambda edges, v, s=side: loop(
            lambda x: sum(e < x if s == "left" else e <= x for e in edges)
        )(v),
        call=lambda edges, v, s=side: ops.searchsorted(edges, v, s),
        differentiable=(),
        batch=(1,),
        result="int32",
    )
add(
    "search_sorted",
    "digitize",
    sorted_and_values,
    lambda edges, v: np.digitize(v, edges),
    call=lambda edges, v: ops.digitize(v, edges),
    differentiable=(),
    batch=(1,),
    result="int32",
)


add(
    "entries_of",
    "table",
    lambda rng: (rng.normal(size=9), rng.integers(0, 9, (3, 4)).astype("int32")),
    lambda table, i: elements((3, 4), lambda at: table[i[at]]),
    differentiable=(),
    batch=(1,),
)


def stream(rng=None):
    return np.array([11, 3], np.uint32)


def drawn(logits, _, samples=6):
    """The first class whose cumulative probability is above a uniform number of the stream."""
    bits = np.random.Generator(np.random.Philox(key=[11, 0], counter=[0, 3, 0, 0]))
    uniform = bits.random((len(logits), samples))
    out = np.zeros(uniform.shape, int)
    for r, row in enumerate(logits.tolist()):
        weights = [math.exp(v) for v in row]
        for s in range(samples):
            rest = uniform[r, s] * math.fsum(weights)
            while rest >= weights[out[r, s]]:
                rest -= weights[out[r, s]]
                out[r, s] += 1
    return out


add(
    "categorical",
    "rows",
    lambda rng: (np.asarray(rng.normal(size=(3, 5)), "float16").astype("float64"), stream()),
    drawn,
    call=lambda logits, state: categorical(logits, state, 6),
    differentiable=(),
    batch=(),
    result="int32",
)
