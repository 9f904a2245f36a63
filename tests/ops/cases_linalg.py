"""Cases of linear algebra: determinants by permutations, factorizations by loops and closed forms.

What is arbitrary (the signs of vectors, the order of eigenvalues) is squared or summed away.
"""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np

from gpunn import ops
from tests.ops.cases import add


def each(function):
    """Applied to each matrix of a batch."""

    def oracle(*xs):
        if xs[0].ndim == 2:
            return np.asarray(function(*xs), float)
        return np.array([oracle(*parts) for parts in zip(*xs, strict=True)])

    return oracle


def matrices(rows, columns, *, shift=3.0, batch=(2,)):
    """Random numbers with `shift` on the diagonal: far from singular."""

    def inputs(rng):
        return (rng.uniform(-1, 1, (*batch, rows, columns)) + shift * np.eye(rows, columns),)

    return inputs


def pair(a, b):
    return lambda rng: (*a(rng), *b(rng))


def determinant(x):
    """Leibniz' sum over permutations."""
    n = len(x)
    total = 0.0
    for order in permutations(range(n)):
        inversions = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n))
        total += (-1) ** inversions * math.prod(x[i][order[i]] for i in range(n))
    return total


def without(x, i, j):
    return [[v for c, v in enumerate(row) if c != j] for r, row in enumerate(x) if r != i]


def inverse(x):
    """The cofactors, transposed, over the determinant."""
    x, n = np.asarray(x).tolist(), len(x)
    d = determinant(x)
    return [
        [(-1) ** (i + j) * determinant(without(x, j, i)) / d for j in range(n)] for i in range(n)
    ]


def product(a, b):
    return [[math.fsum(p * q for p, q in zip(row, col)) for col in zip(*b)] for row in a]


def triangle(x, lower):
    return [[v if (j <= i if lower else j >= i) else 0.0 for j, v in enumerate(r)]
            for i, r in enumerate(x.tolist())]  # fmt: skip


def cholesky(x):
    x = (x + x.T) / 2
    n = len(x)
    y = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            rest = x[i, j] - math.fsum(y[i, k] * y[j, k] for k in range(j))
            y[i, j] = math.sqrt(rest) if i == j else rest / y[j, j]
    return y


def gram_schmidt(x):
    """The squares of q and r."""
    m, n = x.shape
    q, r = np.zeros((m, min(m, n))), np.zeros((min(m, n), n))
    for j in range(n):
        rest = x[:, j].copy()
        for i in range(min(j, m)):
            r[i, j] = math.fsum(q[:, i] * x[:, j])
            rest -= r[i, j] * q[:, i]
        if j < m:
            r[j, j] = math.sqrt(math.fsum(rest * rest))
            q[:, j] = rest / r[j, j]
    return q**2, r**2


def doolittle(x):
    y = x.copy()
    for k in range(min(x.shape)):
        p = max(range(k, len(y)), key=lambda i: abs(y[i, k]))
        y[[k, p]] = y[[p, k]]
        for i in range(k + 1, len(y)):
            y[i, k] /= y[k, k]
            for j in range(k + 1, y.shape[1]):
                y[i, j] -= y[i, k] * y[k, j]
    return y


def symmetric_2x2(x):
    """The eigenvalues, ascending, and their projectors (x - other) / (own - other)."""
    (a, b), (c, d) = x
    b = (b + c) / 2
    middle, radius = (a + d) / 2, math.hypot((a - d) / 2, b)
    w = middle - radius, middle + radius
    symmetric = np.array([[a, b], [b, d]])
    return w, [(symmetric - w[1 - i] * np.eye(2)) / (w[i] - w[1 - i]) for i in range(2)]


def singular(x):
    """(u², s, (vᵀ)²) of x (m, 2), from the eigenvalues of xᵀ x."""
    w, p = symmetric_2x2(np.array(product(x.T.tolist(), x.tolist())))
    s = [math.sqrt(v) for v in reversed(w)]
    p = p[::-1]
    u = [[float(row @ p[i] @ row) / s[i] ** 2 for i in range(2)] for row in x]
    return u, s, [p[i].diagonal().tolist() for i in range(2)]


def weighed_vectors(x):
    """Σ_i w_i v_i² of a 2 x 2 matrix with real eigenvalues."""
    (a, b), (c, d) = x
    radius = math.sqrt((a - d) ** 2 / 4 + b * c)
    total = np.zeros(2)
    for w in ((a + d) / 2 - radius, (a + d) / 2 + radius):
        v = np.array([b, w - a]) if abs(b) > abs(c) else np.array([w - d, c])
        total += w * v**2 / math.fsum(v * v)
    return total


SQUARE = matrices(3, 3)
TALL, WIDE = matrices(4, 2), matrices(2, 3)

