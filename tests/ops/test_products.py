"""einsum and the products made of it, against NumPy's loops, in values, gradients and shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gpunn import GradientTape, Variable, ops
from gpunn.autodiff.symbolic import SymbolicTensor
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import ShapeError

RNG = np.random.default_rng(0)

EINSUMS = [
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,jk->ki", (2, 3), (3, 4)),
    ("ji", (2, 3)),
    ("ii", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iijj->ij", (2, 2, 3, 3)),
    ("ij->", (2, 3)),
    ("i,j", (2,), (3,)),
    ("bi,bi->b", (2, 3), (2, 3)),
    ("ij,j->ij", (2, 3), (3,)),
    ("ba,bc->a", (2, 3), (2, 4)),
    ("bqhd,bkhd->bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
    ("...ij,...jk", (3, 1, 2, 3), (2, 3, 2)),
    ("...j->...", (2, 3, 4)),
    ("a...,...->a...", (2, 3, 4), (3, 4)),
    ("...,...", (3, 4), (3, 1)),
    (" ij , jk -> ik", (2, 0), (0, 3)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 2), (2, 3)),
    ("abc,acd,b->d", (2, 3, 4), (2, 4, 2), (3,)),
    (",i->i", (), (3,)),
]


def summed(subscripts, *xs):
    """One product after the other, over all values of all labels."""
    terms, output = subscripts.replace(" ", "").split("->")
    terms = terms.split(",")
    lengths = {k: n for term, x in zip(terms, xs) for k, n in zip(term, x.shape)}
    labels = list(lengths)
    out = np.zeros([lengths[k] for k in output])
    for index in np.ndindex(*lengths.values()):
        at = dict(zip(labels, index))
        value = math.prod(x[tuple(at[k] for k in t)] for t, x in zip(terms, xs))
        out[tuple(at[k] for k in output)] += value
    return out


@pytest.mark.parametrize(("subscripts", "shapes"), [(s, shapes) for s, *shapes in EINSUMS])
def test_einsum(subscripts, shapes):
    xs = [np.asarray(RNG.normal(size=shape)) for shape in shapes]
    plain = "..." not in subscripts and "->" in subscripts
    expected = summed(subscripts, *xs) if plain else np.einsum(subscripts, *xs)
    tensors = [Tensor(x) for x in xs]
    with GradientTape() as tape:
        tape.watch(tensors)
        y = ops.einsum(subscripts, *tensors)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12)
    dy = RNG.normal(size=expected.shape)
    for x, dx, i in zip(xs, tape.gradient(y, tensors, output_gradients=dy), range(len(xs))):
        direction = RNG.normal(size=x.shape)
        moved = [np.einsum(subscripts, *xs[:i], direction, *xs[i + 1 :])]  # it is linear in each
        np.testing.assert_allclose((dx.data * direction).sum(), (moved[0] * dy).sum(), atol=1e-10)
    symbol = ops.einsum(subscripts, *(SymbolicTensor(x.shape, "float64") for x in xs))
    assert symbol.shape == expected.shape


def test_einsum_from_left_to_right_gives_the_same():
    xs = [RNG.normal(size=shape) for shape in ((2, 3), (3, 4), (4, 5))]
    received = ops.einsum("ij,jk,kl->il", *xs, optimize=False)
    np.testing.assert_allclose(received, xs[0] @ xs[1] @ xs[2], rtol=1e-12)


def test_einsum_of_unknown_lengths():
    q, k = (SymbolicTensor((None, None, 2, 3), "float32") for _ in range(2))
    assert ops.einsum("bqhd,bkhd->bhqk", q, k).shape == (None, 2, None, None)
    x, w = SymbolicTensor((None, None, 3), "float32"), SymbolicTensor((3, 7), "float32")
    y = ops.einsum("...i,ij->...j", x, w)
    assert y.shape == (None, None, 7)
    values = np.ones((2, 5, 3), "float32"), np.ones((3, 7), "float32")
    assert y.node.call(*values, **y.node.kwargs).shape == (2, 5, 7)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk", ((3, 3), (4, 3)), "label 'j' of 'ij,jk' has lengths 3 and 4"),
        ("ii", ((3, 1),), "label 'i' of 'ii' has lengths 3 and 1"),
        ("...,...", ((3,), (4,)), "an axis of '...' of '...,...' has lengths 3 and 4"),
        ("ijk", ((3, 3),), "has 2 axes .*, its term names 3"),
        ("ij,jk", ((3, 3),), "names 2 operand.s., received 1"),
        ("ij->iq", ((3, 3),), "must name labels of the operands, each once"),
        ("ij->ii", ((3, 3),), "must name labels of the operands, each once"),
        ("i1", ((3, 3),), "'i1' in 'i1' is not made of letters"),
        ("ij", (), "received no operands"),
    ],
)
def test_einsum_refuses(subscripts, shapes, message):
    with pytest.raises(ValueError, match=f"einsum: .*{message}"):
        ops.einsum(subscripts, *(np.ones(s) for s in shapes))


def test_einsum_refuses_other_arguments():
    with pytest.raises(TypeError, match="einsum: unknown argument 'casting'. Known: optimize"):
        ops.einsum("i", np.ones(3), casting="safe")
    with pytest.raises(TypeError, match="first argument must be a string such as .* Tensor"):
        ops.einsum(ops.ones((3, 3)), [0, 0])


SHAPES = {
    "dot": [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 2, 3), (4, 3, 2)), ((), (3,))],
    "inner": [((3,), (3,)), ((2, 3), (4, 3)), ((2, 2, 3), (3,)), ((2,), ())],
    "outer": [((2,), (3,)), ((2, 2), (3,))],
    "vdot": [((2, 3), (3, 2)), ((), ())],
    "kron": [((2, 3), (2, 2)), ((2,), (3, 2, 2)), ((), (2,))],
}


@pytest.mark.parametrize(("name", "a", "b"), [(n, *s) for n, v in SHAPES.items() for s in v])
def test_products(name, a, b):
    x, y = np.asarray(RNG.normal(size=a)), np.asarray(RNG.normal(size=b))
    expected = np.asarray(getattr(np, name)(x, y))
    tensors = [Tensor(x), Tensor(y)]
    with GradientTape() as tape:
        tape.watch(tensors)
        z = getattr(ops, name)(*tensors)
    np.testing.assert_allclose(z.data, expected, rtol=1e-12)
    assert getattr(ops, name)(*(SymbolicTensor(v.shape, "float64") for v in (x, y))).shape == (
        expected.shape
    )
    dz = RNG.normal(size=expected.shape)
    dx, dy = tape.gradient(z, tensors, output_gradients=dz)
    u, v = np.asarray(RNG.normal(size=a)), np.asarray(RNG.normal(size=b))
    along = getattr(np, name)  # linear in both
    np.testing.assert_allclose((dx.data * u).sum(), (along(u, y) * dz).sum(), atol=1e-12)
    np.testing.assert_allclose((dy.data * v).sum(), (along(x, v) * dz).sum(), atol=1e-12)


@pytest.mark.parametrize("axes", [0, 1, 2, (1, 0), ((1, 2), (1, 0)), ([-1], [0])])
def test_tensordot(axes):
    x, y = RNG.normal(size=(2, 3, 3)), RNG.normal(size=(3, 3, 2))
    np.testing.assert_allclose(ops.tensordot(x, y, axes), np.tensordot(x, y, axes), rtol=1e-12)


def test_products_of_unknown_lengths():
    x = SymbolicTensor((None, None, 3), "float32")
    w = SymbolicTensor((3, 4), "float32")
    assert ops.dot(x, w).shape == ops.tensordot(x, w, 1).shape == (None, None, 4)
    assert ops.inner(x, SymbolicTensor((5, 3), "float32")).shape == (None, None, 5)
    assert ops.outer(x, w).shape == (None, 12)
    assert ops.kron(x, w).shape == (None, None, 12)
    assert ops.vdot(x, x).shape == ()


def test_tensordot_and_dot_refuse():
    x = np.ones((2, 3))
    with pytest.raises(ShapeError, match="tensordot: axis 1 of x1 and axis 0 of x2 must have one"):
        ops.dot(x, x)
    with pytest.raises(ShapeError, match="tensordot: axes=3, but the inputs have 2 and 2"):
        ops.tensordot(x, x, 3)
    with pytest.raises(ShapeError, match="axes must be a number, or two lists of the same length"):
        ops.tensordot(x, x, ([0, 1], [0]))


def crossed(p, q):
    p, q = ([*v, 0.0][:3] for v in (p, q))
    return [p[i] * q[j] - p[j] * q[i] for i, j in ((1, 2), (2, 0), (0, 1))]


def test_cross():
    a, b, c = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=2)
    rows = [crossed(p, q) for p, q in zip(a, b)]
    np.testing.assert_allclose(ops.cross(a, b), rows)
    np.testing.assert_allclose(ops.cross(a.T, b.T, axis=0), np.transpose(rows))
    np.testing.assert_allclose(ops.cross(a.T, b, axisa=0, axisc=0), np.transpose(rows))
    np.testing.assert_allclose(ops.cross(a, c), [crossed(p, c) for p in a])
    np.testing.assert_allclose(ops.cross(a[:, :2], c), [crossed(p[:2], c)[2] for p in a])
    assert ops.cross(SymbolicTensor((None, 3)), SymbolicTensor((4, 3))).shape == (4, 3)
    with pytest.raises(ShapeError, match="cross: vectors must have 2 or 3 components"):
        ops.cross(np.ones(4), np.ones(3))


def test_cdist_and_its_gradient_where_points_coincide():
    x, y = np.array([[0.0, 0], [3, 4]]), np.array([[0.0, 0], [0, 1]])
    expected = [[math.dist(p, q) for q in y] for p in x]
    tensor = Tensor(x)
    with GradientTape() as tape:
        tape.watch(tensor)
        d = ops.cdist(tensor, y)
    np.testing.assert_allclose(d.data, expected)
    dx = tape.gradient(d, tensor, output_gradients=np.array([[1.0, 0], [1, 0]]))
    np.testing.assert_allclose(dx.data, [[0, 0], [0.6, 0.8]])
    assert ops.cdist(SymbolicTensor((None, 5, 2)), SymbolicTensor((None, 7, 2))).shape == (
        None,
        5,
        7,
    )
    with pytest.raises(ShapeError, match="cdist: x .* and y .* must agree in D"):
        ops.cdist(x, np.ones((2, 3)))


def test_products_of_int8_are_summed_in_int32():
    a = np.full((2, 300), 100, "int8")
    for result in (ops.matmul(a, a.T), ops.einsum("ij,kj->ik", a, a)):
        assert result.dtype == "int32" and (result.numpy() == 3_000_000).all()
    assert ops.matmul(SymbolicTensor((None, 3), "int8"), SymbolicTensor((3, 2), "int8")).dtype == (
        "int32"
    )
    assert ops.matmul(a.astype("uint8"), a.T.astype("uint8")).dtype == "uint8"  # as in Keras


def test_the_gradient_of_a_few_columns_of_a_long_input():
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((512, 8200), "float32"), rng.standard_normal((512, 3), "float32")
    w = Variable(np.zeros((8200, 3), "float32"))
    with GradientTape() as tape:
        loss = ops.sum(ops.dense(x, w) * dy)
    expected = x.astype("float64").T @ dy
    np.testing.assert_allclose(tape.gradient(loss, w), expected, rtol=1e-4, atol=1e-4)
