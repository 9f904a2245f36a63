"""Cases of CTC: the oracle goes through all paths of classes."""

from itertools import groupby, product
from math import exp, inf, log

import numpy as np

from gpunn import ops
from tests.ops.cases import add


def meaning(path, blank):
    return tuple(k for k, _ in groupby(path) if k != blank)


def probabilities(rows, blank):
    """P(labels) of all sequences of labels, from the logits of each step."""
    y = [[exp(v) / sum(map(exp, row)) for v in row] for row in rows]
    found = {}
    for path in product(range(len(rows[0])), repeat=len(rows)):
        p = 1.0
        for t, k in enumerate(path):
            p *= y[t][k]
        labels = meaning(path, blank)
        found[labels] = found.get(labels, 0.0) + p
    return found


def losses(blank):
    def oracle(x, labels, label_lengths, lengths):
        found = []
        for rows, row, n, t in zip(x.tolist(), labels.tolist(), label_lengths, lengths):
            p = probabilities(rows[:t], blank).get(tuple(row[:n]), 0.0) if t else float(n == 0)
            found.append(-log(p) if p else inf)
        return np.array(found)

    return oracle


def samples(blank):
    def inputs(rng):
        labels = np.array([[1, 1, 2], [2, 1, 2], [1, 2, 7], [2, 2, -1]], "int32") % (
            3 if blank else 99
        )
        labels = np.where(labels == blank, 2 - blank, labels)
        lengths = np.array([5, 5, 3, 4], "int32")
        return rng.normal(size=(4, 5, 3)), labels, np.array([2, 3, 2, 0], "int32"), lengths

    return inputs


def fitting(x, labels, label_lengths, lengths):
    return ops.ctc_loss(labels, x, label_lengths, lengths)


add("ctc", "blank 0", samples(0), losses(0), call=fitting, batch=(0, 1, 2, 3))
add(
    "ctc",
    "blank 2",
    lambda rng: (rng.normal(size=(2, 4, 3)), *(np.array(a, "int32") for a in (
        [[0, 1], [1, 1]], [2, 2], [4, 3]))),
    losses(2),
    call=lambda x, labels, n, t: ops.ctc_loss(labels, x, n, t, mask_index=2),
    batch=(0, 1, 2, 3),
)  # fmt: skip


def best_path(x, lengths):
    out = np.full(x.shape[:2], -1)
    for i, (rows, t) in enumerate(zip(x.tolist(), lengths)):
        labels = meaning([max(range(len(r)), key=r.__getitem__) for r in rows[:t]], 0)
        out[i, : len(labels)] = labels
    return out[None]


add(
    "best_path",
    "greedy",
    lambda rng: (rng.normal(size=(3, 8, 3)), np.array([8, 5, 0], "int32")),
    best_path,
    call=lambda x, lengths: ops.ctc_decode(x, lengths)[0],
    differentiable=(),
    batch=(0, 1),
    result="int32",
)