add("inv", "batch", SQUARE, each(inverse), call=ops.inv)
add("inv", "one", matrices(2, 2, batch=()), each(inverse), call=ops.inv, batch=())
add(
    "inv",
    "cholesky_inverse",
    SQUARE,
    each(lambda x: (lambda y: product(list(zip(*y)), y))(inverse(triangle(x, True)))),
    call=ops.cholesky_inverse,
)
add(
    "inv",
    "upper cholesky_inverse",
    SQUARE,
    each(lambda x: (lambda y: product(y, list(zip(*y))))(inverse(triangle(x, False)))),
    call=lambda x: ops.cholesky_inverse(x, upper=True),
)
add("det", "batch", SQUARE, each(lambda x: determinant(x.tolist())), call=ops.det)
add(
    "det",
    "singular",
    lambda rng: (np.array([[1.0, 2, 3], [2, 4, 6], [1, 0, 1]]),),
    each(lambda x: determinant(x.tolist())),
    call=ops.det,
    batch=(),
)
add(
    "slogdet",
    "logarithm",
    SQUARE,
    each(lambda x: math.log(abs(determinant(x.tolist())))),
    call=lambda x: ops.slogdet(x)[1],
)
add(
    "slogdet",
    "logdet",
    matrices(2, 2),
    each(lambda x: math.log(abs(determinant(x.tolist())))),
    call=ops.logdet,
)

BOTH = {"differentiable": (0, 1), "batch": (0, 1)}
ROWS = matrices(3, 2)
solved = each(lambda a, b: product(inverse(a), b.tolist()))
add("solve", "matrix", pair(SQUARE, ROWS), solved, call=ops.solve, **BOTH)
add(
    "solve",
    "vector",
    pair(matrices(3, 3, batch=()), lambda rng: (rng.normal(size=3),)),
    lambda a, b: np.array(product(inverse(a), b[:, None].tolist()))[:, 0],
    call=ops.solve,
    differentiable=(0, 1),
    batch=(),
)
add(
    "solve",
    "broadcast",
    pair(matrices(3, 3, batch=(1,)), ROWS),
    lambda a, b: solved(np.concatenate([a, a]), b),
    call=ops.solve,
    differentiable=(0, 1),
    batch=(1,),
)
for lower in (False, True):
    add(
        "solve",
        f"triangular lower={lower}",
        pair(SQUARE, ROWS),
        each(lambda a, b, w=lower: product(inverse(triangle(a, w)), b.tolist())),
        call=lambda a, b, w=lower: ops.solve_triangular(a, b, lower=w),
        **BOTH,
    )

add("cholesky", "lower", matrices(3, 3, shift=4.0), each(cholesky), call=ops.cholesky)
add(
    "cholesky",
    "upper",
    matrices(3, 3, shift=4.0),
    each(lambda x: cholesky(x).T),
    call=lambda x: ops.cholesky(x, upper=True),
)
for label, inputs in {"tall": TALL, "wide": WIDE}.items():
    for i, part in enumerate("qr"):
        add(
            "qr",
            f"{label} {part}",
            inputs,
            each(lambda x, i=i: gram_schmidt(x)[i]),
            call=lambda x, i=i: ops.qr(x)[i] ** 2,
        )
for label, inputs in {"square": SQUARE, "tall": TALL, "wide": WIDE}.items():
    add("lu_factor", label, inputs, each(doolittle), call=lambda x: ops.lu_factor(x)[0])

UNLIKE = matrices(2, 2, shift=np.array([1.0, 3.0]))  # eigenvalues that are not alike
add("eigh", "values", UNLIKE, each(lambda x: symmetric_2x2(x)[0]), call=lambda x: ops.eigh(x)[0])
add(
    "eigh",
    "vectors",
    UNLIKE,
    each(lambda x: np.stack([p.diagonal() for p in symmetric_2x2(x)[1]], axis=1)),
    call=lambda x: ops.eigh(x)[1] ** 2,
)
add(
    "eig",
    "both",
    lambda rng: (rng.uniform(0.2, 1.0, (2, 2, 2)) + np.diag([0.0, 3.0]),),
    each(weighed_vectors),
    call=lambda x: (lambda w, v: ops.sum(w[:, None] * v**2, axis=-1))(*ops.eig(x)),
)
COLUMNS = matrices(3, 2, shift=np.array([1.0, 3.0]))
for i, part in enumerate(("u", "s", "vt")):
    add(
        "svd",
        part,
        COLUMNS,
        each(lambda x, i=i: singular(x)[i]),
        call=lambda x, i=i: ops.svd(x, full_matrices=False)[i] ** (2 if i != 1 else 1),
    )
add(
    "svd",
    "values of a wide one",
    lambda rng: (COLUMNS(rng)[0].swapaxes(1, 2),),
    each(lambda x: singular(x.T)[1]),
    call=lambda x: ops.svd(x, compute_uv=False),
)
add(
    "svd",
    "vt of a wide one",
    lambda rng: (COLUMNS(rng)[0].swapaxes(1, 2),),
    each(lambda x: np.transpose(singular(x.T)[0])),
    call=lambda x: ops.svd(x, full_matrices=False)[2] ** 2,
)


def pseudoinverse(x):
    """(xᵀ x)⁻¹ xᵀ"""
    x, xt = x.tolist(), x.T.tolist()
    return product(inverse(product(xt, x)), xt)


add("pinv", "tall", TALL, each(pseudoinverse), call=ops.pinv)
add("pinv", "wide", WIDE, each(lambda x: np.transpose(pseudoinverse(x.T))), call=ops.pinv)
add(
    "pinv",
    "lstsq",
    pair(matrices(4, 2, batch=()), lambda rng: (rng.normal(size=(4, 3)),)),
    each(lambda a, b: product(pseudoinverse(a), b.tolist())),
    call=ops.lstsq,
    differentiable=(0, 1),
    batch=(),
)
