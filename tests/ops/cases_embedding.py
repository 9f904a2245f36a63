"""Cases of embeddings and attention masks: loops over indices."""

from __future__ import annotations

import numpy as np

from gpunn.ops.attention import band
from gpunn.ops.embedding import take_rows
from tests.ops.cases import add


def with_indices(rows, width, shape, dtype="int32"):
    def inputs(rng):
        return rng.normal(size=(rows, width)), np.asarray(rng.integers(0, rows, shape), dtype)

    return inputs


def looked_up(table, indices):
    out = np.zeros((*indices.shape, table.shape[1]))
    for place in np.ndindex(indices.shape):
        out[place] = table[indices[place]]
    return out


for label, rows, width, shape, dtype in (
    ("matrix", 7, 4, (3, 5), "int32"),
    ("many times", 3, 2, (40,), "int64"),
    ("few of many", 50, 3, (2, 2), "uint8"),
    ("one", 4, 1, (1, 1), "int32"),
    ("none", 4, 3, (0, 2), "int32"),
):
    add("take_rows", label, with_indices(rows, width, shape, dtype), looked_up,
        call=lambda table, indices: take_rows(table, indices, owner="test"),
        batch=(1,))  # fmt: skip


def seen(before, after):
    def oracle(x):
        rows, columns = x.shape[-2:]
        return np.array(
            [[-before <= j - i <= after for j in range(columns)] for i in range(rows)]
        ).reshape(rows, columns)

    return oracle


for label, shape, before, after in (
    ("causal", (2, 4, 4), 100, 0), ("window", (3, 7), 2, 2), ("tall", (5, 2), 1, 0),
):  # fmt: skip
    add("band", label, lambda rng, shape=shape: (rng.normal(size=shape),), seen(before, after),
        call=lambda x, before=before, after=after: band(x, before, after),
        differentiable=(), batch=(0,) if len(shape) > 2 else (), result="bool")  # fmt: skip
