"""What ops tell the tape (several outputs, joint gradients, places), and `grad`."""

from __future__ import annotations

import numpy as np
import pytest

from gpunn import GradientTape, grad, ops, value_and_grad
from gpunn.autodiff import tape as tape_module
from gpunn.autodiff.op import op, registry
from gpunn.autodiff.symbolic import Spec
from gpunn.autodiff.tape import Joint, Tape, grad_like
from gpunn.autodiff.tensor import Tensor
from gpunn.errors import DTypeError, ShapeError


def tensor(*values):
    return ops.convert_to_tensor(np.array(values, "float64"))


def watched(*values):
    return Tensor(np.array(values, "float64"), tracked=True)


# --- ops ---


@pytest.fixture
def own_ops():
    """Ops made in a test leave the registry again."""
    before = dict(registry)
    yield
    registry.clear()
    registry.update(before)


def test_several_outputs(own_ops):
    @op(shape=lambda x: (Spec(x.shape, np.dtype(x.dtype)),) * 2)
    def parts(x):
        def gradients(dys, needed):
            square, triple = dys
            dx = np.zeros_like(x)
            dx += 0 if square is None else 2 * x * square
            dx += 0 if triple is None else 3 * triple
            return (dx,)

        return (x * x, 3 * x), Joint(gradients)

    x = watched(2.0)
    with GradientTape(persistent=True) as tape:
        a, b = parts(x)
        both = a + b
    assert tape.gradient(a, x).tolist() == [4] and tape.gradient(b, x).tolist() == [3]
    assert tape.gradient(both, x).tolist() == [7]
    assert [g.tolist() for g in tape.gradient(both, [a, b])] == [[1], [1]]


def test_joint_is_told_what_is_needed(own_ops):
    asked = []

    @op(shape=lambda x, y: Spec(x.shape, np.dtype(x.dtype)))
    def product(x, y):
        return x * y, Joint(lambda dz, needed: asked.append(tuple(needed)) or (dz * y, dz * x))

    x, y = watched(2.0), tensor(3.0)
    with GradientTape() as tape:
        z = product(x, y)
    assert tape.gradient(z, [x, y])[1] is None and asked == [(True, False)]


def test_gradients_into_given_places():
    """As an optimizer wants them: in a flat buffer, written there by the op or copied."""
    w, b, x = watched(*[1.0] * 6), watched(2.0, 3.0), tensor(*[1.0] * 12)
    w.data, x.data = w.data.reshape(3, 2), x.data.reshape(4, 3)
    flat = np.full(9, np.nan)
    places = [flat[:6].reshape(3, 2), flat[6:8]]
    with Tape() as tape:
        y = ops.dense(x, w, b)
        y = ops.sum(y) + ops.sum(w * 10.0)
    unused = watched(1.0)
    seeds = {id(y): np.asarray(1.0)}
    found = tape.backward(seeds, [w, b, unused], into=[*places, flat[8:]])
    assert found[0] is places[0] and found[1] is places[1] and found[2] is None
    assert flat[:8].tolist() == [14] * 6 + [4] * 2 and np.isnan(flat[8])
    assert tape_module.state.destinations == {}


def test_grad_like_without_a_place_is_new():
    array = np.ones((2, 3), "float32")
    place = grad_like(array)
    assert place is not array and (place.shape, place.dtype) == (array.shape, array.dtype)


# --- grad, value_and_grad ---


def test_grad_of_arrays_numbers_and_tensors():
    for x in (np.array([1.0, 2.0]), [1.0, 2.0], tensor(1.0, 2.0)):
        assert grad(lambda x: ops.sum(x**2))(x).tolist() == [2, 4]
    assert grad(lambda x: x * x)(3.0).item() == 6


def test_argnums():
    def function(x, y, scale=1.0):
        return ops.sum(x * y * y) * scale

    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert grad(function, 1)(x, y).tolist() == [6, 16]
    dx, dy = grad(function, (0, 1))(x, y, scale=2.0)
    assert (dx.tolist(), dy.tolist()) == ([18, 32], [12, 32])
    (only,) = grad(function, (1,))(x, y)
    assert only.tolist() == [6, 16]
    value, gradient = value_and_grad(function)(x, y)
    assert (value.item(), gradient.tolist()) == (41, [9, 16])


def test_grad_errors():
    with pytest.raises(
        ShapeError, match=r"grad: the function must return one number, received \(2,\)"
    ):
        grad(lambda x: x * 2)(np.ones(2))
    with pytest.raises(ShapeError, match="must return one number, received float"):
        grad(lambda x: 1.0)(np.ones(2))
    with pytest.raises(
        DTypeError, match="grad: argument 1 has dtype int32, which has no derivative"
    ):
        grad(lambda x, y: ops.sum(x * y), 1)(np.ones(2), [1, 2])


def test_grad_leaves_its_argument_unwatched():
    x = tensor(1.0)
    grad(lambda v: v * v)(x)
    assert not x.tracked
